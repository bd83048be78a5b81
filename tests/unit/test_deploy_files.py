"""What an operator takes from deploy/ fits the server: its metrics, settings, ports and times.

That Caddy, Prometheus, systemd and nftables can read it is shown by `make test-deploy`.
"""

import configparser
import json
import re
import tomllib
from collections.abc import Iterator
from pathlib import Path

import pytest
import yaml

from config.load import load_settings
from config.settings import HttpSettings, MediaSettings, OperationsSettings, SignalingSettings
from sfu.core_api import COUNTERS, DROP_REASONS
from sfu.plane_counters import LABELS, PlaneCounter
from signaling.cli.doctor_machine import WANTED_BUFFER_BYTES
from signaling.domain.error_codes import ErrorCode
from signaling.metrics import _LABELED, Metrics

DEPLOY = Path(__file__).parents[2] / "deploy"
RULES = DEPLOY / "prometheus" / "alerts.yml"
BOARD = DEPLOY / "grafana" / "sealroute.json"
SELECTOR = re.compile(r"\b((?:sealroute|process)_[a-z0-9_]+)\b(?:\{([^}]*)\})?")
MATCHER = re.compile(r'(\w+)(?:=~|!~|!=|=)"([^"]*)"')
OF_PROMETHEUS = {"job", "instance", "le"}
CODES = {code.value for code in ErrorCode} | {"ok"}
VALUES = {
    "sealroute_packets_dropped_total": set(DROP_REASONS),
    "sealroute_joins_total": CODES,
    "sealroute_authentication_failures_total": CODES,
    "sealroute_dtls_handshakes_total": {"connected"},
    "sealroute_tls_reloads_total": {"ok", "failed"},
}
"""The values that a label may have, for metrics by whose labels something is selected."""


def settings_of(text: str) -> dict[str, str]:
    lines = [line for line in text.splitlines() if line and not line.startswith("#")]
    return {name: value.strip('"') for name, _, value in (line.partition("=") for line in lines)}


# --- metrics -------------------------------------------------------------------------------


def metrics() -> dict[str, set[str]]:
    """The series of the server's own /metrics, and the labels of each."""
    totals = dict.fromkeys(info.name for info in COUNTERS)
    totals |= dict.fromkeys(name for name in PlaneCounter if name not in LABELS)
    made = Metrics(lambda: dict.fromkeys(totals, 0))
    made.watch_egress(dict)
    made.watch_connectors(dict)
    names = re.findall(r"^# TYPE (\S+) (\w+)$", made.render().decode(), re.MULTILINE)
    found: dict[str, set[str]] = {}
    for name, kind in names:
        ends = ("_bucket", "_count", "_sum") if kind == "histogram" else ("",)
        found |= {name + end: set() for end in ends}
    for collector in made.registry._collector_to_names:
        labels = set(getattr(collector, "_labelnames", ()))
        for name in made.registry._collector_to_names[collector]:
            if name in found:
                found[name] = labels
    found |= {f"{name}_total": {label} for name, _, label in _LABELED.values()}
    return found | {"sealroute_egress_ignored_total": {"reason"}}


def rules() -> list[dict]:
    return [
        rule for group in yaml.safe_load(RULES.read_text())["groups"] for rule in group["rules"]
    ]


def board_queries() -> Iterator[str]:
    board = json.loads(BOARD.read_text())
    for panel in board["panels"]:
        yield from (target["expr"] for target in panel.get("targets", ()))
    for variable in board["templating"]["list"]:
        yield variable.get("definition", "")


def wrong(query: str) -> list[str]:
    """What of a query selects nothing."""
    known = metrics()
    faults = []
    for name, selected in SELECTOR.findall(query):
        if name not in known:
            faults.append(f"{name}: not at /metrics")
            continue
        for label, value in MATCHER.findall(selected):
            if label not in known[name] | OF_PROMETHEUS:
                faults.append(f"{name}: has no label {label}")
            elif label not in OF_PROMETHEUS:
                unknown = set(value.split("|")) - VALUES.get(name, set())
                faults += [f"{name}: {label} is never {one}" for one in sorted(unknown)]
    return faults


@pytest.mark.parametrize("rule", rules(), ids=lambda rule: rule["alert"])
def test_an_alert_looks_at_metrics_that_exist(rule):
    assert wrong(rule["expr"]) == []
    assert rule["labels"]["severity"] in {"page", "ticket"}
    assert set(rule["annotations"]) == {"summary", "description"}


