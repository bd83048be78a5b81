"""The commands of the first day, typed as the pages have them, in a folder like a fresh clone.

They run in a network of their own, so that ports, too, are the ones that the pages name. What is
not run here stands in a table with its reason: a new command is either run or explained.
"""

import contextlib
import os
import re
import signal
import subprocess
import threading
from collections.abc import Iterator
from pathlib import Path

import pytest

from tests.served import NEEDS_THE_MEDIA_CORE
from tests.unit.documents.commands import blocks
from tests.unit.documents.pages import ROOT

pytestmark = [pytest.mark.interop, pytest.mark.timeout(180), NEEDS_THE_MEDIA_CORE]
END = "end-of-block"
PATIENCE_S = 120
DOCS = ROOT / "docs"
MAKE_RUN = "exec .venv/bin/sealroute serve --development"
"""What `make run` comes to once everything is built: nothing is built here, and nothing fetched."""

ELSEWHERE = {
    "make test": "this is it",
    "docker compose": "tests/image",
    "pg_restore": "needs PostgreSQL: tests/interop/test_server_on_postgres.py",
    "pg_dump": "needs PostgreSQL: tests/interop/test_server_on_postgres.py",
    "export SEALROUTE_STORAGE_URL": "needs PostgreSQL: tests/interop/test_server_on_postgres.py",
    "sealroute migrate": "needs PostgreSQL: tests/interop/test_server_on_postgres.py",
    "doctor --call --url wss://": "needs a second machine: tests/interop/test_doctor_call.py",
    "sealroute serve": "serves at the port of the other server: tests/interop/test_tls_renewal.py",
    "python application.py": "the reader's own",
    "callbacks test": "needs an application that answers: tests/unit/callbacks",
    "openssl req": "serves at the port of the other server: tests/interop/test_tls_renewal.py",
    "SEALROUTE_STORAGE_SEALING_KEY=": "needs another server: tests/unit/test_backup.py",
    "storage restore": "needs the server stopped: tests/unit/test_backup.py",
    "git pull": "there is nothing to pull",
    "https://media.example.com": "tests/interop/test_member_archives.py",
}
"""Lines that are not run, by what stands in them, and what runs their like."""


class Shell:
    """A reader's shell, in a fresh clone and a network of its own."""

    def __init__(self, clone: Path, home: Path) -> None:
        self.clone = clone
        self._process = subprocess.Popen(
            ["unshare", "--net", "bash", "-e"],
            stdin=subprocess.PIPE,
            stdout=subprocess.PIPE,
            stderr=subprocess.STDOUT,
            cwd=clone,
            env={"PATH": f"{clone / '.venv/bin'}:{os.environ['PATH']}", "HOME": str(home)},
            text=True,
            start_new_session=True,
        )
        self.run("ip link set lo up")

    def run(self, block: str, *, patience_s: float = PATIENCE_S) -> str:
        """What the commands print. One that fails ends the shell, and so the test."""
        file = self.clone / ".block"
        file.write_text(block)
        self._process.stdin.write(f". ./.block < /dev/null; echo; echo {END}\n")
        self._process.stdin.flush()
        impatience = threading.Timer(patience_s, self._stop)
        impatience.start()
        printed = []
        for line in self._process.stdout:
            if line.strip() == END:
                impatience.cancel()
                return "".join(printed).strip()
            printed.append(line)
        impatience.cancel()
        pytest.fail(f"{block}\n{''.join(printed)}{self.log()}")

    def serve(self, command: str) -> None:
        """`command`: as the page has it."""
        assert command.partition("#")[0].strip() == "make run"
        self.run(f"( {MAKE_RUN} ) > server.log 2>&1 &")
        try:
            self.run(
                "for i in $(seq 600); do curl -sf localhost:8080/readyz > ready && break; "
                "sleep 0.1; done; cat ready"
            )
        except pytest.fail.Exception as fault:
            pytest.fail(f"{fault}\n{self.log()}")

    def log(self) -> str:
        file = self.clone / "server.log"
        return file.read_text() if file.exists() else ""

    def end(self) -> None:
        self._stop()
        for pipe in (self._process.stdin, self._process.stdout):
            pipe.close()

    def _stop(self) -> None:
        """The server, too: it is of the shell's group, also when the shell has ended."""
        with contextlib.suppress(ProcessLookupError):
            os.killpg(self._process.pid, signal.SIGTERM)
        self._process.wait(20)


