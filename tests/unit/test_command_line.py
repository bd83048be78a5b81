"""`sealroute` as a shell uses it."""

import argparse
import asyncio
import json
import signal
import socket
import stat
import subprocess
import sys
import threading
import tomllib
from http.server import BaseHTTPRequestHandler, HTTPServer
from pathlib import Path

import pytest
from cryptography.hazmat.primitives import serialization
from cryptography.hazmat.primitives.asymmetric import rsa

from config.secret import Secret
from config.settings import Settings, StorageSettings
from sfu.native_plane import MediaPlaneSettings, NativeMediaPlane, WorkerSettings
from signaling.administration import DEVELOPMENT_FILE, first_project
from signaling.authenticator import Authenticator
from signaling.cli.command_line import build_parser, main
from signaling.cli.command_record import CHANGING
from signaling.cli.doctor import examine
from signaling.clock import SystemClock
from signaling.domain.roles import Role
from signaling.storage.sqlite import open_sqlite


@pytest.fixture
def shell(tmp_path, capsys, monkeypatch):
    """Runs a command on a data folder; gives exit code, parsed JSON and standard error."""
    monkeypatch.setenv("SEALROUTE_DATA_DIR", str(tmp_path / "data"))

    def run(*words):
        code = main([*words, "--json"])
        streams = capsys.readouterr()
        return code, json.loads(streams.out) if streams.out else None, streams.err

    run.data_dir = tmp_path / "data"
    return run


def test_a_new_project_is_printed_with_exactly_its_three_credentials(shell):
    code, project, _ = shell("project", "create", "--e2ee", "--name", "shop")
    assert code == 0
    assert set(project) == {"apiKey", "apiSecret", "applicationId"}
    _, listed, _ = shell("project", "list")
    assert [(one["name"], one["e2ee"]) for one in listed] == [("shop", True)]
    assert project["apiSecret"] not in json.dumps(listed)


def test_a_project_is_given_a_bucket_and_its_secret_is_never_shown(shell, tmp_path):
    _, project, _ = shell("project", "create", "--name", "shop")
    words = ("project", "storage", "--api-key", project["apiKey"])
    assert shell(*words)[1] == {"storage": "local"}
    secret = tmp_path / "secret"
    secret.write_text("very-secret-key\n")
    given = ("--identity", "AKIA1", "--secret-file", str(secret))
    endpoint = ("--endpoint", "https://minio.example.com:9000", "--region", "eu-central-1")
    code, set_, _ = shell(*words, "--s3", "recordings", *given, *endpoint)
    wanted = {"storage": "s3", "bucket": "recordings", "identity": "AKIA1"} | {
        "region": "eu-central-1",
        "endpoint": "https://minio.example.com:9000",
    }
    assert (code, set_, shell(*words)[1]) == (0, wanted, wanted)
    code, set_, _ = shell(*words, "--azure", "recordings", *given)
    assert (code, set_["storage"], set_["endpoint"]) == (0, "azure", None)
    for wrong in (
        ("--s3", "recordings"),
        ("--s3", "recordings", "--azure", "recordings", *given),
        ("--s3", "Not_A_Bucket", *given),
        ("--s3", "recordings", *given, "--endpoint", "file:///etc/passwd"),
        ("--s3", "recordings", *given, "--endpoint", "https://[x"),
        ("--s3", "recordings", *given, "--endpoint", "https://x:99999"),
        ("--s3", "recordings", "--identity", "AKIA1", "--secret-file", str(tmp_path / "none")),
        ("--s3", "recordings", "--identity", "", "--secret-file", str(secret)),
    ):
        code, _, complaint = shell(*words, *wrong)
        assert code != 0
        assert "very-secret" not in complaint
    assert shell(*words)[1]["storage"] == "azure"
    assert shell(*words, "--local")[1] == {"storage": "local"}
    assert "very-secret" not in (shell.data_dir / "audit.log").read_text()


def test_what_a_shell_changes_is_on_record_without_values_or_credentials(shell):
    _, project, _ = shell("project", "create", "--name", "shop")
    words = ("--api-key", project["apiKey"])
    shell("project", "update", *words, "--origins", "https://shop.example")
    shell("project", "rotate", *words)
    shell("project", "retire-key", *words, "--key-id", "unknown")
    shell("project", "list")
    _, added, _ = shell("operator", "add", "ada")
    file = shell.data_dir / "audit.log"
    assert stat.S_IMODE(file.stat().st_mode) == 0o600
    text = file.read_text()
    for secret in (project["apiSecret"], added["token"], "shop.example"):
        assert secret not in text
    lines = [json.loads(line) for line in text.splitlines()]
    assert [(one["command"], one["about"], one["outcome"]) for one in lines] == [
        ("project create", "shop", "done"),
        ("project update", project["apiKey"], "done"),
        ("project rotate", project["apiKey"], "done"),
        ("project retire-key", project["apiKey"], "not_found"),
        ("operator add", "ada", "done"),
    ]
    assert lines[1]["options"] == ["api_key", "origins"]
    assert all(one["operator"].startswith("shell:") for one in lines)


