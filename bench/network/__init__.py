"""Real browsers on bad networks: `make bench-network`, results in bench/NETWORK.md."""

from typing import Any, TypeAlias

Json: TypeAlias = Any
"""A value out of a JSON document; who reads it knows its shape."""
