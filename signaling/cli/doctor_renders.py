"""The doctor's look at renders: whether there is a browser, and a jail for it."""

import os
import subprocess

from config.settings import Settings
from signaling.cli.findings import Finding
from signaling.renders.running import missing_programs

TRY_S = 10.0
MAX_CHARS = 200
NAMESPACES = (
    "Allow them (sysctl kernel.unprivileged_userns_clone=1, user.max_user_namespaces; in a"
    " container its seccomp and AppArmor profiles and what the engine covers of /proc, see"
    " deploy/egress.yml), or set [render] enabled to false."
)


def renders_finding(settings: Settings) -> Finding:
    """Whether web pages can be published into a clear session here."""
    check = "renders"
    if not settings.render.enabled:
        return Finding(check, "ok", "off in the settings")
    absent = missing_programs(settings)
    if absent:
        return Finding(
            check,
            "warning",
            f"pages cannot be rendered without {' and '.join(absent)}",
            "Install chromium and bubblewrap, or set [render] enabled to false.",
        )
    if not settings.media.tcp:
        text = "pages cannot be rendered: their media goes over TCP, and [media] tcp is off"
        return Finding(check, "warning", text, "Turn [media] tcp on, or [render] enabled off.")
    refusal = jail_refusal(settings.render.bwrap)
    if refusal:
        text = f"this user cannot make the jail that browsers are in ({refusal})"
        return Finding(check, "warning", text, NAMESPACES)
    return Finding(check, "ok", f"up to {settings.render.max} pages at a time")


def jail_refusal(bwrap: str) -> str:
    """Why this user cannot run a program without a network, as renders do; empty if they can."""
    asked = [bwrap, "--unshare-all", "--ro-bind", "/", "/", "--proc", "/proc", "true"]
    try:
        made = subprocess.run(  # noqa: S603 - a program of the operator's settings
            asked, env={"PATH": os.defpath}, capture_output=True, timeout=TRY_S, check=False
        )
    except (OSError, subprocess.TimeoutExpired) as failure:
        return str(failure)[:MAX_CHARS]
    if made.returncode == 0:
        return ""
    said = made.stderr.decode(errors="replace").strip().splitlines() or ["it says no reason"]
    return said[-1][:MAX_CHARS]
