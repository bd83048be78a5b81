"""Live sessions: actors, client slots, message sinks and explanations."""
