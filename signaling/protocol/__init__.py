"""The messages between clients and server."""
