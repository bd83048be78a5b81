"""The frame format e2ee/2 as pure functions and state machines: no clock, no I/O."""
