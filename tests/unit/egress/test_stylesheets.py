"""What stylesheets say, read by real processes: the vendor's selectors, and stylesheets that are
written to do harm."""

import os
import signal
import socket
import sys
from pathlib import Path

import pytest
import pytest_asyncio

from sfu.egress.composition import MAX_STYLESHEET_CHARS, Placed
from sfu.egress.control import LineError
from sfu.egress.style_lines import (
    BoxesLine,
    FaultLine,
    StyledStream,
    StyleLine,
    TooMuchLine,
    check_answer,
)
from sfu.egress.stylesheets import StylesheetError, Stylesheets, StylesheetsBusyError
from tests.served import until

pytest.importorskip("weasyprint", reason="make installs it: pip install sealroute[egress]")

CLASSES = ("", "focus", "instructor", "wide screen")


def asked(stylesheet, *classes, root="archive", size=(640, 480)):
    streams = tuple(
        StyledStream(f"s{at}", tuple(one.split())) for at, one in enumerate(classes or CLASSES)
    )
    return StyleLine(stylesheet, root, *size, streams)


def boxes(placed):
    return {one.stream: (one.x, one.y, one.width, one.height) for one in placed}


@pytest_asyncio.fixture(loop_scope="module", scope="module")
async def reader():
    made = Stylesheets()
    yield made
    await made.close()


pytestmark = pytest.mark.asyncio(loop_scope="module")
READ = {
    "the vendor's own example": (
        "stream.instructor {position: absolute; width: 100%;  height:50%;}",
        {"s2": (0, 0, 640, 240)},
    ),
    "float": (
        "stream { float: left; width: 50%; height: 50%; }",
        {"s0": (0, 0, 320, 240), "s1": (320, 0, 320, 240)}
        | {"s2": (0, 240, 320, 240), "s3": (320, 240, 320, 240)},
    ),
    "hidden but one": (
        "stream { display: none } stream:nth-child(2) { display: block; height: 100% }",
        {"s1": (0, 0, 640, 480)},
    ),
    "several classes": (
        "stream.wide.screen { position: absolute; inset: 10px 20px }",
        {"s3": (20, 10, 600, 460)},
    ),
    "the root as a grid": (
        "archive { display: grid; grid-template-columns: 2fr 1fr; grid-auto-rows: 120px }",
        {"s0": (0, 0, 426, 120), "s1": (426, 0, 214, 120)}
        | {"s2": (0, 120, 426, 120), "s3": (426, 120, 214, 120)},
    ),
    "the root as a flexible box": (
        "archive { display: flex; flex-direction: column } stream { flex: 1 }",
        {f"s{at}": (0, at * 120, 640, 120) for at in range(4)},
    ),
    "calculated": (
        "#s0 { position: absolute; width: calc(50% - 10px); height: 50%; right: 0; bottom: 0 }",
        {"s0": (330, 240, 310, 240)},
    ),
    "one pixel is nothing": ("stream { width: 1px; height: 1px }", {}),
    "half outside": (
        "#s1 { position: absolute; left: -50px; width: 100px; height: 100px }",
        {"s1": (-50, 0, 100, 100)},
    ),
    "another root": ("broadcast stream { height: 100px }", {}),
    "inside of its padding": ("#s0 { height: 100px; padding: 10px }", {"s0": (10, 10, 620, 100)}),
    "invisible": (
        "stream { height: 50px } .focus { visibility: hidden }",
        {"s0": (0, 0, 640, 50), "s2": (0, 100, 640, 50), "s3": (0, 150, 640, 50)},
    ),
}


@pytest.mark.parametrize("name", READ)
async def test_streams_are_where_the_stylesheet_puts_them(reader, name):
    stylesheet, wanted = READ[name]
    assert boxes(await reader.place(asked(stylesheet))) == wanted


async def test_a_broadcast_has_a_root_of_its_own(reader):
    placed = await reader.place(asked("broadcast stream { height: 100px }", "", root="broadcast"))
    assert boxes(placed) == {"s0": (0, 0, 640, 100)}


async def test_they_are_painted_by_z_index_and_what_is_positioned_comes_later(reader):
    stylesheet = (
        "stream { position: absolute; inset: 0 } stream.focus { z-index: 2 }"
        " stream.instructor { z-index: -1 } stream.wide { position: static; height: 20px }"
    )
    placed = await reader.place(asked(stylesheet))
    assert [one.stream for one in placed] == ["s2", "s3", "s0", "s1"]


async def test_video_is_fitted_unless_the_stylesheet_says_otherwise(reader):
    stylesheet = "stream { height: 50px } .focus { object-fit: cover } .wide { object-fit: fill }"
    placed = await reader.place(asked(stylesheet))
    assert [one.fit for one in placed] == ["contain", "cover", "contain", "fill"]


FAULTS = {
    "stream {\n  width: 10px;\n  height\n}": ("declaration", 3),
    "stream { width: 1px }\nstream:nope() { width: 2px }": ("selector", 2),
    "stream { width: 1px }\n}\nfoo": ("rule", 3),
}


