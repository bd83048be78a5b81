"""Each lie of the table against the browser SDK in Chromium, in live calls."""

import asyncio

import pytest

from tests.hostile.drivers.browser import play_in
from tests.hostile.lies import rows_for

KIND = "chromium"
ROWS = rows_for(KIND)
pytestmark = [pytest.mark.browser, pytest.mark.timeout(1_200)]


@pytest.fixture(scope="module")
def played():
    return asyncio.run(play_in(KIND, ROWS))


@pytest.mark.parametrize("row", ROWS, ids=lambda row: row.name)
def test_lie(played, row) -> None:
    assert not played[row.name], "\n".join(played[row.name])