class _Liar(BaseHTTPRequestHandler):
    """Answers requests with words for a terminal."""

    def do_POST(self) -> None:
        body = json.dumps({"message": "no\x1b[2J\r"}).encode()
        self.send_response(403)
        self.send_header("Content-Length", str(len(body)))
        self.end_headers()
        self.wfile.write(body)

    def log_message(self, *_: object) -> None: ...


def test_no_control_character_of_a_server_reaches_the_terminal(shell, tmp_path, capsys):
    _, project, _ = shell("project", "create", "--e2ee")
    (tmp_path / "project.json").write_text(json.dumps(project))
    with HTTPServer(("127.0.0.1", 0), _Liar) as server:
        threading.Thread(target=server.serve_forever, daemon=True).start()
        url = f"http://127.0.0.1:{server.server_port}"
        code = main(["doctor", "--call", "--url", url, "--project", str(tmp_path / "project.json")])
        server.shutdown()
    output = capsys.readouterr().out
    assert code == 1
    assert "no?[2J?" in output
    assert not set(output) & set("\x1b\r")


def test_every_command_on_record_exists():
    parser = build_parser()
    found = set()
    pending = [parser]
    while pending:
        one = pending.pop()
        found.add(one.get_default("words"))
        for action in one._actions:
            if isinstance(action, argparse._SubParsersAction):
                pending += action.choices.values()
    assert found > CHANGING


@pytest.mark.parametrize("word", ["token", "health", "migrate", "session", "operator"])
def test_a_command_loads_nothing_that_only_other_commands_need(word):
    code = f"""
import sys
from signaling.cli.command_line import build_parser
build_parser([{word!r}])
print(*{{"aiohttp", "sqlalchemy", "uvloop", "sfu._native"}} & set(sys.modules))
"""
    done = subprocess.run([sys.executable, "-c", code], check=True, capture_output=True, timeout=60)
    assert done.stdout.split() == []


def test_a_project_can_be_changed(shell, tmp_path):
    key = rsa.generate_private_key(public_exponent=65537, key_size=2048).public_key()
    pem = tmp_path / "key.pem"
    pem.write_bytes(
        key.public_bytes(
            serialization.Encoding.PEM, serialization.PublicFormat.SubjectPublicKeyInfo
        )
    )
    _, project, _ = shell("project", "create")
    words = ("--api-key", project["apiKey"], "--e2ee", "--public-key", str(pem))
    code, changed, _ = shell("project", "update", *words)
    assert (code, changed["e2ee"], len(changed["publicKeys"])) == (0, True, 1)


def test_a_new_project_can_encrypt_by_default(shell):
    shell("project", "create", "--e2ee-by-default")
    _, (project,), _ = shell("project", "list")
    assert (project["e2ee"], project["e2eeByDefault"]) == (True, True)


def test_a_change_of_nothing_is_wrong_usage(shell):
    _, project, _ = shell("project", "create")
    code, _, complaint = shell("project", "update", "--api-key", project["apiKey"])
    assert (code, json.loads(complaint)["error"]) == (2, "usage")
    assert "nothing to change" in complaint


@pytest.mark.parametrize(
    "words",
    [
        ("project", "list"),
        ("project", "rotate", "--api-key", "1"),
        ("project", "update", "--api-key", "1", "--e2ee"),
        ("operator", "list"),
        ("session", "create", "--api-key", "1"),
        ("token", "--session", "1"),
        ("callbacks", "queue"),
        ("callbacks", "add", "--api-key", "1", "--url", "https://app.example/"),
        ("storage", "reseal"),
        ("storage", "backup", "file"),
        ("doctor", "session", "1"),
    ],
    ids=" ".join,
)
def test_where_no_data_is_nothing_is_made(shell, words):
    code, _, complaint = shell(*words)
    assert code == 1
    assert f"no database in {shell.data_dir}" in complaint
    assert "--data-dir" in complaint
    assert not shell.data_dir.exists()


@pytest.mark.parametrize(
    ("words", "key"),
    [
        (("project", "create", "--public-key", "missing.pem"), ""),
        (("project", "create", "--name", "x" * 10_000), ""),
        (("operator", "add", ""), ""),
        (("storage", "restore", "missing"), ""),
        (("project", "create"), "no key"),
        (("operator", "add", "ada"), "no key"),
        (("migrate",), "no key"),
    ],
)
def test_a_refused_command_makes_no_folder(shell, monkeypatch, words, key):
    monkeypatch.setenv("SEALROUTE_STORAGE_SEALING_KEY", key)
    code, _, complaint = shell(*words)
    assert (code, bool(json.loads(complaint)["message"])) == (1, True)
    assert not shell.data_dir.exists()


