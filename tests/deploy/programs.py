"""The files of deploy/, read by the programs that they are for (`make test-deploy`)."""

import re
import shutil
import subprocess
import sys
from pathlib import Path

import pytest
import yaml

from tests.unit.test_deploy_files import board_queries

ROOT = Path(__file__).parents[2]
DEPLOY = ROOT / "deploy"


def said_by(*words: object, code: int = 0, **environment: str) -> str:
    """Output and errors of a program; it has to end with the code."""
    done = subprocess.run(
        [shutil.which(str(words[0])) or str(words[0]), *map(str, words[1:])],
        stdout=subprocess.PIPE,
        stderr=subprocess.STDOUT,
        env={"PATH": "/usr/sbin:/usr/bin:/bin", "HOME": "/nonexistent", **environment},
        text=True,
        timeout=60,
        check=False,
    )
    assert done.returncode == code, done.stdout
    return done.stdout


@pytest.mark.parametrize("with_turn", [False, True])
def test_caddy_takes_its_file_without_a_warning(tmp_path, with_turn):
    shutil.copy(DEPLOY / "caddy" / "Caddyfile", tmp_path)
    (tmp_path / "sites").mkdir()
    if with_turn:
        shutil.copy(DEPLOY / "caddy" / "turn.caddy", tmp_path / "sites")
    file = tmp_path / "Caddyfile"
    said = said_by(
        "caddy", "validate", "--config", file, "--adapter", "caddyfile", HOME=str(tmp_path)
    )
    assert "Valid configuration" in said
    warnings = [line for line in said.splitlines() if '"warn"' in line]
    assert [line for line in warnings if "sites/*.caddy" not in line] == []
    said_by("caddy", "fmt", file, HOME=str(tmp_path))


def test_haproxy_takes_its_file_without_a_warning():
    nodes = {f"NODE_{number}": f"127.0.0.{number}:8080" for number in (1, 2, 3)}
    file = DEPLOY / "haproxy" / "haproxy.cfg"
    said = said_by("haproxy", "-c", "-f", file, HAPROXY_BIND="127.0.0.1:8080", **nodes)
    assert "valid" in said
    assert "WARNING" not in said


def test_prometheus_takes_its_files_and_each_alert_is_fired():
    folder = DEPLOY / "prometheus"
    assert "1 rule files found" in said_by("promtool", "check", "config", folder / "prometheus.yml")
    said_by("promtool", "check", "rules", folder / "alerts.yml")
    said_by("promtool", "test", "rules", ROOT / "tests" / "deploy" / "alerts.yml")


def test_prometheus_can_answer_every_query_of_the_board(tmp_path):
    queries = [one for one in board_queries() if one and not one.startswith("label_values")]
    plain = [one.replace("$__rate_interval", "1m").replace("$instance", ".*") for one in queries]
    assert not [one for one in plain if "$" in one]
    rules = [{"record": f"query:{number}", "expr": one} for number, one in enumerate(plain)]
    file = tmp_path / "board.yml"
    file.write_text(yaml.safe_dump({"groups": [{"name": "board", "rules": rules}]}))
    assert f"{len(rules)} rules found" in said_by("promtool", "check", "rules", file)


def test_systemd_takes_the_service_and_finds_it_confined(tmp_path):
    # The program is looked for where the unit has it: it is not on this machine.
    text = (DEPLOY / "systemd" / "sealroute.service").read_text()
    file = tmp_path / "sealroute.service"
    file.write_text(text.replace("/opt/sealroute/.venv/bin/sealroute", sys.executable))
    assert said_by("systemd-analyze", "verify", file) == ""
    said = said_by("systemd-analyze", "security", "--offline=true", "--no-pager", file)
    exposure = re.search(r"exposure level for sealroute.service: ([\d.]+)", said)
    assert float(exposure[1]) < 2.5, said
    said = said_by("systemd-sysusers", "--dry-run", DEPLOY / "systemd" / "sealroute.sysusers")
    assert "error" not in said.lower()


def test_the_firewall_can_be_loaded_twice():
    file = DEPLOY / "systemd" / "sealroute.nft"
    # In a namespace of its own: the machine's rules stay as they are.
    twice = f"nft -f {file} && nft -f {file} && nft list table inet sealroute"
    said = said_by("unshare", "--net", "sh", "-c", twice)
    assert said.count("udp dport 10000") == 2
    assert "policy drop" in said


def test_the_kernel_knows_every_setting():
    for line in (DEPLOY / "systemd" / "90-sealroute.conf").read_text().splitlines():
        if line and not line.startswith("#"):
            name = line.partition("=")[0].strip()
            assert Path("/proc/sys", *name.split(".")).exists(), name


@pytest.mark.parametrize("file", ["sealroute.yml", "ingress.yml"])
def test_kubernetes_takes_its_manifests(file):
    command = ROOT / ".cache" / "deploy" / "bin" / "kubernetes-validate"
    said = said_by(command, "--strict", "-k", "1.31", DEPLOY / "kubernetes" / file)
    assert "ERROR" not in said
