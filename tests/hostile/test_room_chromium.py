"""Each lie to the room at `/`, as its people see it in Chromium, in live calls."""

import asyncio

import pytest

from tests.hostile.rooms.table import TABLE, play_in
from tests.hostile.selected import selected

pytestmark = [pytest.mark.browser, pytest.mark.timeout(1_200)]
ROWS = [
    pytest.param(row, id=row.name, marks=[] if row.is_short else [pytest.mark.long])
    for row in TABLE
]


@pytest.fixture(scope="module")
def played(request):
    return asyncio.run(play_in("chromium", selected(request)))


@pytest.mark.parametrize("row", ROWS)
def test_what_people_see(played, row) -> None:
    assert not played[row.name], "\n".join(played[row.name])
