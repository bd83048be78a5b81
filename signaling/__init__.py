"""The control plane: sessions, signaling, REST, storage and administration."""
