"""Which versions were measured, asked of the programs themselves."""

import json
import os
import shutil
import subprocess
from pathlib import Path

from bench.loadgen import ROOT

_UNKNOWN = "unknown"


def _said(*command: str) -> str:
    """The first line of what it prints."""
    if shutil.which(command[0]) is None:
        return _UNKNOWN
    done = subprocess.run(command, capture_output=True, text=True, check=False, cwd=ROOT)
    lines = done.stdout.strip().splitlines()
    return lines[0].strip() if done.returncode == 0 and lines else _UNKNOWN


def _mediasoup() -> str:
    try:
        found = json.loads((Path(os.environ["MEDIASOUP"]) / "package.json").read_text())
        return str(found["version"])
    except (KeyError, OSError, ValueError):
        return _UNKNOWN


def versions() -> dict[str, str]:
    """By program; `unknown` where it is not here or does not say."""
    return {
        "sealroute": _said("git", "describe", "--always", "--dirty"),
        "rustc": _said("rustc", "--version"),
        "janus": _said("dpkg-query", "-W", "-f=${Version}", "janus"),
        "livekit": _said(os.environ.get("LIVEKIT_SERVER", "livekit-server"), "--version"),
        "mediasoup": _mediasoup(),
    }
