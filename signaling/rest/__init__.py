"""The REST API that the official server SDKs use."""
