"""`sealroute doctor` is right about each thing that it looks at: what is wrong is found, what is
right is not complained of, and every fault has its cause and what to do."""

import asyncio
import contextlib
import datetime as dt
import json
import re
import resource
import shutil
import socket
import threading
import time
from dataclasses import replace
from email.utils import formatdate
from http.server import BaseHTTPRequestHandler, HTTPServer
from pathlib import Path

import pytest

from bench.ports import free_port
from config.broadcast_settings import BroadcastSettings
from config.connector_settings import ConnectorSettings
from config.render_settings import RenderSettings
from config.secret import Secret
from config.settings import (
    ArchiveSettings,
    HttpSettings,
    IceSettings,
    MediaSettings,
    OperationsSettings,
    RoomsSettings,
    Settings,
    StorageSettings,
)
from config.version import version
from sfu.core_api import COUNTERS, DROP_REASONS
from signaling.cli import doctor_machine, doctor_renders, doctor_server, doctor_tls, doctor_turn
from signaling.cli.doctor import address_finding, examine
from signaling.cli.doctor_server import Local, local_findings, local_server
from signaling.cli.findings import Finding, table
from signaling.connectors import running
from signaling.egress import styles
from signaling.metrics import Metrics
from signaling.server import running_server
from tests.certificates import Authority
from tests.fakes.media_plane import FakeMediaPlane


def settings_in(folder, **http) -> Settings:
    return Settings(
        http=HttpSettings(**{"host": "127.0.0.1", "port": 0, **http}),
        operations=OperationsSettings(port=free_port()),
        media=MediaSettings(host="127.0.0.1", port=0),
        storage=StorageSettings(data_dir=str(folder)),
    )


def found(settings: Settings, check: str, url: str | None = None):
    rows = [one for one in examine(settings, url) if one.check == check]
    assert all(bool(row.advice) == (row.state != "ok") for row in rows)
    return rows


class Answers(BaseHTTPRequestHandler):
    """Another program, or a server whose clock is wrong."""

    headers_of: dict[str, str]

    def do_GET(self):
        body = json.dumps({"status": "ok"}).encode()
        self.send_response_only(200)
        for name, value in {"Content-Length": str(len(body)), **self.headers_of}.items():
            self.send_header(name, value)
        self.end_headers()
        self.wfile.write(body)

    def log_message(self, *_words):
        pass


@contextlib.contextmanager
def answering(**headers: str):
    handler = type("Handler", (Answers,), {"headers_of": headers})
    with HTTPServer(("127.0.0.1", 0), handler) as server:
        thread = threading.Thread(target=server.serve_forever, kwargs={"poll_interval": 0.01})
        thread.start()
        try:
            yield server.server_address[1]
        finally:
            server.shutdown()
            thread.join()


# --- ports and the running server ---------------------------------------------------------


def test_a_port_that_another_program_has_is_not_taken_for_the_servers(tmp_path):
    with answering(Server="nginx") as port:
        settings = settings_in(tmp_path, port=port)
        (row,) = found(settings, "http port")
        assert local_server(settings) is None
    assert (row.state, f"127.0.0.1:{port}" in row.detail) == ("error", True)
    assert "no server of these settings answers" in row.detail


def test_every_media_port_of_every_worker_is_looked_at(tmp_path):
    settings = settings_in(tmp_path)
    with socket.socket(socket.AF_INET, socket.SOCK_STREAM) as taken:
        taken.bind(("127.0.0.1", 0))
        taken.listen()
        port = taken.getsockname()[1]
        media = replace(settings.media, port=port - 1, workers=2)
        rows = found(replace(settings, media=media), "media port")
    # The port before it may be another program's: that is not this test's.
    of_port = [one for one in rows if f"127.0.0.1:{port} " in one.detail]
    assert len(rows) > len(of_port)
    faults = [one.detail for one in of_port if one.state == "error"]
    assert [f"127.0.0.1:{port} (TCP)" in one for one in faults] == [True]


