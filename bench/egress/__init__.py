"""What recording and composing cost, beside programs that do the same."""
