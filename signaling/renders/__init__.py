"""Renders of clear sessions (Experience Composer): web pages as streams."""
