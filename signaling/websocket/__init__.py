"""The WebSocket of a client: admission, messages in and out, keep-alive, resume."""