async def test_its_own_running_server_is_found_and_asked(tmp_path):
    settings = settings_in(tmp_path, port=free_port())

    def fake_plane(_settings):
        return FakeMediaPlane(connect_at_once=True), 0

    async with running_server(settings, open_plane=fake_plane) as server:
        rows = {one.check: one for one in await asyncio.to_thread(examine, settings, None)}
        for check in ("http port", "server /healthz", "server /readyz", "server clock"):
            assert rows[check].state == "ok", rows[check]
        assert "running server" in rows["http port"].detail
        assert (rows["server version"].state, rows["server version"].detail) == ("ok", version())
        assert rows["server descriptors"].state == "ok"
        assert rows["server media"].state == "ok"
        other_media = replace(settings, media=replace(settings.media, port=free_port()))
        for row in await asyncio.to_thread(found, other_media, "media port"):
            assert (row.state, "other settings" in row.advice) == ("warning", True)

        async def not_hurried(_seconds):
            return False

        await server.drain(not_hurried)
        (row,) = await asyncio.to_thread(found, settings, "server /readyz")
        assert (row.state, "draining" in row.detail) == ("error", True)


def test_a_server_without_metrics_is_distinguished_from_one_with_them(tmp_path):
    settings = settings_in(tmp_path)
    (row,) = local_findings(Local("http://127.0.0.1:1", {}, None), settings)
    assert (row.state, str(settings.operations.port) in row.detail) == ("warning", True)


@pytest.mark.parametrize(
    ("figures", "release", "check", "state"),
    [
        ({"process_max_fds": 100.0, "process_open_fds": 90.0}, "", "server descriptors", "error"),
        ({"process_max_fds": 100.0, "process_open_fds": 9.0}, "", "server descriptors", "ok"),
        (
            {doctor_server._RECEIVED: 1e6, doctor_server._DROPPED: 5e3},
            "",
            "server media",
            "warning",
        ),
        ({doctor_server._RECEIVED: 1e6, doctor_server._DROPPED: 5.0}, "", "server media", "ok"),
        ({"x": 1.0}, "0.0.1", "server version", "warning"),
        ({"x": 1.0}, None, "server version", "warning"),
        ({"x": 1.0}, version(), "server version", "ok"),
    ],
)
def test_what_the_metrics_of_a_running_server_say(tmp_path, figures, release, check, state):
    rows = local_findings(Local("http://x", figures, release), settings_in(tmp_path))
    (row,) = [one for one in rows if one.check == check]
    assert (row.state, bool(row.advice)) == (state, state != "ok")


def test_the_server_writes_the_metrics_that_the_doctor_reads():
    """Else a renamed one would look like none lost."""
    totals = dict.fromkeys(
        [*(info.name for info in COUNTERS), *map("drop.{}".format, DROP_REASONS)], 0
    )
    text = Metrics(lambda: totals).render().decode()
    for name in (doctor_server._RECEIVED, doctor_server._DROPPED, "process_max_fds"):
        assert f"\n{name} " in text


def test_a_server_whose_clock_differs_is_named(tmp_path):
    with answering(Date=formatdate(time.time() - 400, usegmt=True)) as port:
        (row,) = found(settings_in(tmp_path), "server clock", f"http://127.0.0.1:{port}")
    assert (row.state, 390 <= int(row.detail.split()[0]) <= 500) == ("error", True)


def test_a_server_that_is_not_there_is_named_with_its_address_and_the_cause(tmp_path):
    url = f"http://127.0.0.1:{free_port()}"
    (row,) = found(settings_in(tmp_path), "server /healthz", url)
    assert (row.state, row.detail) == ("error", f"{url}/healthz: Connection refused")


# --- the machine ---------------------------------------------------------------------------


