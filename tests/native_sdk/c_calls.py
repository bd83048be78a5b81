"""Programs in C in calls with the Python SDK, through a real server: content is looked at and
listened to, and objects are deleted where they are used."""

import asyncio
from pathlib import Path

import av
import numpy as np
import pytest
from sealroute_client.media.sources import read_counter

from tests.native_sdk.c_programs import A_WHILE_S, Member, compat_program, environment
from tests.native_sdk.live import (
    OTHER_SECRET,
    PATTERN_TONE_HZ,
    is_pattern,
    pitch_hz,
    seen_and_heard,
    take,
)
from tests.served import SECRET, Server, subscribed, until

TONE_HZ = 1_000
pytestmark = [pytest.mark.interop, pytest.mark.timeout(600)]


@pytest.fixture(params=[True, False], ids=["encrypted", "clear"])
async def call(request, tmp_path):
    running = Server(tmp_path / "data", e2ee=request.param)
    await running.start()
    yield running, SECRET if request.param else None
    await running.stop()


@pytest.fixture
async def server(tmp_path):
    running = Server(tmp_path / "data", e2ee=True)
    await running.start()
    yield running
    await running.stop()


@pytest.fixture
async def members():
    running: list[Member] = []
    yield running
    for member in running:
        if member.process.returncode is None:
            member.process.kill()
        await asyncio.gather(member.leave(), return_exceptions=True)


def joining(secret: str | None) -> tuple[str, ...]:
    return ("connect",) if secret is None else (f"secret {secret}", "connect")


def images_of(folder: Path) -> list:
    (path,) = folder.glob("seen-640x480.yuv")
    planes = np.fromfile(path, np.uint8).reshape(-1, 720, 640)
    return [av.VideoFrame.from_ndarray(plane, format="yuv420p") for plane in planes]


def heard_hz(folder: Path) -> float:
    samples = np.fromfile(folder / "heard.pcm", np.int16)[:48_000].astype(float)
    spectrum = np.abs(np.fft.rfft(samples * np.hanning(len(samples))))
    return float(np.argmax(spectrum) * 48_000 / len(samples))


async def test_the_python_client_sees_and_hears_what_a_program_in_c_captures(
    call, members, tmp_path
) -> None:
    server, secret = call
    member = await Member.start(server, tmp_path / "c", *joining(secret), "ignore")
    members.append(member)
    assert (await member.tells("connected"))["number"] == 1
    assert await member.answers("publish") == 0
    await member.tells("published")
    async with await server.member(secret) as session:
        subscriber = await subscribed(session)
        images, samples = await seen_and_heard(subscriber)
        assert all(is_pattern(image) for image in images)
        counters = [read_counter(image) for image in images]
        assert counters == sorted(counters)
        assert abs(pitch_hz(samples[10:]) - TONE_HZ) < 5
        assert subscriber.state.failed == 0
        member.command("code")
        code = (await member.tells("code"))["detail"]
        assert code == ("" if secret is None else session.verification_code())
    assert await member.answers("unpublish") == 0
    await member.tells("unpublished")
    assert len(member.told("capturer_stopped")) == 1
    assert await member.leave() == 0
    assert member.told("session_error") == member.told("publisher_error") == []


async def test_a_program_in_c_renders_what_the_python_client_publishes(
    call, members, tmp_path
) -> None:
    server, secret = call
    async with await server.member(secret) as session:
        await session.publish()
        member = await Member.start(server, tmp_path / "c", *joining(secret))
        members.append(member)
        await member.tells("seen")
        await member.tells("heard")
        assert await member.leave() == 0
    images = images_of(member.folder)
    assert len(images) == 60
    assert all(is_pattern(image) for image in images)
    assert abs(heard_hz(member.folder) - PATTERN_TONE_HZ) < 5
    assert member.told("subscriber_error") == []


async def test_two_programs_in_c_talk_and_change_the_secret_in_the_call(
    server, members, tmp_path
) -> None:
    first = await Member.start(server, tmp_path / "first", *joining(SECRET), "ignore")
    members.append(first)
    await first.tells("connected")
    assert await first.answers("publish") == 0
    await first.tells("published")
    second = await Member.start(server, tmp_path / "second", *joining(SECRET))
    members.append(second)
    await second.tells("subscribed")
    for member in (first, second):
        assert await member.answers(f"secret {OTHER_SECRET}") == 0
    # Only what is sent under the new secret opens here.
    third = await Member.start(server, tmp_path / "third", *joining(OTHER_SECRET))
    members.append(third)
    await third.tells("seen")
    await second.tells("seen")
    for member in (second, third):
        assert all(is_pattern(image) for image in images_of(member.folder))
    # It holds both.
    assert second.told("subscriber_error") == []
    assert await first.answers("signal from C 🔑") == 0
    assert (await second.tells("signal"))["detail"] == "from C 🔑"
    for member in (first, second, third):
        assert await member.leave() == 0


async def test_a_wrong_secret_is_told_once_by_its_number_until_the_right_one_is_set(
    server, members, tmp_path
) -> None:
    async with await server.member() as session:
        await session.publish()
        member = await Member.start(server, tmp_path / "c", *joining(OTHER_SECRET))
        members.append(member)
        assert (await member.tells("subscriber_error"))["number"] == 6003
        assert await member.answers(f"secret {SECRET}") == 0
        await member.tells("match")
        await member.tells("seen")
        assert len(member.told("subscriber_error")) == 1
        assert await member.leave() == 0
    assert all(is_pattern(image) for image in images_of(member.folder))


@pytest.mark.parametrize("kind", ["session", "publisher", "subscriber"])
async def test_an_object_may_be_deleted_in_its_own_callback(
    kind, server, members, tmp_path
) -> None:
    async with await server.member() as session:
        await session.publish()
        member = await Member.start(server, tmp_path / "c", f"deletes {kind}", *joining(SECRET))
        members.append(member)
        if kind == "publisher":
            await member.tells("connected")
            member.command("publish")
        assert await member.tells("deleted") == {"event": "deleted", "detail": kind, "number": 0}
        if kind == "subscriber":
            # The others go on, and are called.
            await session.signal("are you there?", type="chat")
            await member.tells("signal")
        assert await member.leave() == 0
        # Nothing of it is called any more.
        assert len(member.told("rendered")) == (1 if kind == "subscriber" else 0)
        # The Python client is a connection, too.
        await until(lambda: len(session.connections) <= 1, A_WHILE_S)


async def test_a_program_for_the_vendors_header_is_compiled_unmodified_and_publishes(
    server,
) -> None:
    program = await asyncio.to_thread(compat_program)
    process = await asyncio.create_subprocess_exec(
        *(str(program), server.api_key, server.session_id),
        stdin=asyncio.subprocess.PIPE,
        stdout=asyncio.subprocess.PIPE,
        env=environment(server, await server.token()) | {"SECRET": SECRET},
    )
    async with await server.member() as session:
        subscriber = await subscribed(session)
        images = await take(subscriber.video, 10)
        assert {(image.width, image.height) for image in images} == {(320, 240)}
        assert all(abs(image.to_ndarray().mean() - 128) < 4 for image in images)
        assert subscriber.state.failed == 0
    out, _ = await asyncio.wait_for(process.communicate(b"\n"), A_WHILE_S)
    assert (out.decode().split(), process.returncode) == (["110"], 0)
