"""Events that repeat a message of the server: told by the list of events, with no code."""

import dataclasses
from types import SimpleNamespace

import pytest
from sealroute_client import events
from sealroute_client.emitter import camel_case
from sealroute_client.errors import UnexpectedServerResponse
from sealroute_client.server_messages import HANDLERS, ServerMessages


@pytest.fixture(autouse=True)
def nothing_else_is_done(monkeypatch) -> None:
    """What else a message does needs a whole session."""
    for tag in events.RELAYED:
        monkeypatch.delitem(HANDLERS, tag, raising=False)


@pytest.fixture
def reported() -> list:
    return []


@pytest.fixture
def messages(reported) -> ServerMessages:
    return ServerMessages(SimpleNamespace(emit=reported.append, encryption=None))


@pytest.mark.parametrize(("tag", "kind"), events.RELAYED.items())
def test_a_message_that_is_an_event_is_reported_with_its_members_and_no_others(
    messages, reported, tag, kind
) -> None:
    fields = dataclasses.fields(kind)
    message = {camel_case(one.name): f"its {one.name}" for one in fields}
    messages.handle({"t": tag, "other": "thing", **message})
    # Who records is no matter of the server's.
    needed = [one.name for one in fields if one.default is dataclasses.MISSING]
    assert reported == [kind(**{name: f"its {name}" for name in needed})]


@pytest.mark.parametrize("tag", events.RELAYED)
def test_without_a_member_it_is_a_fault_of_the_server(messages, reported, tag) -> None:
    with pytest.raises(UnexpectedServerResponse):
        messages.handle({"t": tag})
    assert reported == []


@pytest.mark.parametrize("tag", sorted(events.CLEAR_ONLY))
def test_what_an_encrypted_session_cannot_have_is_a_fault_of_the_server(reported, tag) -> None:
    session = SimpleNamespace(emit=reported.append, encryption=object())
    with pytest.raises(UnexpectedServerResponse, match="cannot record what it cannot decrypt"):
        ServerMessages(session).handle({"t": tag, "id": "a", "name": "n"})
    assert reported == []


def test_captions_of_an_encrypted_session_are_a_fault_of_the_server(reported) -> None:
    said = {"streamId": "s", "caption": "pay him", "isFinal": True}
    session = SimpleNamespace(emit=reported.append, encryption=object())
    with pytest.raises(UnexpectedServerResponse, match="cannot caption what it cannot decrypt"):
        ServerMessages(session).handle({"t": "captionReceived", **said})
    assert reported == []


def test_a_message_is_relayed_after_it_was_handled(messages, reported, monkeypatch) -> None:
    monkeypatch.setitem(HANDLERS, "x", lambda _, message: reported.append(message["t"]))
    monkeypatch.setitem(events.RELAYED, "x", events.SessionReconnecting)
    messages.handle({"t": "x"})
    assert reported == ["x", events.SessionReconnecting()]


def test_an_unknown_message_is_neither_handled_nor_relayed(messages, reported) -> None:
    messages.handle({"t": "ofTheFuture"})
    assert reported == []
