"""The command line `sealroute-client` against a small server: what it prints, and how it ends."""

import asyncio
import json
import os
import pty
import signal
import sys

import pytest
from sealroute_client.signaling import VERSION

from tests.small_server import SECRET, Server, short_film, until

pytestmark = [pytest.mark.interop, pytest.mark.timeout(150)]


@pytest.fixture
async def server():
    running = Server()
    await running.start()
    yield running
    await running.stop()
    assert running.invalid == []


async def run_cli(
    server,
    verb,
    *options,
    stdin=asyncio.subprocess.DEVNULL,
    stdout=asyncio.subprocess.PIPE,
    secret=SECRET,
    token=("--token", "t"),
    url=None,
    **variables,
):
    environment = {**os.environ, "PYTHONWARNINGS": "error", **variables}
    environment.pop("SEALROUTE_SECRET", None)
    if secret is not None:
        environment["SEALROUTE_SECRET"] = secret
    common = ("--url", url or server.url, "--api-key", "k", "--session", "session", *token)
    return await asyncio.create_subprocess_exec(
        *(sys.executable, "-m", "sealroute_client", verb, *common, *options),
        stdin=stdin,
        stdout=stdout,
        stderr=asyncio.subprocess.PIPE,
        env=environment,
    )


async def result_of(process) -> tuple[int, list[dict], str]:
    out, err = await asyncio.wait_for(process.communicate(), 100)
    return process.returncode, [json.loads(line) for line in out.splitlines()], err.decode()


async def test_the_command_line_records_for_the_given_time_and_leaves_cleanly(
    server, tmp_path
) -> None:
    process = await run_cli(server, "record", "--out", str(tmp_path), "--duration", "5", "--stats")
    code, lines, err = await result_of(process)
    names = [line["event"] for line in lines]
    assert (code, err) == (0, "")
    recorded = next(line for line in lines if line["event"] == "recorded")
    assert recorded["error"] is None
    assert recorded["frames"]["video"] > 20
    assert (tmp_path / "stream-peer.webm").stat().st_size > 1_000
    assert {"connected", "streamCreated", "subscribed", "recording", "stats"} <= set(names)
    assert SECRET not in str(lines)


async def test_a_recorder_with_another_secret_says_so_and_names_no_file(server, tmp_path) -> None:
    secret = "not the battery of the horse"
    process = await run_cli(
        server, "record", "--out", str(tmp_path), "--duration", "6", secret=secret
    )
    code, lines, err = await result_of(process)
    assert (code, err) == (4, "")
    (recorded,) = [line for line in lines if line["event"] == "recorded"]
    assert (recorded["path"], recorded["error"]) == (None, "EncryptionSecretMismatch")
    assert list(tmp_path.iterdir()) == []
    (error,) = [line for line in lines if line["event"] == "error"]
    assert error["code"] == "encryption_secret_mismatch"
    assert "another secret" in error["message"]
    assert secret not in str(lines)


async def test_a_receiver_with_another_secret_says_so(server) -> None:
    secret = "not the battery of the horse"
    process = await run_cli(server, "subscribe", "--duration", "6", secret=secret)
    code, lines, err = await result_of(process)
    assert (code, err) == (4, "")
    (error,) = [line for line in lines if line["event"] == "error"]
    assert error["code"] == "encryption_secret_mismatch"
    assert "was not received to its end" in error["message"]
    assert secret not in str(lines)


async def test_a_refused_call_of_the_recorder_makes_no_folder(server, tmp_path) -> None:
    folder = tmp_path / "recordings"
    process = await run_cli(server, "record", "--out", str(folder), url="ftp://server")
    code, _lines, _err = await result_of(process)
    assert code == 2
    assert not folder.exists()


async def test_the_end_of_a_file_is_printed_and_ends_the_run(server, tmp_path) -> None:
    file = str(short_film(tmp_path))
    code, lines, err = await result_of(await run_cli(server, "publish", "--media", file))
    assert (code, err) == (0, "")
    names = [line["event"] for line in lines]
    assert names.index("published") < names.index("ended") < names.index("disconnected")
    assert {"event": "ended", "streamId": "stream-me"} in lines


async def test_the_command_line_publishes_until_it_has_to_leave(server) -> None:
    process = await run_cli(
        server, "publish", "--test-pattern", "--commands", stdin=asyncio.subprocess.PIPE
    )
    await until(lambda: server.received("publish"), 60)
    await asyncio.sleep(0.5)  # lets some media flow before the end
    process.stdin.write(b'{"command":"signal","data":"x"}\nnonsense\n{"command":"leave"}\n')
    code, lines, err = await result_of(process)
    assert (code, err) == (0, "")
    assert [line["event"] for line in lines if line["event"] in ("published", "disconnected")] == [
        "published",
        "disconnected",
    ]
    assert "invalid_parameter" in [line.get("code") for line in lines]


@pytest.mark.parametrize(
    ("secret", "refuse", "expected"), [(None, False, 4), ("short", False, 4), (SECRET, True, 3)]
)
async def test_the_exit_code_reports_what_kind_of_failure_it_was(
    server, secret, refuse, expected
) -> None:
    server.refuse = refuse
    process = await run_cli(server, "subscribe", "--duration", "5", secret=secret)
    code, lines, err = await result_of(process)
    assert (code, err) == (expected, "")
    assert lines[0]["event"] == "error"


