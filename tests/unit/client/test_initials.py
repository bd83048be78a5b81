"""Initials are sent as the publisher chose them and shown as the browser SDK shows them."""

from types import SimpleNamespace
from typing import Any

import pytest
from sealroute_client.cli import parser
from sealroute_client.cli_output import _stream
from sealroute_client.initials import initials_of, shown_initials
from sealroute_client.publisher import Publisher
from sealroute_client.publishing import Publishing
from sealroute_client.server_messages import ServerMessages


@pytest.mark.parametrize(
    ("name", "initials"),
    [
        ("", ""),
        ("   ", ""),
        ("Ada", "A"),
        ("ada lovelace", "AL"),
        ("Ada  King  Lovelace ", "AL"),
        ("😀 smile", "😀S"),
        ("ßen", "SS"),
    ],
)
def test_without_initials_of_their_own_those_of_the_name_are_shown(name, initials) -> None:
    assert initials_of(name) == initials
    assert shown_initials({"name": name}) == initials


@pytest.mark.parametrize(
    ("stream", "initials"),
    [
        ({"initials": "QX", "name": "Ada Lovelace"}, "QX"),
        ({"initials": "Q" * 999}, "Q" * 16),
        ({"initials": None, "name": "Ada Lovelace"}, "AL"),
        ({"initials": "", "name": None}, ""),
        ({}, ""),
    ],
)
def test_what_a_server_says_of_initials_is_bounded(stream, initials) -> None:
    assert shown_initials(stream) == initials


async def sent(**chosen: Any) -> dict[str, Any]:
    """What the request to publish says of a stream of that kind."""
    seen: list[dict[str, Any]] = []

    async def request(_kind: str, **members: Any) -> dict[str, Any]:
        seen.append(members)
        return {}

    session: Any = SimpleNamespace(
        signaling=SimpleNamespace(request=request), trust=SimpleNamespace(may_send_clear=True)
    )
    publishing = Publishing.__new__(Publishing)
    publishing._session = session
    source: Any = SimpleNamespace(audio=None, video=None, width=0, height=0, frame_rate=None)
    publisher = Publisher(session, source, [])
    for key, value in chosen.items():
        setattr(publisher, key, value)
    await publishing._request(None, [], publisher)
    return seen[0]


async def test_the_publisher_s_initials_are_sent_and_none_where_it_chose_none() -> None:
    assert (await sent(initials="Q" * 20))["initials"] == "Q" * 16
    assert (await sent(name="Ada Lovelace"))["initials"] is None


def test_every_stream_of_others_has_its_initials() -> None:
    emitted: list[Any] = []
    session: Any = SimpleNamespace(
        emit=emitted.append, encryption=None, connection_id="me", publishers={}, streams={}
    )
    created = {"streamId": "s", "connectionId": "peer", "name": "Ada Lovelace"}
    ServerMessages(session).handle({"t": "streamCreated", "stream": created})
    assert session.streams["s"]["initials"] == "AL"
    assert emitted[0].stream["initials"] == "AL"


def test_the_command_line_takes_them_and_shows_them() -> None:
    common = ("--url", "u", "--api-key", "k", "--session", "s", "--token", "t")
    arguments = parser().parse_args(["publish", *common, "--initials", "QX"])
    assert arguments.initials == "QX"
    stream = {"streamId": "s", "name": "Ada Lovelace", "initials": "QX"}
    assert _stream({"stream": stream}) == "s (Ada Lovelace, QX)"
    assert _stream({"stream": {"streamId": "s", "initials": ""}}) == "s"
