"""The key of a broadcast's playlist as it is kept beside its parts: who reads it there, in a backup
or on a disk that was given away, does not get the address that viewers have."""

import hashlib


def kept(key: str) -> str:
    """Hexadecimal. The key has 128 random bits, so a plain hash tells nothing of it."""
    return hashlib.sha256(key.encode("ascii")).hexdigest()