async def test_wrong_usage_exits_with_two(server) -> None:
    process = await run_cli(server, "publish", "--secret", "on the command line")
    out, _ = await asyncio.wait_for(process.communicate(), 60)
    assert (process.returncode, out) == (2, b"")


async def test_the_end_of_the_input_ends_no_command(server) -> None:
    process = await run_cli(
        server, "publish", "--test-pattern", "--commands", stdin=asyncio.subprocess.PIPE
    )
    await until(lambda: server.received("publish"), 60)
    process.stdin.write(b'{"command":"signal","data":"the last line has no end"}')
    process.stdin.close()
    await until(lambda: server.received("signal"), 60)
    await asyncio.sleep(0.5)  # real time: an end that must not come needs a while to be missed
    assert process.returncode is None
    process.send_signal(signal.SIGTERM)
    code, lines, err = await result_of(process)
    assert (code, err) == (0, "")
    assert lines[-1] == {"event": "disconnected", "reason": "clientDisconnected"}


async def test_the_input_is_left_alone_without_the_flag(server) -> None:
    process = await run_cli(server, "subscribe", "--duration", "2", stdin=asyncio.subprocess.PIPE)
    process.stdin.write(b'{"command":"leave"}\nnonsense\n')
    code, lines, err = await result_of(process)
    assert (code, err) == (0, "")
    assert "error" not in [line["event"] for line in lines]


async def test_it_says_encrypted_only_after_a_frame_was_and_shows_the_code(server) -> None:
    process = await run_cli(server, "subscribe", "--duration", "12")
    code, lines, err = await result_of(process)
    assert (code, err) == (0, "")
    connected = next(line for line in lines if line["event"] == "connected")
    assert connected["trust"] == "keyed"
    assert [len(group) for group in connected["verificationCode"].split(" ")] == [5] * 6
    reported = [line for line in lines if line["event"] == "encryptionStateChanged"]
    assert reported == [
        {"event": "encryptionStateChanged", "streamId": "stream-peer", "state": "encrypted"}
    ]
    names = [line["event"] for line in lines]
    assert names.index("subscribed") < names.index("encryptionStateChanged")


@pytest.mark.parametrize(
    ("verb", "options", "code", "words"),
    [
        ("publish", ("--media", "/nonexistent.mp4"), 1, "does not exist"),
        ("publish", ("--media", "/tmp"), 1, "folder"),
        ("publish", ("--media", "/dev/null"), 1, "no media"),
        ("record", ("--out", "/proc/nope"), 2, "cannot be written"),
        ("record", ("--out", __file__), 2, "cannot be written"),
    ],
)
async def test_a_bad_file_or_folder_is_named_as_what_it_is(
    server, verb, options, code, words
) -> None:
    process = await run_cli(server, verb, *options, "--duration", "5")
    returned, lines, err = await result_of(process)
    assert (returned, err) == (code, "")
    (error,) = [line for line in lines if line["event"] == "error"]
    assert words in error["message"]
    assert error["code"] != "internal"


@pytest.mark.parametrize(
    "url", ["localhost:8080", "127.0.0.1", "ftp://host", "http://", "http://["]
)
async def test_a_url_that_is_none_is_refused_with_what_to_write(server, url) -> None:
    process = await run_cli(server, "subscribe", url=url)
    code, lines, err = await result_of(process)
    assert (code, err) == (2, "")
    assert lines[0]["code"] == "invalid_parameter"
    assert "URL" in lines[0]["message"]
    assert server.messages == []


@pytest.mark.parametrize("way", ["file", "environment"])
async def test_the_token_can_come_from_a_file_or_the_environment(server, tmp_path, way) -> None:
    (tmp_path / "token").write_text("from elsewhere\n")
    options = ("--token-file", str(tmp_path / "token")) if way == "file" else ()
    variables = {"SEALROUTE_TOKEN": "from elsewhere"} if way == "environment" else {}
    process = await run_cli(server, "subscribe", "--duration", "1", token=options, **variables)
    code, _, err = await result_of(process)
    assert (code, err) == (0, "")
    assert server.hellos[0]["token"] == "from elsewhere"


async def test_without_a_token_it_says_where_one_comes_from(server) -> None:
    process = await run_cli(server, "subscribe", token=())
    code, lines, _ = await result_of(process)
    assert code == 2
    assert "--token-file" in lines[0]["message"]


async def test_it_reports_its_version() -> None:
    process = await asyncio.create_subprocess_exec(
        *(sys.executable, "-m", "sealroute_client", "--version"), stdout=asyncio.subprocess.PIPE
    )
    out, _ = await asyncio.wait_for(process.communicate(), 60)
    assert (process.returncode, out.decode().strip()) == (0, f"sealroute-client {VERSION}")


async def test_on_a_terminal_it_shows_progress_and_no_json(server) -> None:
    ours, theirs = pty.openpty()
    process = await run_cli(server, "subscribe", "--duration", "7", stdout=theirs)
    os.close(theirs)

    def read_all() -> bytes:
        said = b""
        while True:
            try:
                chunk = os.read(ours, 4096)
            except OSError:  # the other side is closed
                return said
            if not chunk:
                return said
            said += chunk

    said = (await asyncio.wait_for(asyncio.to_thread(read_all), 100)).decode()
    os.close(ours)
    _, err = await process.communicate()
    assert (process.returncode, err) == (0, b"")
    assert "verification code" in said
    assert "encryptionStateChanged: stream-peer encrypted" in said
    assert "frames |" in said
    assert "kbit/s" in said
    assert "packets lost" in said
    assert '{"event"' not in said
