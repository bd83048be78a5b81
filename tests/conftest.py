"""What tests of several folders share."""

import os

import pytest
from hypothesis import HealthCheck, settings

from tests import postgres

# No test fails because a machine is busy.
settings.register_profile(
    "any machine", deadline=None, suppress_health_check=[HealthCheck.too_slow]
)
settings.register_profile("every change", settings.get_profile("any machine"), max_examples=30)
settings.load_profile("every change" if os.environ.get("TESTS_WITHOUT_LONG") else "any machine")


@pytest.fixture(scope="session")
def postgres_server():
    """The folder of a running PostgreSQL's socket."""
    with postgres.running() as folder:
        yield folder
