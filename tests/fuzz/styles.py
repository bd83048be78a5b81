"""What the processes of stylesheets and uploads answer, once somebody has taken them over."""

import contextlib

from sfu.egress.composition import MAX_PLACED
from sfu.egress.control import LineError
from sfu.egress.style_lines import (
    BoxesLine,
    StyledStream,
    StyleLine,
    StyleUpReader,
    check_answer,
)
from sfu.egress.uploads import read_answer

_ASKED = StyleLine("a\nb", "archive", 640, 480, (StyledStream("s1"), StyledStream("s2")))


def style_answers(data: bytes) -> None:
    """Boxes of the streams that were asked about, each once and in bounds, or nothing."""
    assert read_answer(data) is None or data != b"null"
    reader = StyleUpReader()
    with contextlib.suppress(LineError):
        answer = reader.decode(data)
        check_answer(answer, _ASKED)
        if isinstance(answer, BoxesLine):
            assert len(answer.placed) <= MAX_PLACED
            for one in answer.placed:
                assert one.stream in {"s1", "s2"}
                assert 2 <= one.width <= 8_192
                assert 2 <= one.height <= 8_192
                assert max(abs(one.x), abs(one.y)) <= 16_384