@pytest.fixture
def shell(tmp_path) -> Iterator[Shell]:
    clone, home = tmp_path / "sealroute", tmp_path / "home"
    home.mkdir()
    clone.mkdir()
    (clone / ".venv").symlink_to(ROOT / ".venv")
    opened = Shell(clone, home)
    yield opened
    opened.end()


def run_here(block: str) -> str:
    """Without the lines that stand in the table, and what belongs to them."""
    whole = re.sub(r"\\\n", " ", block)
    kept = [line for line in whole.splitlines() if not any(one in line for one in ELSEWHERE)]
    return "\n".join(kept) + "\n" if any(kept) else ""


def test_make_run_is_what_is_run_here():
    recipe = (ROOT / "Makefile").read_text().partition("\nrun: build ")[2].partition("\n\n")[0]
    assert recipe.endswith(f"@{MAKE_RUN.replace('.venv/bin', '$(BIN)')} $(ARGS)")


def code_blocks(page: Path, language: str) -> list[str]:
    return re.findall(rf"^```{language}\n(.*?)^```", page.read_text(), re.MULTILINE | re.DOTALL)


def test_a_reader_gets_to_a_session_and_sees_that_the_server_sees_nothing(shell):
    run, doctor, session, _call, archive = blocks(DOCS / "getting-started.md")
    shell.serve(run.strip())
    assert "problem" not in shell.run(doctor).lower()
    shell.run(session)
    assert shell.run('test -n "$KEY" -a -n "$TOKEN"; echo "$SESSION"').startswith("2_")
    assert "end-to-end encrypted" in shell.run(archive)


def typed_in_two_shells(shell: Shell, block: str) -> None:
    """Each line of a client in a shell of its own, the last one in this one."""
    *rest, last = [line for line in block.splitlines() if "sealroute-client" in line]
    for line in block.splitlines():
        if line in rest:
            shell.run(f"{line} > other.log 2>&1 &")
        elif line != last:
            shell.run(line)
    shell.run(last)


def recorded(shell: Shell) -> list[Path]:
    return [file for file in (shell.clone / "recordings").rglob("*.webm") if file.stat().st_size]


@pytest.mark.long
def test_the_call_of_getting_started_is_recorded(shell):
    run, _, session, call, _ = blocks(DOCS / "getting-started.md")
    shell.serve(run.strip())
    shell.run(session)
    typed_in_two_shells(shell, call)
    assert recorded(shell)


@pytest.mark.long
def test_the_call_of_the_readme_is_recorded(shell):
    page = ROOT / "README.md"
    run, call = blocks(page)
    shell.serve(run.splitlines()[0])
    (script,) = code_blocks(page, "python")
    (shell.clone / "first_call.py").write_text(script)
    printed = shell.run(".venv/bin/python first_call.py").splitlines()
    assert any(line.startswith("# ") and "encrypted" in line for line in printed)
    shell.run(next(line for line in printed if line.startswith("export ")))
    typed_in_two_shells(shell, call)
    # The recorder goes on until somebody ends it.
    shell.run("kill -INT %2; wait %2 || true")
    assert recorded(shell)


OPERATIONS = ("operations", "callbacks", "migrate-from-opentok", "troubleshooting", "upgrade")


FIRST = "import json, sys; print(json.load(sys.stdin){})"
PREPARED = f"""
created=$(sealroute project create --name page --e2ee --json)
export KEY=$(python -c "{FIRST.format("['apiKey']")}" <<< "$created")
export SESSION=$(sealroute session create --api-key $KEY --e2ee)
openssl genrsa -out application.key 2048 2> made
openssl rsa -in application.key -pubout -out application.pem 2> made
callback_id() {{ sealroute callbacks list --api-key $KEY --json > listed
  python -c "{FIRST.format("[0]['id']")}" < listed; }}
"""
"""What a page takes for granted: a project, a session, a key pair."""


@pytest.mark.long
@pytest.mark.parametrize("page", OPERATIONS)
def test_an_operator_types_what_a_page_says(shell, tmp_path, page):
    shell.serve("make run")
    shell.run(PREPARED)
    stand_ins = {
        "12345678": "$KEY",
        "$ID": "$(callback_id)",
        "https://video.example": "http://localhost:8080",
        "/backups/": f"{tmp_path}/",
    }
    typed = 0
    for block in blocks(DOCS / f"{page}.md"):
        commands = run_here(block)
        for before, after in stand_ins.items():
            commands = commands.replace(before, after)
        if commands:
            shell.run(commands)
            typed += 1
    assert typed > 0
