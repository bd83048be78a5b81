"""Media of a client: sources, sending, receiving, recording."""