def test_the_board_shows_metrics_that_exist():
    queries = list(board_queries())
    assert len(queries) > 40
    assert {query: found for query in queries if (found := wrong(query))} == {}


def test_what_selects_nothing_is_found():
    assert wrong("rate(sealroute_renamed_total[5m])")
    assert wrong('sealroute_joins_total{reason="ok"}')
    assert wrong('sealroute_packets_dropped_total{reason=~"replayed|nowhere"}')
    assert not wrong('sealroute_join_duration_seconds_bucket{le="1",instance="a"}')


def test_every_alert_is_fired_by_a_test():
    text = (Path(__file__).parents[1] / "deploy" / "alerts.yml").read_text()
    fired = set(re.findall(r'alertname="(\w+)"', text))
    assert fired == {rule["alert"] for rule in rules()}


# --- settings, ports, times ------------------------------------------------------------------


def unit() -> configparser.SectionProxy:
    parser = configparser.RawConfigParser(strict=False)
    parser.optionxform = str  # type: ignore[assignment,method-assign]
    parser.read(DEPLOY / "systemd" / "sealroute.service")
    return parser["Service"]


def objects() -> dict[str, dict]:
    documents = yaml.safe_load_all((DEPLOY / "kubernetes" / "sealroute.yml").read_text())
    return {one["kind"]: one for one in documents}


def pod() -> dict:
    return objects()["Deployment"]["spec"]["template"]["spec"]


def test_the_settings_of_the_service_are_settings():
    text = (DEPLOY / "systemd" / "sealroute.env").read_text()
    assert load_settings(None, settings_of(text)).http.host == "127.0.0.1"
    # What is commented out, too: somebody will take it.
    text = re.sub(r"^#(SEALROUTE_)", r"\1", text, flags=re.MULTILINE)
    every = settings_of(text)
    del every["SEALROUTE_ICE_TURN_SECRET_FILE"]
    assert load_settings(None, every).http.tls_certificate


def test_the_settings_of_the_pod_are_settings():
    (container,) = pod()["containers"]
    values = dict(objects()["ConfigMap"]["data"])
    values |= {one["name"]: "203.0.113.7" for one in container["env"]}
    assert load_settings(None, values).operations.host == "0.0.0.0"


@pytest.mark.parametrize("name", ["caddy.yml", "turn.yml"])
def test_the_settings_that_compose_gives_are_settings(name):
    given = yaml.safe_load((DEPLOY / name).read_text())["services"]["sealroute"]["environment"]
    known = {key: "true" if key.endswith("ENABLED") else "x" for key in given if "FILE" not in key}
    load_settings(None, known)


def test_the_firewall_lets_the_ports_of_the_server_and_of_turn_in():
    text = (DEPLOY / "systemd" / "sealroute.nft").read_text()
    defined = dict(re.findall(r"^define (\w+) = (\S+)$", text, re.MULTILINE))
    turn = (DEPLOY / "turnserver.conf").read_text()
    relays = "-".join(
        re.search(rf"^{end}-port=(\d+)$", turn, re.MULTILINE)[1] for end in ("min", "max")
    )
    assert (defined["MEDIA"], defined["RELAYS"]) == (str(MediaSettings().port), relays)


def test_the_kernel_is_asked_for_the_buffers_that_a_worker_asks_for():
    values = settings_of((DEPLOY / "systemd" / "90-sealroute.conf").read_text().replace(" ", ""))
    for way in ("rmem", "wmem"):
        assert int(values[f"net.core.{way}_max"]) == WANTED_BUFFER_BYTES


def test_the_pod_has_the_ports_of_the_server():
    (container,) = pod()["containers"]
    ports = {one["name"]: one["containerPort"] for one in container["ports"]}
    assert ports == {
        "http": HttpSettings().port,
        "operations": OperationsSettings().port,
        "media-udp": MediaSettings().port,
        "media-tcp": MediaSettings().port,
    }
    for probe in ("startupProbe", "livenessProbe", "readinessProbe"):
        assert container[probe]["httpGet"]["port"] in ports
    (service,) = objects()["Service"]["spec"]["ports"]
    assert service["targetPort"] in ports


