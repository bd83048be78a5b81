"""WebSockets of clients: admission, incoming and outgoing messages, keep-alive, resume."""
