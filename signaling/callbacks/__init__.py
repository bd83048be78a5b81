"""Callbacks to applications: recorded when they happen, delivered until they arrive."""
