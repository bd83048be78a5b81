"""Schema changes, oldest first; pending ones run at every start."""
