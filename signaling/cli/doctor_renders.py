"""The doctor's look at renders: whether there is a browser, and a jail for it."""

import os
import subprocess

from config.settings import Settings
from signaling.cli.findings import Finding
from signaling.renders.running import missing_programs

TRY_S = 10.0
NAMESPACES = (
    "Allow them (sysctl kernel.unprivileged_userns_clone=1, user.max_user_namespaces; in a"
    " container its seccomp and AppArmor profiles), or set [render] enabled to false."
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
    if not can_jail(settings.render.bwrap):
        text = "this user cannot make namespaces, in which browsers are jailed"
        return Finding(check, "warning", text, NAMESPACES)
    return Finding(check, "ok", f"up to {settings.render.max} pages at a time")


def can_jail(bwrap: str) -> bool:
    """Whether this user can run a program without a network, as renders do."""
    asked = [bwrap, "--unshare-all", "--ro-bind", "/", "/", "--proc", "/proc", "true"]
    try:
        made = subprocess.run(  # noqa: S603 - a program of the operator's settings
            asked, env={"PATH": os.defpath}, capture_output=True, timeout=TRY_S, check=False
        )
    except (OSError, subprocess.TimeoutExpired):
        return False
    return made.returncode == 0
