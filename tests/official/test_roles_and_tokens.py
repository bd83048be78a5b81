"""Tokens as the official SDKs mint them, in the hands of clients: roles, data, classes, expiry."""

import asyncio
import time

import opentok
import pytest
import pytest_asyncio
from sealroute_client import Session, errors

from tests.served import SECRET, until

pytestmark = [
    pytest.mark.interop,
    pytest.mark.asyncio(loop_scope="module"),
    pytest.mark.filterwarnings("ignore::DeprecationWarning"),
]
Roles = opentok.Roles
# What a role may do: publish, subscribe, signal, moderate (docs/protocol/requests.md).
MAY = {
    Roles.subscriber: (False, True, False, False),
    Roles.publisher: (True, True, True, False),
    Roles.publisher_only: (True, False, False, False),
    Roles.moderator: (True, True, True, True),
}


class Room:
    """A session, and clients that come into it with tokens of the SDK."""

    def __init__(self, stage, encrypted: bool) -> None:
        self.stage, self.encrypted = stage, encrypted
        self.clients: list[Session] = []
        self.sdk = opentok.Client(stage.api_key, stage.api_secret, api_url=stage.url)

    async def open(self) -> None:
        made = await asyncio.to_thread(
            self.sdk.create_session, media_mode=opentok.MediaModes.routed, e2ee=self.encrypted
        )
        self.id = made.session_id

    def client(self, **token: object) -> Session:
        minted = self.sdk.generate_token(self.id, **token)
        secret = SECRET if self.encrypted else None
        session = Session(self.stage.url, self.stage.api_key, self.id, minted, secret)
        self.clients.append(session)
        return session

    async def join(self, **token: object) -> Session:
        session = self.client(**token)
        await session.connect()
        return session

    async def close(self) -> None:
        """What its clients encode would leave no time to those of the next test."""
        for client in self.clients:
            await client.disconnect()


@pytest_asyncio.fixture(loop_scope="module", params=[False, True], ids=["clear", "encrypted"])
async def room(stage, request):
    made = Room(stage, request.param)
    await made.open()
    yield made
    await made.close()


async def outcome(action) -> bool:
    """Whether it was allowed; another failure than that of the role is a failure of the test."""
    try:
        await action
    except errors.SealrouteError as refused:
        if refused.code == "permission_denied":
            return False
        raise
    return True


@pytest.mark.parametrize("role", list(MAY), ids=lambda role: role.value)
async def test_a_role_may_what_it_may_and_nothing_else(room, role):
    other = await room.join(role=Roles.moderator)
    stream_id = (await other.publish()).stream_id
    client = await room.join(role=role)
    await until(lambda: stream_id in client.streams)
    publish, subscribe, signal, moderate = MAY[role]
    assert await outcome(client.publish()) is publish
    assert await outcome(client.subscribe(stream_id)) is subscribe
    assert await outcome(client.signal("hello")) is signal
    assert await outcome(client.force_mute(stream_id)) is moderate
    assert await outcome(client.force_disconnect(other.connection_id)) is moderate
    shown = client.capabilities
    assert (shown["publish"], shown["subscribe"]) == (publish, subscribe)
    for name in ("forceUnpublish", "forceDisconnect", "forceMute"):
        assert shown[name] == moderate


async def test_the_data_and_the_classes_of_a_token_go_with_its_client(room):
    viewer = await room.join()
    client = await room.join(data="name=Bob&x=ü", initial_layout_class_list=["first", "second"])
    await until(lambda: client.connection_id in viewer.connections)
    assert viewer.connections[client.connection_id]["data"] == "name=Bob&x=ü"
    stream_id = (await client.publish()).stream_id
    await until(lambda: stream_id in viewer.streams)
    shown = await asyncio.to_thread(room.sdk.get_stream, room.id, stream_id)
    assert shown.layoutClassList == ["first", "second"]


async def test_a_running_connection_outlives_its_token_and_a_new_one_is_refused(room):
    lifetime_s = 5
    ends_s = int(time.time()) + lifetime_s
    client = await room.join(expire_time=ends_s)
    late = room.client(expire_time=ends_s)
    await asyncio.sleep(lifetime_s + 1)  # the clock of the server process decides
    assert await outcome(client.signal("still here"))
    with pytest.raises(errors.SealrouteError) as refused:
        await late.connect()
    assert refused.value.code in ("token_expired", "authentication_failed")


async def test_a_token_for_another_session_or_of_a_stranger_opens_nothing(room, stage):
    other = Room(stage, encrypted=room.encrypted)
    await other.open()
    foreign = other.sdk.generate_token(other.id)
    stranger = opentok.Client(stage.api_key, "0" * 40, api_url=stage.url).generate_token(room.id)
    for token in (foreign, stranger, "T1==" + "A" * 40, "x.y.z"):
        session = Session(
            stage.url, stage.api_key, room.id, token, SECRET if room.encrypted else None
        )
        with pytest.raises(errors.SealrouteError) as refused:
            await session.connect()
        assert refused.value.code == "authentication_failed"
