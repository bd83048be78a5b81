import io
import logging
import platform
import re
import sys
from typing import get_args

import pytest
import structlog
from hypothesis import given
from hypothesis import strategies as st

from config.version import version
from sfu.egress.caption_lines import CaptionCount
from sfu.egress.connector_lines import ConnectorCount
from signaling.logs import REDACTED, configure_logs, redact
from signaling.metrics import Metrics

TOKEN = "eyJhbGciOiJIUzI1NiJ9.eyJpc3MiOiIxIn0.c2lnbmF0dXJl"


@pytest.fixture(params=["json", "console"])
def lines(request, monkeypatch):
    """Standard error while logs are configured as in production."""
    stream = io.StringIO()
    monkeypatch.setattr(sys, "stderr", stream)
    root = logging.getLogger()
    handlers, level = root.handlers[:], root.level
    configure_logs("debug", request.param)
    yield stream
    root.handlers[:] = handlers
    root.setLevel(level)
    structlog.reset_defaults()


@pytest.mark.parametrize(
    "key",
    [
        "token",
        "apiSecret",
        "encryption_secret",
        "sdp",
        "Authorization",
        "passphrase",
        "private_key",
        "key",
        "connection_data",
        "payload",
        "offerSdp",
    ],
)
def test_a_value_under_a_name_of_secrets_never_reaches_a_line(lines, key):
    structlog.get_logger("x").info("event", **{key: "hunter2", "nested": {key: ["hunter2"]}})
    text = lines.getvalue()
    assert "event" in text
    assert "hunter2" not in text


@pytest.mark.parametrize("credential", [TOKEN, "T1==cGFydG5lcl9pZD0x", f"bad token {TOKEN} here"])
def test_a_credential_is_taken_out_of_any_text_also_of_the_standard_library(lines, credential):
    structlog.get_logger("x").info("event", detail=credential, more=[credential])
    logging.getLogger("library").warning("said %s", credential)
    text = lines.getvalue()
    assert "event" in text
    assert "said" in text
    assert "c2lnbmF0dXJl" not in text
    assert "cGFydG5lcl9pZD0x" not in text


def test_a_traceback_is_logged_without_the_credential_in_its_message(lines):
    try:
        int(f"could not read {TOKEN}")
    except ValueError:
        structlog.get_logger("x").exception("failed")
    text = lines.getvalue()
    assert "ValueError" in text
    assert "c2lnbmF0dXJl" not in text


def test_bytes_are_never_logged():
    assert redact(None, "info", {"frame": b"abc"}) == {"frame": REDACTED}


@given(
    st.recursive(
        st.text() | st.binary() | st.none(),
        lambda inner: st.lists(inner) | st.dictionaries(st.text(), inner),
    )
)
def test_anything_can_be_redacted(value):
    assert redact(None, "info", {"detail": value}).keys() == {"detail"}


def test_media_counters_become_metrics_and_drops_are_reported_by_reason():
    counters = {"packets_sent": 7, "transports": 2, "drop.not_encrypted": 3, "drop.replayed": 1}
    text = Metrics(lambda: counters).render().decode()
    assert "sealroute_media_packets_sent_total 7.0" in text
    assert "sealroute_media_transports 2.0" in text
    assert 'sealroute_packets_dropped_total{reason="not_encrypted"} 3.0' in text
    counters["drop.replayed"] = 5
    assert 'sealroute_packets_dropped_total{reason="replayed"} 1.0' in text


def test_the_release_that_runs_is_a_metric():
    text = Metrics(dict).render().decode()
    labels = f'python="{platform.python_version()}",version="{version()}"'
    assert f"sealroute_build_info{{{labels}}} 1.0" in text


def test_every_metric_says_what_it_counts():
    text = Metrics(dict).render().decode()
    helped = {line.split()[2] for line in text.splitlines() if line.startswith("# HELP")}
    typed = {line.split()[2] for line in text.splitlines() if line.startswith("# TYPE")}
    assert helped == typed
    assert all(line.count(" ") > 3 for line in text.splitlines() if line.startswith("# HELP"))


def test_handshakes_and_lost_transports_are_counted_by_what_became_of_them():
    counted = {"handshakes.connected": 2, "handshakes.ice_timeout": 1, "transports_lost.closed": 3}
    text = Metrics(lambda: counted).render().decode()
    assert 'sealroute_dtls_handshakes_total{result="connected"} 2.0' in text
    assert 'sealroute_dtls_handshakes_total{result="ice_timeout"} 1.0' in text
    assert 'sealroute_transports_lost_total{reason="closed"} 3.0' in text


def test_what_happens_inside_audio_connections_is_counted():
    metrics = Metrics(dict)
    names = ("reconnects", "lies", *get_args(ConnectorCount))
    metrics.watch_connectors(lambda: dict.fromkeys(names, 3))
    text = metrics.render().decode()
    assert "sealroute_audio_lies_total 3.0" in text
    assert len(re.findall(r"^sealroute_audio_\w+_total 3\.0$", text, re.MULTILINE)) == 7


def test_what_processes_of_captions_count_becomes_metrics():
    names = {*get_args(CaptionCount), "restarts", "lies", "captions"}
    metrics = Metrics(dict)
    metrics.watch_captions(lambda: dict.fromkeys(names, 3))
    text = metrics.render().decode()
    for name in names:
        assert f"sealroute_captions_{name}_total 3.0" in text
    assert "sealroute_captions_lies_total 3.0" in text
    assert "sealroute_captions_blocks_dropped_total 3.0" in text


def test_what_happens_inside_recordings_is_counted_by_reason():
    metrics = Metrics(dict)
    counted = {"starts": 9, "restarts": 2, "lies": 1, "ignored.implausible_time": 4}
    metrics.watch_egress(lambda: counted)
    text = metrics.render().decode()
    assert "sealroute_egress_restarts_total 2.0" in text
    assert "sealroute_egress_lies_total 1.0" in text
    assert 'sealroute_egress_ignored_total{reason="implausible_time"} 4.0' in text
