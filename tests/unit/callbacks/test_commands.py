"""`sealroute callbacks …` and `sealroute doctor session` as a shell uses them."""

import asyncio
import json
import threading
from http.server import BaseHTTPRequestHandler, HTTPServer

import pytest
import vonage_jwt

from config.secret import Secret
from signaling.callbacks.journal import Journal
from signaling.callbacks.service import journal_folder
from signaling.cli.command_line import main
from signaling.cli.session_doctor import describe
from signaling.domain.callbacks import CallbackEvent
from signaling.domain.webhook_deliveries import Claim, NewWebhookDelivery, Outcome, Places
from signaling.storage.sqlite import open_sqlite
from signaling.storage.wrapping import wrapper_of


@pytest.fixture
def shell(tmp_path, capsys, monkeypatch):
    """Runs a command on a data folder; gives exit code, parsed JSON and standard error."""
    monkeypatch.setenv("SEALROUTE_DATA_DIR", str(tmp_path / "data"))
    monkeypatch.setenv("SEALROUTE_CALLBACKS_ALLOWED_NETWORKS", "127.0.0.0/8")

    def run(*words, as_json=True):
        code = main([*words, "--json"] if as_json else list(words))
        streams = capsys.readouterr()
        return (
            code,
            json.loads(streams.out) if as_json and streams.out else streams.out,
            streams.err,
        )

    run.data_dir = tmp_path / "data"
    _, project, _ = run("project", "create", "--e2ee")
    run.key = project["apiKey"]
    return run


class Receiver(BaseHTTPRequestHandler):
    """Remembers what came; `/broken` fails."""

    def do_POST(self):
        length = int(self.headers["Content-Length"])
        self.server.seen.append((dict(self.headers), json.loads(self.rfile.read(length))))
        self.send_response(500 if self.path == "/broken" else 200)
        self.end_headers()

    def log_message(self, *_):
        """Nothing on standard error."""


@pytest.fixture
def receiver():
    server = HTTPServer(("127.0.0.1", 0), Receiver)
    server.seen = []
    server.url = f"http://127.0.0.1:{server.server_port}"
    thread = threading.Thread(target=server.serve_forever)
    thread.start()
    yield server
    server.shutdown()
    thread.join()
    server.server_close()


def test_registrations_are_added_listed_and_removed(shell):
    words = ("--api-key", shell.key)
    _, made, _ = shell("callbacks", "add", *words, "--url", "https://app.example/x")
    assert (made["group"], made["event"]) == ("all", "all")
    narrow = ("--url", "https://app.example/y", "--group", "stream", "--event", "created")
    assert shell("callbacks", "add", *words, *narrow)[0] == 0
    _, listed, _ = shell("callbacks", "list", *words)
    assert [one["url"][-1] for one in listed] == ["x", "y"]
    assert shell("callbacks", "remove", *words, "--id", made["id"])[0] == 0
    code, _, error = shell("callbacks", "remove", *words, "--id", made["id"])
    assert (code, json.loads(error)["error"]) == (1, "callback_not_found")
    _, listed, _ = shell("callbacks", "list", *words)
    assert len(listed) == 1


@pytest.mark.parametrize("url", ["http://10.0.0.1/", "nonsense", "http://u:p@app.example/"])
def test_a_url_that_cannot_be_is_refused(shell, url):
    code, _, error = shell("callbacks", "add", "--api-key", shell.key, "--url", url)
    assert (code, json.loads(error)["error"]) == (1, "invalid_parameter")


def test_a_shot_reaches_the_receivers_of_the_event_with_a_signature(shell, receiver):
    words = ("--api-key", shell.key)
    shell("callbacks", "add", *words, "--url", receiver.url + "/all")
    only = ("--url", receiver.url + "/other", "--group", "session", "--event", "created")
    shell("callbacks", "add", *words, *only)
    code, shots, _ = shell("callbacks", "test", *words, "--event", "connectionDestroyed")
    assert (code, [(one["result"], one["status"]) for one in shots]) == (0, [("delivered", 200)])
    headers, body = receiver.seen[0]
    assert (body["event"], body["test"]) == ("connectionDestroyed", True)
    _, secret, _ = shell("callbacks", "secret", *words)
    token = headers["Authorization"].removeprefix("Bearer ")
    assert vonage_jwt.verify_signature(token, secret["signatureSecret"]) is True


def test_a_shot_that_misses_says_what_to_do(shell, receiver):
    words = ("--api-key", shell.key, "--url", receiver.url + "/broken")
    code, text, _ = shell("callbacks", "test", *words, as_json=False)
    assert code == 1
    assert "failed 500" in text
    assert "→" in text


