"""What reads stylesheets, in memory: each stream has a stripe of the image, as wide as the image.

`asked` are the questions, in order. A stylesheet named in `faults` is refused with what stands
there; while `is_slow`, answers come with `answer`.
"""

import asyncio

from sfu.egress.composition import Placed
from sfu.egress.style_lines import StyleLine
from sfu.egress.stylesheets import StylesheetError, Stylesheets, StylesheetsBusyError

STRIPE = 40


class FakeStylesheets(Stylesheets):
    def __init__(self) -> None:
        super().__init__()
        self.asked: list[StyleLine] = []
        self.faults: dict[str, StylesheetError | StylesheetsBusyError] = {}
        self.is_slow = False
        self._answer_now = asyncio.Event()

    async def place(self, wanted: StyleLine) -> tuple[Placed, ...]:
        self.asked.append(wanted)
        if self.is_slow:
            self._answer_now.clear()
            await self._answer_now.wait()
        if wanted.stylesheet in self.faults:
            raise self.faults[wanted.stylesheet]
        return tuple(
            Placed(one.stream, 0, at * STRIPE, wanted.width, STRIPE)
            for at, one in enumerate(wanted.streams)
        )

    def answer(self) -> None:
        self._answer_now.set()