@pytest.mark.parametrize(
    ("addresses", "named", "state"),
    [
        (("127.0.0.1",), True, "warning"),
        (("127.0.0.1", "::1"), False, "warning"),
        (("10.0.0.5", "127.0.0.1"), False, "warning"),
        (("100.64.3.4",), False, "warning"),
        (("10.0.0.5",), True, "ok"),
        (("8.8.8.8",), True, "ok"),
        (("8.8.8.8", "10.0.0.5", "127.0.0.1"), False, "ok"),
    ],
)
def test_addresses_that_nobody_outside_reaches_are_no_addresses(addresses, named, state):
    row = address_finding(addresses, named=named)
    assert (row.state, bool(row.advice)) == (state, state != "ok")


def test_few_descriptors_are_reported_before_they_run_out(tmp_path, monkeypatch):
    limits = {"few": (1_024, 1_024), "many": (1_024, 524_288)}
    states = {}
    for name, limit in limits.items():
        monkeypatch.setattr(resource, "getrlimit", lambda _which, limit=limit: limit)
        states[name] = doctor_machine.descriptors(settings_in(tmp_path)).state
    assert states == {"few": "warning", "many": "ok"}


@pytest.mark.parametrize(("option", "knob"), [("RCVBUF", "rmem_max"), ("SNDBUF", "wmem_max")])
def test_a_small_buffer_is_named_with_the_command_for_it(monkeypatch, option, knob):
    small = getattr(socket, f"SO_{option}")
    full = doctor_machine.WANTED_BUFFER_BYTES
    monkeypatch.setattr(
        doctor_machine, "granted_bytes", lambda asked: 212_992 if asked == small else full
    )
    row = doctor_machine.buffers()
    assert (row.state, "212,992" in row.detail) == ("warning", True)
    assert row.advice == f"sysctl -w net.core.{knob}={full}"


def test_a_recording_wants_as_much_room_as_its_tap_asks_for(monkeypatch):
    tap = (Path(__file__).parents[2] / "native/worker/src/tap.rs").read_text()
    (megabytes,) = re.findall(r"SEND_BUFFER_BYTES: usize = (\d+) << 20;", tap)
    wanted = doctor_machine.WANTED_TAP_BYTES
    assert int(megabytes) << 20 == wanted
    assert doctor_machine.granted_tap_bytes() > 0
    monkeypatch.setattr(doctor_machine, "granted_tap_bytes", lambda: wanted)
    assert doctor_machine.tap_buffer().state == "ok"
    monkeypatch.setattr(doctor_machine, "granted_tap_bytes", lambda: 212_992)
    row = doctor_machine.tap_buffer()
    assert (row.check, row.state) == ("archive buffers", "warning")
    assert row.advice == f"sysctl -w net.core.wmem_max={wanted}"


@pytest.mark.parametrize(
    ("kept", "now", "state"),
    [(True, None, "ok"), (None, None, "ok"), (False, None, "warning"), (True, 86_400.0, "error")],
)
def test_a_clock_that_nobody_keeps_is_reported(monkeypatch, kept, now, state):
    monkeypatch.setattr(doctor_machine, "is_synchronized", lambda: kept)
    if now is not None:
        monkeypatch.setattr(time, "time", lambda: now)
    assert doctor_machine.clock().state == state


def test_the_kernel_says_whether_its_clock_is_kept():
    assert doctor_machine.is_synchronized() in {True, False, None}


@pytest.mark.parametrize(
    ("enabled", "words"), [(False, "only applications create sessions"), (True, "any visitor")]
)
def test_it_says_whether_visitors_may_open_rooms(tmp_path, enabled, words):
    settings = replace(settings_in(tmp_path), rooms=RoomsSettings(enabled=enabled))
    (row,) = found(settings, "rooms")
    assert (row.state, words in row.detail) == ("ok", True)


