"""Storage of projects, sessions, operators and callbacks."""
