"""The rules for sessions, tokens and refusals: pure functions and data."""
