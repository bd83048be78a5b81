"""Each lie of the table against the Python SDK, in live calls."""

import asyncio
import functools

import pytest
from sealroute_client.e2ee import secret

from tests.hostile.drivers.python import KIND, PythonDriver
from tests.hostile.lies import rows_for
from tests.hostile.running import play_all
from tests.hostile.selected import as_parameters, selected

AT_ONCE = 4
pytestmark = [pytest.mark.interop, pytest.mark.timeout(900)]


@pytest.fixture(scope="module")
def played(request):
    """All rows at once, for they mostly wait; keys of the one session are derived once."""
    with pytest.MonkeyPatch.context() as patch:
        patch.setattr(secret, "session_key", functools.cache(secret.session_key))
        return asyncio.run(play_all(selected(request), PythonDriver(), AT_ONCE))


@pytest.mark.parametrize("row", as_parameters(KIND, rows_for(KIND)))
def test_lie(played, row) -> None:
    assert not played[row.name], "\n".join(played[row.name])
