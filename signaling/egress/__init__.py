"""What archives and broadcasts have in common: a session's media for a process of its own."""
