"""Callbacks to applications: events are recorded when they happen and retried until delivered."""
