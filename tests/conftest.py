"""What tests of several folders share."""

import pytest

from tests import postgres


@pytest.fixture(scope="session")
def postgres_server():
    """The folder of a running PostgreSQL's socket."""
    with postgres.running() as folder:
        yield folder
