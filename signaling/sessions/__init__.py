"""Live sessions: the actor that owns one, its client slots, message sinks and explanations."""