def test_a_command_says_where_it_wrote(shell, tmp_path, monkeypatch, capsys):
    monkeypatch.setenv("SEALROUTE_DATA_DIR", "here")
    monkeypatch.chdir(tmp_path)
    for words in (("project", "create"), ("operator", "add", "ada"), ("migrate",)):
        assert main([*words]) == 0
        streams = capsys.readouterr()
        assert streams.err == f"Written to the data folder {tmp_path / 'here'}\n"
        assert "data folder" not in streams.out


def test_help_begins_with_the_product(capsys):
    with pytest.raises(SystemExit):
        main(["--help"])
    text = capsys.readouterr().out
    assert "Sealroute is a media server" in text
    assert "`sealroute" not in text


def test_a_key_file_that_cannot_be_read_says_why(shell, tmp_path):
    (tmp_path / "key.der").write_bytes(b"\xff")
    for file, reason in (("absent.pem", "No such file or directory"), ("key.der", "not a PEM")):
        code, _, complaint = shell("project", "create", "--public-key", str(tmp_path / file))
        assert (code, reason in complaint) == (1, True)


def test_a_project_is_removed_only_on_purpose(shell):
    _, kept, _ = shell("project", "create", "--name", "kept")
    _, project, _ = shell("project", "create", "--name", "shop")
    shell("session", "create", "--api-key", project["apiKey"])
    words = ("project", "remove", "--api-key", project["apiKey"])
    code, _, complaint = shell(*words)
    assert code == 1
    assert "'shop'" in complaint
    assert "--yes" in complaint
    assert len(shell("project", "list")[1]) == 2
    code, gone, _ = shell(*words, "--yes")
    assert (code, gone["apiKey"]) == (0, project["apiKey"])
    assert [one["apiKey"] for one in shell("project", "list")[1]] == [kept["apiKey"]]
    code, _, complaint = shell(*words, "--yes")
    assert (code, "no project" in complaint) == (1, True)
    code, _, _ = shell("session", "create", "--api-key", project["apiKey"])
    assert code == 1


@pytest.mark.parametrize("bits", [1024])
def test_a_weak_or_private_key_is_refused(shell, tmp_path, bits):
    key = rsa.generate_private_key(public_exponent=65537, key_size=bits)
    weak, private = tmp_path / "weak.pem", tmp_path / "private.pem"
    weak.write_bytes(
        key.public_key().public_bytes(
            serialization.Encoding.PEM, serialization.PublicFormat.SubjectPublicKeyInfo
        )
    )
    private.write_bytes(
        key.private_bytes(
            serialization.Encoding.PEM,
            serialization.PrivateFormat.PKCS8,
            serialization.NoEncryption(),
        )
    )
    for file, words in ((weak, "2048 bits"), (private, "private key")):
        code, _, complaint = shell("project", "create", "--public-key", str(file))
        assert code == 1
        assert words in json.loads(complaint)["message"]


def test_a_session_and_a_token_made_in_a_shell_admit(shell):
    _, project, _ = shell("project", "create", "--e2ee")
    _, session, _ = shell("session", "create", "--api-key", project["apiKey"], "--e2ee")
    _, token, _ = shell(
        "token", "--session", session["sessionId"], "--role", "moderator", "--data", "Bob"
    )

    async def admit():
        store = await open_sqlite(shell.data_dir)
        try:
            return await Authenticator(store, SystemClock()).authenticate(
                project["apiKey"], session["sessionId"], token["token"]
            )
        finally:
            await store.close()

    admission = asyncio.run(admit())
    assert (admission.role, admission.connection_data) == (Role.MODERATOR, "Bob")
    assert admission.session.options.e2ee is True


@pytest.mark.parametrize(
    ("words", "code"),
    [
        (("--e2ee", "--media-mode", "relayed"), "e2ee_needs_routed"),
        (("--e2ee", "--archive-mode", "always"), "e2ee_never_archived"),
        (("--location", "here"), "invalid_parameter"),
    ],
)
def test_a_session_that_cannot_be_is_refused_with_a_code(shell, words, code):
    _, project, _ = shell("project", "create", "--e2ee")
    status, _, complaint = shell("session", "create", "--api-key", project["apiKey"], *words)
    assert (status, json.loads(complaint)["error"]) == (1, code)


