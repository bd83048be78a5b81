"""Each lie of the table against the browser SDK in Chromium, in live calls."""

import asyncio

import pytest

from tests.hostile.drivers.browser import play_in
from tests.hostile.lies import rows_for
from tests.hostile.selected import as_parameters, selected

KIND = "chromium"
pytestmark = [pytest.mark.browser, pytest.mark.timeout(1_200)]


@pytest.fixture(scope="module")
def played(request):
    return asyncio.run(play_in(KIND, selected(request)))


@pytest.mark.parametrize("row", as_parameters(KIND, rows_for(KIND)))
def test_lie(played, row) -> None:
    assert not played[row.name], "\n".join(played[row.name])
