"""The rules of sessions, tokens and refusals; pure."""
