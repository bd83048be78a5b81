"""The report of the doctor's test call: every outcome is a row, and every fault says what to do."""

import importlib.util
from argparse import Namespace
from dataclasses import replace

import pytest

from config.load import ConfigurationError
from config.settings import HttpSettings
from signaling.cli import call_doctor, call_report
from signaling.cli.call_doctor import CallDoctor
from signaling.cli.call_record import CallFailure, CallRecord, MediaRecord, PathRecord
from signaling.cli.call_report import report
from signaling.cli.call_setup import project_in, web_url
from signaling.cli.findings import exit_code, table
from signaling.cli.health import local_url

GOOD_PATH = PathRecord(
    state="connected",
    ice_state="completed",
    dtls_state="connected",
    offered=("udp 192.0.2.1:10000", "tcp 192.0.2.1:10000"),
    connect_ms=40,
    pair="host udp 198.51.100.7:50000 → host udp 192.0.2.1:10000",
    packets=1_000,
    lost=3,
    round_trip_ms=12.34,
)
SILENT_PATH = replace(
    GOOD_PATH, state="connecting", ice_state="checking", dtls_state="new", pair="", connect_ms=None
)


def good() -> CallRecord:
    return CallRecord(
        seconds=10,
        joined_ms={"sender": 11, "receiver": 12},
        codes_are_equal=True,
        paths={"uplink": GOOD_PATH, "downlink": replace(GOOD_PATH, round_trip_ms=None)},
        media={
            "audio": MediaRecord(80, 400, 401, 64_000, tone_hz=440.0),
            "video": MediaRecord(120, 200, 201, 700_000, numbers=(4, 5, 7)),
        },
        states={"sender": "encrypted", "receiver": "encrypted"},
    )


def rows(record: CallRecord) -> dict[str, tuple[str, str, str]]:
    found = report(record)
    assert all(bool(one.advice) == (one.state != "ok") for one in found)
    assert len({one.check for one in found}) == len(found)
    return {one.check: (one.state, one.detail, one.advice) for one in found}


def test_a_good_call_has_a_row_for_each_thing_that_was_proved():
    found = rows(good())
    assert {state for state, _, _ in found.values()} == {"ok"}
    assert exit_code(report(good())) == 0
    assert found["call: signaling"][1] == "11 ms (sender), 12 ms (receiver)"
    assert found["call: uplink"][1] == f"ICE and DTLS in 40 ms; {GOOD_PATH.pair}"
    assert found["call: round trip"][1] == "12.3 ms"
    assert "400" not in found["call: audio"][1]
    assert found["call: audio"][1] == "first frame decrypted after 80 ms; 401 frames, 64 kbit/s"
    assert found["call: pattern"][1] == "3 frames read, number 4 to 7, in order"


def test_figures_are_in_json_only_and_only_where_something_was_measured():
    by_check = {one.check: one for one in report(good())}
    assert by_check["call: video"].as_dict()["figures"] == {
        "firstFrameMs": 120.0,
        "frames": 201.0,
        "bitsPerSecond": 700_000.0,
    }
    assert "figures" not in by_check["call: tone"].as_dict()
    assert "bitsPerSecond" not in table(report(good()))


@pytest.mark.parametrize(
    ("failure", "words"),
    [
        (CallFailure("signaling", "connect_failed", "x", "refused"), "Start the server"),
        (CallFailure("signaling", "connect_failed", "x", "certificate"), "SSL_CERT_FILE"),
        (CallFailure("signaling", "connect_failed", "x", "status"), "WebSocket"),
        (CallFailure("signaling", "connect_failed", "x", "name"), "host name"),
        (CallFailure("signaling", "connect_failed", "x", "timeout"), "firewall"),
        (CallFailure("signaling", "connect_failed", "x", "tls"), "http://"),
        (CallFailure("signaling", "connect_failed", "x", "protocol"), "another release"),
        (CallFailure("signaling", "authentication_failed", "x"), "--data-dir"),
        (CallFailure("signaling", "token_expired", "x"), "time service"),
        (CallFailure("session", "status_400", "x"), "--e2ee"),
        (CallFailure("session", "status", "x", "status"), "proxy"),
        (CallFailure("publish", "encryption_internal", "x"), "no client trusts it"),
        (CallFailure("media", "certificate_mismatch", "x"), "Somebody stands between"),
        (CallFailure("media", "something new", "x"), "server's log"),
    ],
)
def test_every_failure_says_what_to_do(failure, words):
    record = CallRecord(10, failures=[failure, failure])
    ((check, (state, detail, advice)),) = rows(record).items()
    assert (check, state) == (f"call: {failure.step}", "error")
    assert failure.code in detail
    assert words in advice
    assert exit_code([call_report.refused(failure)]) == 1


