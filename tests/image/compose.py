"""docker-compose.yml and what can be added to it, as Compose itself reads them."""

import json
import os
import shutil
import subprocess
from pathlib import Path

import pytest
import yaml

ROOT = Path(__file__).parents[2]
TURN, PRIORITY = "deploy/turn.yml", "deploy/priority.yml"
EGRESS = "deploy/egress.yml"
CADDY, TURN_TLS, MONITORING = "deploy/caddy.yml", "deploy/turn-tls.yml", "deploy/monitoring.yml"
TURN_VARIABLES = {"SEALROUTE_PUBLIC_IP": "203.0.113.7", "TURN_URLS": "turn:203.0.113.7"}
CADDY_VARIABLES = {"SEALROUTE_DOMAIN": "video.example.com", "HTTP_PUBLISH": "127.0.0.1:8080"}
TLS_VARIABLES = {
    **TURN_VARIABLES,
    **CADDY_VARIABLES,
    "HTTPS_PUBLISH": "203.0.113.7:443",
    "TURN_DOMAIN": "turn.example.com",
    "TURN_ADDRESS": "203.0.113.8",
}


def compose(*files: str, **variables: str) -> subprocess.CompletedProcess[str]:
    words = ["-f", "docker-compose.yml", *(word for file in files for word in ("-f", file))]
    return subprocess.run(
        [str(shutil.which("docker-compose")), *words, "config"],
        cwd=ROOT,
        env={"PATH": os.environ["PATH"], **variables},
        capture_output=True,
        text=True,
        check=False,
    )


def services(*files: str, **variables: str) -> dict:
    done = compose(*files, **variables)
    assert done.returncode == 0, done.stderr
    return yaml.safe_load(done.stdout)["services"]


CHOICES = [
    ((), {}),
    ((TURN,), TURN_VARIABLES),
    ((PRIORITY,), {}),
    ((TURN, PRIORITY), TURN_VARIABLES),
    ((EGRESS,), {}),
    ((CADDY, MONITORING), CADDY_VARIABLES),
    ((CADDY, TURN, TURN_TLS), TLS_VARIABLES),
]

LIFTED = ["seccomp=deploy/egress-seccomp.json", "apparmor=unconfined", "systempaths=unconfined"]
"""What the jail of a browser is made of, and Docker forbids."""


@pytest.mark.parametrize(("files", "variables"), CHOICES)
def test_every_service_of_every_choice_has_only_what_it_needs(files, variables):
    for name, service in services(*files, **variables).items():
        assert service["cap_drop"] == ["ALL"], name
        lifted = LIFTED if name == "sealroute" and EGRESS in files else []
        # Releases of Compose write it with either sign.
        given = {one.replace(":", "=") for one in service["security_opt"]}
        assert given == {"no-new-privileges=true", *lifted}, name
        assert service["read_only"] is True, name
        assert service["mem_limit"], name
        assert service["pids_limit"], name
        assert set(service.get("cap_add", [])) <= {"NET_BIND_SERVICE"}, name
        assert "privileged" not in service, name


def test_what_an_engine_without_root_refuses_is_only_added_on_request():
    assert "ulimits" not in services()["sealroute"]
    assert services(PRIORITY)["sealroute"]["ulimits"] == {"nice": 31}


def test_the_image_with_a_browser_is_only_built_on_request():
    assert services(EGRESS)["sealroute"]["build"]["target"] == "egress"
    assert "target" not in services()["sealroute"]["build"]
    stages = [line.split() for line in (ROOT / "Dockerfile").read_text().splitlines()]
    last = [words for words in stages if words[:1] == ["FROM"]][-1]
    assert last == ["FROM", "runtime"], "without a target the last stage is built"


def test_its_profile_lets_through_what_a_jail_takes_and_nothing_that_only_administrators_need():
    profile = json.loads((ROOT / "deploy" / "egress-seccomp.json").read_text())
    (rule,) = profile["syscalls"]
    assert rule["action"] == "SCMP_ACT_ERRNO"
    jail = {"clone", "clone3", "unshare", "mount", "umount2", "pivot_root", "sethostname", "chroot"}
    assert not jail & set(rule["names"])
    assert {"bpf", "kexec_load", "init_module", "keyctl", "ptrace", "setns"} <= set(rule["names"])


def test_the_node_publishes_its_calls_and_nothing_of_its_operation():
    published = {(str(one["target"]), one.get("protocol", "tcp")) for one in _ports("sealroute")}
    assert published == {("8080", "tcp"), ("10000", "udp"), ("10000", "tcp")}
    assert all(one.startswith("127.0.0.1:") for one in _ports("prometheus"))


