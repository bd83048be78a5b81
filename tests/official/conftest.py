"""A stage for each module: its server starts once."""

import pytest_asyncio

from tests.official.stage import Stage


@pytest_asyncio.fixture(scope="module", loop_scope="module")
async def stage(tmp_path_factory):
    made = Stage(tmp_path_factory.mktemp("stage"))
    await made.open()
    yield made
    await made.close()