def test_a_path_without_an_answer_is_reported_once_with_its_udp_addresses():
    record = good()
    record.paths = {"uplink": SILENT_PATH}
    record.states = {}
    record.failures = [
        CallFailure("publish", code, "x") for code in ("media_unreachable", "request_timeout")
    ]
    found = rows(record)
    assert list(found) == ["call: signaling", "call: uplink", "call: code"]
    state, detail, advice = found["call: uplink"]
    assert (state, detail) == ("error", "media unreachable: no answer from udp 192.0.2.1:10000")
    assert "SEALROUTE_PUBLIC_IP" in advice


def test_a_handshake_that_does_not_end_is_no_closed_port():
    record = good()
    record.paths["downlink"] = replace(GOOD_PATH, state="connecting", dtls_state="connecting")
    state, detail, advice = rows(record)["call: downlink"]
    assert state == "error"
    assert detail.startswith("DTLS connecting, over host udp")
    assert "MTU" in advice
    record.paths["downlink"] = replace(SILENT_PATH, offered=("tcp 192.0.2.1:10000",))
    assert "no UDP address" in rows(record)["call: downlink"][1]


@pytest.mark.parametrize(
    ("kind", "media", "check", "words"),
    [
        ("audio", MediaRecord(), "call: audio", "no frame was decrypted"),
        ("video", MediaRecord(frames=9), "call: video", "none could be decoded"),
        ("audio", MediaRecord(1, 9, 9, 1, tone_hz=None), "call: tone", "no tone"),
        ("audio", MediaRecord(1, 9, 9, 1, tone_hz=880.0), "call: tone", "880 Hz heard"),
        ("video", MediaRecord(1, 9, 9, 1, numbers=(3, 9, 8)), "call: pattern", "out of order"),
        ("video", MediaRecord(1, 9, 9, 1, numbers=(3, 3)), "call: pattern", "out of order"),
    ],
)
def test_media_that_is_not_what_was_sent_is_an_error(kind, media, check, words):
    record = good()
    record.media[kind] = media
    state, detail, _ = rows(record)[check]
    assert state == "error"
    assert words in detail


def test_encryption_that_is_not_proved_on_both_sides_is_an_error():
    record = good()
    record.states["receiver"] = "pending"
    assert rows(record)["call: encryption"][:2] == (
        "error",
        "sender: encrypted, receiver: pending",
    )
    record.codes_are_equal = False
    assert rows(record)["call: code"][0] == "error"


def test_loss_and_distance_are_warnings():
    record = good()
    record.paths["downlink"] = replace(GOOD_PATH, packets=980, lost=20)
    record.paths["uplink"] = replace(GOOD_PATH, round_trip_ms=350.0)
    found = rows(record)
    assert found["call: loss"][0] == "warning"
    assert "downlink 20 of 1000 packets (2.0%)" in found["call: loss"][1]
    assert found["call: round trip"][0] == "warning"
    record.paths = {name: replace(GOOD_PATH, round_trip_ms=None) for name in record.paths}
    assert rows(record)["call: round trip"][:2] == ("warning", "not measured")
    assert exit_code(report(record)) == 0


def test_without_the_client_the_command_names_the_package(monkeypatch):
    find = importlib.util.find_spec
    monkeypatch.setattr(
        call_doctor.importlib.util,
        "find_spec",
        lambda name: None if name == "sealroute_client" else find(name),
    )
    found = CallDoctor(None).findings(Namespace(), "http://localhost:8080")
    assert found == [call_report.MISSING]
    assert "pip install ./sdk/python" in found[0].advice
    assert exit_code(found) == 1


@pytest.mark.parametrize(
    ("given", "expected"),
    [
        ("wss://video.example/", "https://video.example"),
        ("ws://[::1]:8080", "http://[::1]:8080"),
        ("https://video.example/a/", "https://video.example/a"),
    ],
)
def test_the_address_may_be_the_websockets(given, expected):
    assert web_url(given) == expected


@pytest.mark.parametrize("wrong", ["video.example", "file:///etc/passwd", "https://"])
def test_other_addresses_are_refused(wrong):
    with pytest.raises(ConfigurationError, match="wss://"):
        web_url(wrong)


@pytest.mark.parametrize(
    ("settings", "expected"),
    [
        (HttpSettings(), "http://127.0.0.1:8080"),
        (HttpSettings(host="::", tls_certificate="c.pem"), "https://[::1]:8080"),
        (HttpSettings(host="192.0.2.9", port=80), "http://192.0.2.9:80"),
        (HttpSettings(host="2001:db8::9"), "http://[2001:db8::9]:8080"),
    ],
)
def test_the_local_server_is_asked_where_it_listens(settings, expected):
    assert local_url(settings) == expected
    with pytest.raises(ConfigurationError, match="--url"):
        local_url(replace(settings, port=0))


def test_a_file_without_credentials_is_refused_and_not_shown(tmp_path):
    file = tmp_path / "project.json"
    for text in ("", "[]", '{"apiKey": "1"}', "the-secret"):
        file.write_text(text)
        with pytest.raises(ConfigurationError, match="apiSecret") as refused:
            project_in(str(file))
        assert "the-secret" not in str(refused.value)
    file.write_text('{"apiKey": "10000000", "apiSecret": "the-secret"}')
    assert "the-secret" not in repr(project_in(str(file)))