@pytest.mark.parametrize("stylesheet", FAULTS)
async def test_what_is_no_css_is_named_with_its_line(reader, stylesheet):
    with pytest.raises(StylesheetError) as refused:
        await reader.place(asked(stylesheet))
    assert (refused.value.fault, refused.value.at) == FAULTS[stylesheet]


DEEP = 10_000
HOSTILE = {
    "nested values": "stream { width: " + "calc(" * DEEP + "1px" + ")" * DEEP + "}",
    "nested blocks": "stream {" + "&{" * DEEP + "width: 10px" + "}" * DEEP + "}",
    "open brackets": "stream { width: " + "(" * 60_000 + "}",
    "nested selectors": "stream" + ":not(" * DEEP + "a" + ")" * DEEP + " {}",
    "more columns than there is memory": (
        "archive { display: grid; grid-template-columns: repeat(100000000, 1px) }"
    ),
    "a variable that doubles": "stream { --a0: x; "
    + "".join(f"--a{at}: var(--a{at - 1}) var(--a{at - 1});" for at in range(1, 60))
    + " width: var(--a59) }",
    "longer than is permitted": "stream { width: 50% }" + " " * MAX_STYLESHEET_CHARS,
}


@pytest.mark.parametrize("name", HOSTILE)
async def test_a_stylesheet_that_takes_too_much_is_refused_and_the_next_one_is_read(reader, name):
    with pytest.raises(StylesheetError) as refused:
        await reader.place(asked(HOSTILE[name]))
    assert refused.value.fault is None
    assert boxes(await reader.place(asked("#s0 { height: 50px }"))) == {"s0": (0, 0, 640, 50)}


async def test_64_kib_of_rules_are_read(reader):
    rules = "stream.focus { height: 50px }\n" * 2_184
    assert len(rules) <= MAX_STYLESHEET_CHARS
    assert boxes(await reader.place(asked(rules))) == {"s1": (0, 0, 640, 50)}


async def test_nothing_is_fetched_and_no_file_is_read(reader, tmp_path):
    secret = tmp_path / "secret.css"
    secret.write_text("stream { height: 50px }")
    with socket.create_server(("127.0.0.1", 0)) as listener:
        listener.setblocking(False)
        url = f"http://127.0.0.1:{listener.getsockname()[1]}/a"
        stylesheet = (
            f"@import '{url}.css'; @import url('{secret.as_uri()}');"
            f" stream.focus {{ height: 20px; background: url({url}.png); content: url({url}) }}"
            f" stream.focus::before {{ content: url({url}.svg) }}"
            f" stream.focus::after {{ content: 'text'; font-family: sans-serif }}"
            f" stream.focus {{ list-style: url({secret.as_uri()}); cursor: url({url}), auto }}"
        )
        assert boxes(await reader.place(asked(stylesheet))) == {"s1": (0, 0, 640, 20)}
        with pytest.raises(BlockingIOError):
            listener.accept()


async def test_classes_are_text_and_no_markup(reader):
    wanted = StyleLine(
        "stream { height: 20px } img { height: 99px }",
        "archive",
        640,
        480,
        (StyledStream('"><stream id="x">', ('"><img src="x">', "</archive>")), StyledStream("s1")),
    )
    placed = await reader.place(wanted)
    assert boxes(placed) == {'"><stream id="x">': (0, 0, 640, 20), "s1": (0, 20, 640, 20)}


async def test_what_reads_them_ends_when_there_are_none_and_begins_again():
    reader = Stylesheets(idle_s=0.05)
    await reader.place(asked(""))
    process = Path(f"/proc/{reader.zygote_pid}")
    await until(lambda: reader.zygote_pid is None and not process.exists())
    assert await reader.place(asked("")) == ()
    os.kill(reader.zygote_pid, signal.SIGKILL)
    await until(lambda: reader.zygote_pid is None)
    assert await reader.place(asked("#s0 { height: 50px }")) != ()
    await reader.close()


async def test_without_a_process_the_answer_is_that_there_is_none():
    reader = Stylesheets(program=(sys.executable, "-c", "pass"))
    with pytest.raises(StylesheetsBusyError):
        await reader.place(asked(""))
    assert reader.counters() == {"asked": 1, "busy": 1}
    await reader.close()


async def test_a_process_that_was_taken_over_places_no_other_streams():
    question = asked("a\nb", "", "")
    box = Placed("s0", 0, 0, 100, 100)
    check_answer(BoxesLine((box,)), question)
    check_answer(FaultLine(2, "rule"), question)
    check_answer(TooMuchLine(), question)
    other = Placed("other", 0, 0, 100, 100)
    for lie in (BoxesLine((box, box)), BoxesLine((other,)), FaultLine(3, "rule")):
        with pytest.raises(LineError):
            check_answer(lie, question)
