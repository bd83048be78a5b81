"""What of Landlock holds on kernels that have less of it than this one."""

import json
import subprocess
import sys

import pytest

from sfu.egress import landlock

CONFINED = """
import json, sys
from pathlib import Path
from sfu.egress import landlock

version, folder = int(sys.argv[1]), Path(sys.argv[2])
landlock.version = lambda: version
landlock.give_up_new_privileges()
held = landlock.restrict_to(folder)
(folder / "a").write_text("x" * 10)
(folder / "a").write_text("y")
(folder / "a").replace(folder / "b")
left = [path.name for path in folder.iterdir()]
(folder / "b").unlink()

def fails(attempt):
    try:
        attempt()
    except PermissionError:
        return True
    return False

print(json.dumps({
    "held": held,
    "left": left,
    "read": fails(Path("/etc/passwd").read_bytes),
    "made": fails((folder / "new").mkdir),
}))
"""

BROADCASTING = """
import encodings.idna, json, socket, ssl, sys
from pathlib import Path
from sfu.egress import landlock

landlock.give_up_new_privileges()
landlock.restrict_to(Path(sys.argv[1]), network=True)

def reads(attempt):
    try:
        return bool(attempt())
    except PermissionError:
        return False

certificates = ssl.create_default_context()
print(json.dumps({
    "names": bool(socket.getaddrinfo("localhost", 1935)),
    "hosts": reads(Path("/etc/hosts").read_bytes),
    "users": reads(Path("/etc/passwd").read_bytes),
    "settings": reads(lambda: list(Path("/etc").iterdir())),
    "secrets of containers": reads(lambda: list(Path("/run").iterdir())),
    "private keys": Path("/etc/ssl/private").exists()
        and reads(lambda: list(Path("/etc/ssl/private").iterdir())),
}))
"""


def test_what_connects_reads_names_and_certificates_and_no_settings(tmp_path):
    if not landlock.version():
        pytest.skip("the kernel has no Landlock")
    shown = subprocess.run(
        [sys.executable, "-c", BROADCASTING, str(tmp_path)],
        capture_output=True,
        text=True,
        check=True,
    )
    found = json.loads(shown.stdout)
    assert {name for name, can in found.items() if can} == {"names", "hosts"}


@pytest.mark.parametrize("version", range(landlock.version() + 1))
def test_each_version_leaves_the_folder_alone(tmp_path, version):
    shown = subprocess.run(
        [sys.executable, "-c", CONFINED, str(version), str(tmp_path)],
        capture_output=True,
        text=True,
        check=True,
    )
    is_held = version > 0
    assert json.loads(shown.stdout) == {
        "held": version,
        "left": ["b"],
        "read": is_held,
        "made": is_held,
    }


def test_a_kernel_without_it_is_version_0(monkeypatch, tmp_path):
    monkeypatch.setattr(landlock, "_CREATE_RULESET", 100_000)
    assert landlock.version() == 0
    assert landlock.restrict_to(tmp_path) == 0