def test_what_renders_lack_is_named(tmp_path, monkeypatch):
    settings = settings_in(tmp_path)
    monkeypatch.setattr(doctor_renders, "missing_programs", lambda _settings: ["chromium"])
    (row,) = found(settings, "renders")
    assert (row.state, "chromium" in row.detail) == ("warning", True)
    assert "chromium" in row.advice
    monkeypatch.setattr(doctor_renders, "missing_programs", lambda _settings: [])
    monkeypatch.setattr(doctor_renders, "jail_refusal", lambda _bwrap: "not permitted")
    (row,) = found(settings, "renders")
    assert (row.state, "(not permitted)" in row.detail) == ("warning", True)
    assert "egress.yml" in row.advice
    monkeypatch.setattr(doctor_renders, "jail_refusal", lambda _bwrap: "")
    assert found(settings, "renders")[0].detail == "up to 2 pages at a time"
    udp = replace(settings, media=replace(settings.media, tcp=False))
    assert "[media] tcp" in found(udp, "renders")[0].detail
    off = replace(settings, render=RenderSettings(enabled=False))
    assert found(off, "renders")[0].detail == "off in the settings"


def test_what_a_jail_refuses_is_said_in_its_words(tmp_path):
    (tmp_path / "bwrap").write_text("#!/bin/sh\necho first >&2; echo 'no: EPERM' >&2; exit 1\n")
    (tmp_path / "bwrap").chmod(0o755)
    assert doctor_renders.jail_refusal(str(tmp_path / "bwrap")) == "no: EPERM"
    assert "No such file" in doctor_renders.jail_refusal(str(tmp_path / "none"))
    assert doctor_renders.jail_refusal("/bin/true") == ""


def test_what_an_audio_connector_lacks_is_named(tmp_path, monkeypatch):
    settings = settings_in(tmp_path)
    (row,) = found(settings, "audio connector")
    assert (row.state, "public addresses" in row.detail) == ("ok", True)
    off = replace(settings, connector=ConnectorSettings(enabled=False))
    assert found(off, "audio connector")[0].detail == "off in the settings"
    monkeypatch.setattr(running, "NEEDED", ("no_such_package",))
    (row,) = found(settings, "audio connector")
    assert (row.state, "no_such_package" in row.detail) == ("warning", True)


def test_what_custom_layouts_lack_is_named(tmp_path, monkeypatch):
    settings = settings_in(tmp_path)
    off = replace(
        settings,
        archive=ArchiveSettings(enabled=False),
        broadcast=BroadcastSettings(enabled=False),
    )
    assert found(off, "custom layouts")[0].detail == "off in the settings"
    monkeypatch.setattr(styles, "NEEDED", ("json",))
    monkeypatch.setattr(styles, "LIBRARY", "c")
    assert found(settings, "custom layouts")[0].state == "ok"
    monkeypatch.setattr(styles, "NEEDED", ("no_such_package",))
    monkeypatch.setattr(styles, "LIBRARY", "no-such-library")
    (row,) = found(settings, "custom layouts")
    assert row.state == "warning"
    assert "no_such_package, libpangoft2-1.0-0" in row.detail


def test_a_full_disk_is_reported(tmp_path, monkeypatch):
    full = shutil._ntuple_diskusage(10**10, 10**10, 10**7)
    monkeypatch.setattr(shutil, "disk_usage", lambda _path: full)
    (row,) = found(settings_in(tmp_path / "new"), "disk")
    assert (row.state, "10 MB" in row.detail) == ("warning", True)


# --- TLS -----------------------------------------------------------------------------------


@pytest.fixture
def authority(tmp_path, monkeypatch):
    """One that this machine trusts."""
    made = Authority(tmp_path)
    monkeypatch.setenv("SSL_CERT_FILE", str(made.trusted))
    return made


def of_file(settings: Settings):
    (row,) = doctor_tls.file_findings(settings.http, "calls.example")
    assert bool(row.advice) == (row.state != "ok")
    return row


DAY = dt.timedelta(days=1)


@pytest.mark.parametrize(
    ("name", "begins", "ends", "state", "word"),
    [
        ("calls.example", -DAY, 90 * DAY, "ok", "days left"),
        ("calls.example", -90 * DAY, 5 * DAY, "warning", "5 days left"),
        ("calls.example", -90 * DAY, -DAY, "error", "expired"),
        ("calls.example", DAY, 90 * DAY, "error", "not valid before"),
        ("other.example", -DAY, 90 * DAY, "error", "mismatch"),
    ],
)
def test_a_certificate_is_judged_as_clients_judge_it(
    authority, tmp_path, name, begins, ends, state, word
):
    file = authority.certificate(name, begins, ends)
    row = of_file(settings_in(tmp_path, tls_certificate=str(file)))
    assert (row.state, word in row.detail.lower(), str(file) in row.detail) == (state, True, True)


