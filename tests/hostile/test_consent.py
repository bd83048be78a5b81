"""The Python SDK when a media path ends in a call, and the server says nothing of it. A test of its
own: aioice takes half a minute to miss answers to its checks, and less here."""

import aioice.ice
import pytest

from tests.hostile.call import Call, until
from tests.hostile.drivers.python import PythonDriver
from tests.hostile.lies.paths import Unanswered
from tests.hostile.lies.row import problems
from tests.hostile.server import HostileServer

pytestmark = [pytest.mark.interop, pytest.mark.timeout(120)]
LOST = "media_unreachable: The media path is lost"


async def answer_no_more(call: Call) -> None:
    call.room.lie.is_on = True


async def close(call: Call) -> None:
    """Ends DTLS on both transports, as at the end of a call."""
    for transport in (call.member(call.ada).uplink, call.member(call.bob).downlink):
        await transport._dtls.stop()


@pytest.mark.parametrize("end", [answer_no_more, close])
async def test_people_are_told_of_a_path_that_is_lost_in_a_call(monkeypatch, end) -> None:
    monkeypatch.setattr(aioice.ice, "CONSENT_INTERVAL", 0.5)
    async with HostileServer() as server:
        call = Call(server, PythonDriver(), Unanswered("uplink", "downlink", is_on=False))
        try:
            await call.live()
            await end(call)
            people = (call.ada, call.bob)
            await until(lambda: all(map(call.problems, people)), "a word to both", 40)
            assert all(one.startswith(LOST) for one in problems(call))
            assert call.told(call.ada).count("MediaUnreachable") == 1
            assert call.faults() == []
        finally:
            await call.close()
