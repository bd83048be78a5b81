"""A browser that a page has taken over says what it likes: calls end, and nothing hangs."""

import asyncio
import json

import pytest

from sfu.egress.render.browser import MAX_TASKS, Browser
from sfu.egress.render.command import Programs
from sfu.egress.render.devtools import BrowserError, DevTools

DEEP = b'{"id":1,"result":' + b"[" * 100_000 + b"]" * 100_000 + b"}"
ODD = (
    DEEP,
    b'{"id":[1],"result":{}}',
    b'{"id":{"a":1},"result":{}}',
    b'{"id":null,"method":"Page.loadEventFired","params":{},"sessionId":["s"]}',
    b"[1]",
    b"7",
    b'"text"',
    b"\xff",
    b"{",
)


async def ended(*messages: bytes, on_event=lambda *_: None):
    """What becomes of a call that is waiting when the browser says this, and goes."""
    tools = DevTools(on_event)
    answer = tools._waiting[1] = asyncio.get_running_loop().create_future()
    reader = asyncio.StreamReader(limit=1 << 20)
    reader.feed_data(b"\0".join([*messages, b""]))
    reader.feed_eof()
    await asyncio.wait_for(tools._read(reader), 5)
    assert tools.over.is_set()
    return await answer


@pytest.mark.parametrize("message", ODD)
async def test_whatever_a_browser_says_no_call_waits_for_it(message):
    with pytest.raises(BrowserError):
        await ended(message)


async def test_behind_what_has_no_meaning_the_answer_is_found():
    odd = [one for one in ODD if one not in (DEEP, b"\xff", b"{")]
    assert await ended(*odd, b'{"id":1,"result":{"a":1}}') == {"a": 1}


def a_browser():
    made = Browser(Programs("chromium", "bwrap"), None, None, 1)
    made._publisher = "publisher"
    made._tabs = {"tab": "session"}
    return made


@pytest.mark.parametrize("name", [["tab"], {"a": 1}, None, 7])
async def test_names_of_tabs_may_be_anything(name):
    browser = a_browser()
    for method in ("Target.targetCrashed", "Target.targetDestroyed"):
        browser._on_event(method, {"targetId": name}, "")
    browser._on_event(
        "Target.targetCreated", {"targetInfo": {"type": "page", "targetId": name}}, ""
    )
    assert not browser.over.is_set()
    browser._on_event("Target.targetCrashed", {"targetId": "tab"}, "")
    assert browser.over.is_set()
    await asyncio.gather(*browser._tasks)


async def test_a_browser_that_floods_with_dialogs_is_given_up():
    browser = a_browser()
    dialog = json.loads('{"message":"?"}')
    for _ in range(MAX_TASKS):
        browser._on_event("Page.javascriptDialogOpening", dialog, "session")
    assert not browser.over.is_set()
    browser._on_event("Page.javascriptDialogOpening", dialog, "session")
    assert (browser.over.is_set(), browser.why) == (True, "it floods")
    assert len(browser._tasks) == MAX_TASKS
    await asyncio.gather(*browser._tasks)
