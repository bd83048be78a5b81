"""What the traces of all machines have in common."""

from typing import Any

Step = dict[str, Any]
A, B, C = 0xA1, 0xB2, 0xC3
"""Hints of three secrets."""
