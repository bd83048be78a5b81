"""The control plane: who may do what, where."""