def test_a_certificate_of_nobody_is_a_warning_and_a_missing_one_a_fault(
    authority, tmp_path, monkeypatch
):
    file = authority.certificate("calls.example", -DAY, 90 * DAY)
    monkeypatch.delenv("SSL_CERT_FILE")
    row = of_file(settings_in(tmp_path, tls_certificate=str(file)))
    assert (row.state, "chain" in row.advice) == ("warning", True)
    other = authority.certificate("calls.example", -DAY, 90 * DAY)
    for missing in ({"tls_key": str(other)}, {"tls_certificate": str(tmp_path / "none.pem")}):
        row = of_file(settings_in(tmp_path, **{"tls_certificate": str(file), **missing}))
        assert row.state == "error"


def test_without_a_certificate_nothing_is_said_of_certificates(tmp_path):
    assert found(settings_in(tmp_path), "tls") == []


def test_what_is_no_tls_server_is_named(tmp_path):
    with answering() as port:
        (row,) = found(settings_in(tmp_path), "tls", f"https://127.0.0.1:{port}")
    assert (row.state, f"127.0.0.1:{port}" in row.detail) == ("error", True)


# --- TURN (an allocation from a real server: tests/interop/test_doctor_turn.py) ---------------


@pytest.mark.parametrize(
    ("url", "host", "port", "transport", "secure"),
    [
        ("turn:turn.example", "turn.example", 3478, "udp", False),
        ("turn:turn.example:99?transport=tcp", "turn.example", 99, "tcp", False),
        ("turns:turn.example", "turn.example", 5349, "tcp", True),
        ("turns:turn.example:443?transport=tcp", "turn.example", 443, "tcp", True),
        ("turn:[2001:db8::7]:99", "2001:db8::7", 99, "udp", False),
        ("turn:[2001:db8::7]", "2001:db8::7", 3478, "udp", False),
    ],
)
def test_the_url_of_a_turn_server_says_how_to_reach_it(url, host, port, transport, secure):
    target = doctor_turn.parsed(url)
    assert (target.host, target.port, target.transport, target.secure) == (
        host,
        port,
        transport,
        secure,
    )


@pytest.mark.parametrize(
    "url", ["turn::1", "turn:x:y", "turns:x?transport=udp", "turn:x:1?transport=z"]
)
def test_what_no_client_can_use_is_refused(tmp_path, url):
    ice = IceSettings(turn_urls=url, turn_secret=Secret("x" * 32))
    (row,) = found(replace(settings_in(tmp_path), ice=ice), "turn")
    assert (row.state, url in row.detail) == ("error", True)


def test_turn_without_its_secret_is_reported(tmp_path):
    ice = IceSettings(turn_urls="turn:turn.example")
    (row,) = found(replace(settings_in(tmp_path), ice=ice), "turn")
    assert (row.state, "turn_secret" in row.detail) == ("error", True)


@pytest.mark.parametrize(
    ("address", "state"), [("8.8.8.8", "ok"), ("10.0.0.5", "warning"), ("127.0.0.1", "warning")]
)
def test_a_relay_at_an_address_that_nobody_reaches_is_reported(address, state):
    assert doctor_turn.relay_finding("turn:x", address).state == state


def test_what_a_check_says_stands_apart_from_its_name() -> None:
    rows = [
        Finding("disk", "ok", "9 MB free"),
        Finding("archives in buckets", "warning", "at any address", "Forbid it."),
    ]
    assert table(rows).splitlines() == [
        "ok      disk                9 MB free",
        "warning archives in buckets at any address",
        "                            → Forbid it.",
    ]