def _ports(service: str) -> list:
    return services()[service]["ports"]


def test_behind_caddy_nobody_else_reaches_the_node_or_the_certificate_of_another():
    found = services(CADDY, TURN, TURN_TLS, MONITORING, **TLS_VARIABLES)
    assert _published(found["sealroute"]) >= {"127.0.0.1:8080:8080/tcp"}
    assert "0.0.0.0:8080" not in str(found["sealroute"]["ports"])
    assert _published(found["caddy"]) == {
        "80:80/tcp",
        "203.0.113.7:443:443/tcp",
        "203.0.113.7:443:443/udp",
    }
    assert all(one.startswith("127.0.0.1:") for one in _published(found["grafana"]))
    assert "--listening-ip=203.0.113.8" in found["turn"]["command"]
    assert "--no-tls" not in found["turn"]["command"]
    environment = found["sealroute"]["environment"]
    assert environment["SEALROUTE_HTTP_TRUSTED_PROXIES"].endswith("/24")
    assert environment["SEALROUTE_ARCHIVE_PUBLIC_URL"] == "https://video.example.com"


def _published(service: dict) -> set[str]:
    """As "host:port:port/protocol", however this release of Compose writes it."""
    long = [
        f"{one['published']}:{one['target']}" if isinstance(one, dict) else str(one)
        for one in service["ports"]
    ]
    return {one if "/" in one else f"{one}/tcp" for one in long}


@pytest.mark.parametrize("missing", sorted(TLS_VARIABLES.keys() - TURN_VARIABLES.keys()))
def test_what_a_choice_needs_is_asked_for_by_name(missing):
    variables = {name: value for name, value in TLS_VARIABLES.items() if name != missing}
    done = compose(CADDY, TURN, TURN_TLS, **variables)
    assert done.returncode != 0
    assert missing in done.stderr


def test_no_address_is_claimed_that_nobody_named():
    assert services()["sealroute"]["environment"]["SEALROUTE_PUBLIC_IP"] == ""


def test_both_servers_read_the_turn_secret_from_one_file_and_it_is_nowhere_else():
    found = services(TURN, **TURN_VARIABLES)
    for name in ("sealroute", "turn"):
        assert [one["source"] for one in found[name]["secrets"]] == ["turn-secret"]
    variables = found["sealroute"]["environment"]
    assert variables["SEALROUTE_ICE_TURN_SECRET_FILE"] == "/run/secrets/turn-secret"
    assert "SEALROUTE_ICE_TURN_SECRET" not in variables
    assert not [word for word in found["turn"]["command"] if "secret" in word]


@pytest.mark.parametrize("missing", list(TURN_VARIABLES))
def test_a_turn_server_that_nobody_could_reach_is_refused_with_what_is_missing(missing):
    variables = {name: value for name, value in TURN_VARIABLES.items() if name != missing}
    done = compose(TURN, **variables)
    assert done.returncode != 0
    assert missing in done.stderr


CLUSTER = "deploy/cluster.yml"


def test_three_nodes_differ_in_name_and_port_and_only_the_balancer_is_public():
    done = subprocess.run(
        [str(shutil.which("docker-compose")), "-f", CLUSTER, "config"],
        cwd=ROOT,
        env={"PATH": os.environ["PATH"], "SEALROUTE_PUBLIC_IP": "203.0.113.7"},
        capture_output=True,
        text=True,
        check=False,
    )
    assert done.returncode == 0, done.stderr
    found = yaml.safe_load(done.stdout)["services"]
    nodes = {name: found[name] for name in ("one", "two", "three")}
    for name, service in found.items():
        assert service["cap_drop"] == ["ALL"], name
        assert service["read_only"] is True, name
        assert service["mem_limit"], name
        assert "privileged" not in service, name
    names = [node["environment"]["SEALROUTE_CLUSTER_NAME"] for node in nodes.values()]
    assert names == list(nodes)
    for node in nodes.values():
        port = node["environment"]["SEALROUTE_MEDIA_PORT"]
        assert len(node["ports"]) == 2
        assert _published(node) <= {f"{port}:{port}/udp", f"{port}:{port}/tcp"}
    assert "ports" not in found["database"]
    assert _published(found["haproxy"]) == {"8080:8080/tcp"}
    environment = found["haproxy"]["environment"]
    assert {environment[f"NODE_{n}"] for n in (1, 2, 3)} == {f"{name}:8080" for name in nodes}
