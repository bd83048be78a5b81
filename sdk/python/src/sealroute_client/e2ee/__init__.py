"""The frame format e2ee/1 as pure functions and state machines: no clock, no I/O."""
