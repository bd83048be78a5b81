import importlib.util
import sys
from pathlib import Path

import pytest


@pytest.fixture(scope="session")
def peers():
    """Clients of the plane (peers.py), loaded by path as all test files are."""
    name = "media_plane_peers"
    if name not in sys.modules:
        spec = importlib.util.spec_from_file_location(name, Path(__file__).parent / "peers.py")
        module = importlib.util.module_from_spec(spec)
        sys.modules[name] = module
        spec.loader.exec_module(module)
    return sys.modules[name]


@pytest.fixture
def scene(peers):
    """A session of named members on a plane over the core in memory."""
    return peers.Scene()