def test_the_objects_of_kubernetes_find_each_other():
    found = objects()
    labels = found["Deployment"]["spec"]["template"]["metadata"]["labels"]
    assert found["Deployment"]["spec"]["selector"]["matchLabels"] == labels
    assert found["Service"]["spec"]["selector"] == labels
    assert found["NetworkPolicy"]["spec"]["podSelector"]["matchLabels"] == labels
    (container,) = pod()["containers"]
    assert container["envFrom"][0]["configMapRef"]["name"] == found["ConfigMap"]["metadata"]["name"]
    claims = [one["persistentVolumeClaim"]["claimName"] for one in pod()["volumes"][:1]]
    assert claims == [found["PersistentVolumeClaim"]["metadata"]["name"]]
    assert {one["name"] for one in container["volumeMounts"]} == {
        one["name"] for one in pod()["volumes"]
    }
    spaces = {
        one["metadata"].get("namespace") for kind, one in found.items() if kind != "Namespace"
    }
    assert spaces == {found["Namespace"]["metadata"]["name"]}


def test_the_release_of_the_pod_is_this_one():
    declared = tomllib.loads((DEPLOY.parent / "pyproject.toml").read_text())["project"]["version"]
    assert pod()["containers"][0]["image"].endswith(f":{declared}")


def test_everybody_waits_until_the_clients_are_notified():
    settings = SignalingSettings()
    needed_s = settings.drain_s + settings.shutdown_ms / 1000
    compose = yaml.safe_load((DEPLOY.parent / "docker-compose.yml").read_text())
    given = [
        int(unit()["TimeoutStopSec"]),
        pod()["terminationGracePeriodSeconds"],
        int(compose["services"]["sealroute"]["stop_grace_period"].removesuffix("s")),
    ]
    assert min(given) > needed_s


def test_the_service_gives_the_server_what_it_asks_for():
    service = unit()
    assert int(service["LimitNOFILE"]) > HttpSettings().pending_connections
    assert service["ProtectSystem"] == "strict"
    assert service["NoNewPrivileges"] == "yes"
    assert "AF_NETLINK" in service["RestrictAddressFamilies"]


COPIED_TO = re.compile(r"\b(?:cp|install -m \S+) [^&|#]*?\s(/[\w./-]+/)(?:\S*)(?:\s|$)")
ALWAYS_THERE = {"/etc/sysctl.d/", "/etc/systemd/system/"}
"""Debian's procps and systemd have them; there is no /etc/sysusers.d, for one."""


@pytest.mark.parametrize("page", sorted(Path("docs").glob("*.md")), ids=lambda page: page.stem)
def test_what_a_page_copies_goes_to_a_folder_that_is_there_or_was_made(page) -> None:
    made: set[str] = set()
    for line in page.read_text().splitlines():
        for folders in re.findall(r"\b(?:install -d|mkdir -p)(?: -m \d+)?((?: /[\w./-]+)+)", line):
            made |= {f"{folder.rstrip('/')}/" for folder in folders.split()}
        for folder in COPIED_TO.findall(line):
            assert folder in made | ALWAYS_THERE, line


# --- three nodes ---------------------------------------------------------------------------


def test_each_node_of_the_cluster_is_one_by_its_settings(tmp_path):
    composed = yaml.safe_load((DEPLOY / "cluster.yml").read_text())
    for name, secret in (("database-url", "postgresql://a:b@database/c"), ("sealing-key", "k")):
        (tmp_path / name).write_text(secret)
    balanced = (DEPLOY / "haproxy" / "haproxy.cfg").read_text()
    asked = set(re.findall(r"\$\{(\w+)\}", balanced))
    assert asked == set(composed["services"]["haproxy"]["environment"])
    ports = set()
    for name in ("one", "two", "three"):
        given = {
            key: str(value).replace("/run/secrets", str(tmp_path))
            for key, value in composed["services"][name]["environment"].items()
            if key != "SEALROUTE_PUBLIC_IP"
        }
        given["SEALROUTE_HTTP_TRUSTED_PROXIES"] = "172.30.204.0/24"
        settings = load_settings(None, given)
        assert settings.cluster.name == name
        assert settings.storage.url.reveal().startswith("postgresql://")
        ports.add(settings.media.port)
        assert f" {name} " in balanced
    assert len(ports) == 3


def test_the_balancer_asks_what_the_nodes_answer_and_waits_longer_than_they_do():
    text = (DEPLOY / "haproxy" / "haproxy.cfg").read_text()
    assert "GET /readyz" in text
    waits = dict(re.findall(r"timeout (\S+) +(\d+)s", text))
    assert int(waits["http-keep-alive"]) * 1000 < HttpSettings().idle_timeout_ms
    tunnel = int(re.search(r"timeout tunnel +(\d+)m", text)[1])
    assert tunnel * 60_000 > 2.5 * SignalingSettings().keep_alive_ms
