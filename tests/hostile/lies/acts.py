"""Steps that many rows take."""

import asyncio
from collections.abc import Callable, Iterable

from tests.hostile import forge
from tests.hostile.call import Call
from tests.hostile.media import Rtp

KINDS = ("audio", "video")
MISMATCH = ("encryptionSecretMismatch",)


async def pause(call: Call, seconds: float = 0.5) -> None:
    await asyncio.sleep(seconds)


def hold(call: Call, held: bool) -> None:
    """Of Ada's stream to Bob."""
    for line in call.member(call.bob).lines:
        if line.stream_id in (call.stream_id, ""):
            line.hold(held)


async def inject(
    call: Call, made: Callable[[str], list[Rtp]], kinds: Iterable[str] = KINDS
) -> None:
    """While nothing live is sent, so that what is injected must be shown if it can be."""
    hold(call, True)
    for kind in kinds:
        call.line(kind).inject(made(kind))
    await pause(call)
    hold(call, False)


def recording(call: Call) -> Callable[[str], list[Rtp]]:
    """Of what Bob was sent: what he was not sent yet is late, and no replay."""
    kept = {kind: forge.recorded(call.line(kind)) for kind in KINDS}
    return kept.__getitem__
