"""What all that takes a session's media has in common: a tap, and a process of its own."""
