"""Schema changes, oldest first; run at every start."""