def test_a_wrong_setting_is_reported_with_the_nearest_name(shell, monkeypatch):
    monkeypatch.setenv("SEALROUTE_PROT", "1")
    status, _, complaint = shell("project", "list")
    assert status == 1
    assert "did you mean SEALROUTE_PORT" in complaint


def test_the_version_is_the_one_of_the_package(capsys):
    with pytest.raises(SystemExit, match="0"):
        main(["--version"])
    declared = tomllib.loads((Path(__file__).parents[2] / "pyproject.toml").read_text())
    assert capsys.readouterr().out.startswith(f"sealroute {declared['project']['version']} ")


def test_the_doctor_says_what_it_found_and_what_to_do(shell):
    _, findings, _ = shell("doctor", "--port", "0", "--media-port", "0")
    by_check = {one["check"]: one for one in findings}
    assert set(by_check) >= {"python", "media core", "http port", "data folder", "clock"}
    assert by_check["python"]["state"] == "ok"
    assert all(one["advice"] for one in findings if one["state"] != "ok")


def test_the_doctor_says_what_links_to_archives_begin_with(shell, monkeypatch):
    def found() -> str:
        _, findings, _ = shell("doctor", "--port", "0", "--media-port", "0")
        return next(one["detail"] for one in findings if one["check"] == "archives")

    assert "localhost" in found()
    monkeypatch.setenv("SEALROUTE_ARCHIVE_PUBLIC_URL", "https://media.example.com")
    assert "localhost" not in found()


def test_the_doctor_looks_at_the_buffers_of_archives_where_there_are_any(shell, monkeypatch):
    def found() -> set[str]:
        _, findings, _ = shell("doctor", "--port", "0", "--media-port", "0")
        return {one["check"] for one in findings}

    assert "archive buffers" in found()
    monkeypatch.setenv("SEALROUTE_ARCHIVE_ENABLED", "false")
    assert "archive buffers" not in found()


def test_the_doctor_reports_a_server_that_is_not_there(shell):
    code, findings, _ = shell("doctor", "--url", "http://127.0.0.1:1")
    assert code == 1
    assert {one["check"]: one["state"] for one in findings}["server /healthz"] == "error"


def written(file: Path) -> tuple[str, int]:
    return json.loads(file.read_text())["apiSecret"], stat.S_IMODE(file.stat().st_mode)


async def test_the_first_start_makes_a_development_project_once(tmp_path):
    store = await open_sqlite(tmp_path)
    made = await first_project(store, SystemClock(), tmp_path)
    secret, mode = written(tmp_path / DEVELOPMENT_FILE)
    assert made.e2ee_enabled is True
    assert (secret, mode) == (made.api_secret, 0o600)
    assert await first_project(store, SystemClock(), tmp_path) is None
    assert len(await store.projects()) == 1
    await store.close()


def test_a_media_port_in_use_is_named():
    with socket.socket(socket.AF_INET, socket.SOCK_DGRAM) as taken:
        taken.bind(("127.0.0.1", 0))
        port = taken.getsockname()[1]
        with pytest.raises(OSError, match="Address already in use") as refused:
            asyncio.run(_open_core(port))
    assert f"127.0.0.1:{port} (UDP and TCP)" in refused.value.strerror
    assert "--media-port" in refused.value.strerror


async def _open_core(port: int) -> None:
    settings = MediaPlaneSettings(addresses=("127.0.0.1",))
    NativeMediaPlane.open(WorkerSettings(host="127.0.0.1", port=port), settings)


def test_the_doctor_names_a_postgresql_that_cannot_be_used(tmp_path):
    url = Secret("postgresql://someone:the-password@127.0.0.1:1/x")
    settings = Settings(storage=StorageSettings(data_dir=str(tmp_path), url=url))
    (finding,) = [one for one in examine(settings, None) if one.check == "database"]
    assert finding.state == "error"
    assert "127.0.0.1:1" in finding.detail
    assert "refused" in finding.detail
    assert "the-password" not in str(finding)


def _asked_to_stop_while_it_imports(*words: str) -> int:
    """The exit code of a process that gets SIGTERM before it has read its arguments."""
    command = [sys.executable, "-X", "importtime", "-m", "signaling", *words]
    with subprocess.Popen(command, stderr=subprocess.PIPE, text=True) as process:
        for line in process.stderr:
            # The first import of the command line itself: its own modules come after it.
            if line.endswith(" argparse\n"):
                process.terminate()
                break
        process.stderr.read()
    return process.returncode


def test_a_server_that_has_to_stop_while_it_starts_stops(tmp_path):
    data = ("--data-dir", str(tmp_path))
    assert _asked_to_stop_while_it_imports("serve", "--port", "0", *data) == 0
    assert _asked_to_stop_while_it_imports("migrate", *data) == 128 + signal.SIGTERM