def test_a_shot_at_nobody_says_so(shell):
    code, text, _ = shell("callbacks", "test", "--api-key", shell.key, as_json=False)
    assert (code, text) == (1, "No callback is registered for this event.\n")


async def _give_up(data_dir, key, callback):
    store = await open_sqlite(data_dir)
    url = "https://app.example/x"
    origin = "https://app.example:443"
    made = NewWebhookDelivery(
        event_id="e",
        callback_id=callback,
        project_id=key,
        session_id="s",
        origin=origin,
        url=url,
        event="sessionCreated",
        body="{}",
        created_ms=1,
        give_up_ms=2,
    )
    await store.callbacks.queue([made])
    (one,) = await store.callbacks.claim(Claim(now_ms=5, hidden_until_ms=9, places=Places(1, 1)))
    await store.callbacks.settle([Outcome(one.id, "timeout", dead=True, attempts=9)])
    await store.close()


def test_what_was_given_up_is_listed_and_queued_again(shell):
    words = ("--api-key", shell.key)
    _, made, _ = shell("callbacks", "add", *words, "--url", "https://app.example/x")
    asyncio.run(_give_up(shell.data_dir, shell.key, made["id"]))
    _, queue, _ = shell("callbacks", "queue")
    assert (queue["waiting"], queue["dead"]) == (0, 1)
    assert (queue["givenUp"][0]["attempts"], queue["givenUp"][0]["result"]) == (9, "timeout")
    assert "given up" in shell("callbacks", "queue", as_json=False)[1]
    assert shell("callbacks", "queue", "--api-key", "nobody")[0] == 1
    assert shell("callbacks", "retry", *words)[1] == {"queued": 1}
    _, queue, _ = shell("callbacks", "queue")
    assert (queue["waiting"], queue["dead"]) == (1, 0)


def test_what_a_killed_server_left_in_its_journal_waits_too(shell):
    words = ("--api-key", shell.key)
    for path in "xy":
        shell("callbacks", "add", *words, "--url", f"https://app.example/{path}")
    silent = Journal(journal_folder(shell.data_dir), 0, wrapper_of(Secret(""), shell.data_dir))
    silent.write(CallbackEvent("e1", "another", "s", "sessionDestroyed", 1, {}))
    silent.write(CallbackEvent("e2", shell.key, "s", "sessionDestroyed", 2_000, {}))
    silent.close(empty=False)
    _, queue, _ = shell("callbacks", "queue")
    assert (queue["waiting"], queue["notInOutbox"], queue["oldest_ms"]) == (2, 2, 2_000)
    assert (
        "2 of those waiting are not in the outbox" in shell("callbacks", "queue", as_json=False)[1]
    )


def test_the_doctor_of_sessions_says_when_there_is_no_session_or_no_server(shell):
    code, _, error = shell("doctor", "session", "2_nothing")
    assert (code, json.loads(error)["error"]) == (1, "session_not_found")
    _, made, _ = shell("session", "create", "--api-key", shell.key, "--e2ee")
    words = ("doctor", "session", made["sessionId"], "--url")
    code, _, error = shell(*words, "http://127.0.0.1:9")
    assert code == 1
    assert "--url" in json.loads(error)["message"]
    assert json.loads(shell(*words, "file:///etc/passwd")[2])["error"] == "configuration"


def test_a_diagnosis_is_readable():
    reason = {"code": "no_key_frame", "message": "No key frame."}
    received = {"kind": "video", "flowing": False, "bitrate": 0, "reasons": [reason, reason]}
    encoding = {"rid": "f", "bitrate": 700_000, "live": True, "width": 640, "height": 360}
    found = {
        "streamId": "s",
        "connectionId": "c",
        "tracks": [
            {
                "kind": "video",
                "codec": "vp8",
                "sending": True,
                "encodings": [encoding, {"bitrate": 0, "live": False}],
            }
        ],
        "subscribers": [{"connectionId": "d", "received": [received]}],
    }
    text = "\n".join(describe(found))
    assert "640x360" in text
    assert "700 kbps" in text
    assert "inactive" in text
    assert "NOTHING" in text
    assert text.count("no_key_frame: No key frame.") == 2


def test_networks_that_cannot_be_read_are_an_error_of_configuration(shell, monkeypatch):
    monkeypatch.setenv("SEALROUTE_CALLBACKS_ALLOWED_NETWORKS", "10.0.0.0/99")
    words = ("--api-key", shell.key, "--url", "https://app.example/")
    code, _, error = shell("callbacks", "add", *words)
    assert (code, json.loads(error)["error"]) == (1, "configuration")
