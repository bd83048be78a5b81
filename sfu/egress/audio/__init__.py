"""Audio of a session to and from a WebSocket: decoded, mixed, paced. `process.py` is the shell."""
