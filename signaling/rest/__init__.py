"""The REST API for the official server SDKs."""
