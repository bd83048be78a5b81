"""The command that runs a browser in its jail, and the policy that the browser obeys; pure.

Nothing in it is a secret: every user of the machine reads command lines. What a render is about
goes to the browser through DevTools.
"""

import json
from collections.abc import Callable, Sequence
from dataclasses import dataclass
from pathlib import Path

from sfu.egress.render.jail import PORTS

POLICY_DESCRIPTOR = 5
"""After the two of DevTools, 3 and 4."""
USER = 1000
"""Inside the jail. A browser that believes to be root would give up its own sandbox."""
SCRATCH_BYTES = 536_870_912
"""For the profile and for what pages store; in memory, gone with the browser."""
HOME = "/home/render"
_POLICY_FOLDERS = ("/etc/chromium/policies/managed", "/etc/opt/chrome/policies/managed")
_READ = ("/etc/fonts", "/etc/ld.so.cache", "/etc/alternatives", "/etc/ssl/certs", "/etc/localtime")
_SYSTEM = ("/bin", "/sbin", "/lib", "/lib32", "/lib64")

POLICY: dict[str, object] = {
    # WebRTC over the proxy or not at all.
    "WebRtcIPHandling": "disable_non_proxied_udp",
    "QuicAllowed": False,
    "DnsOverHttpsMode": "off",
    "BuiltInDnsClientEnabled": False,
    # "file:" and the browser's own pages, however they are asked for.
    "URLBlocklist": ["file://*", "chrome://*", "chrome-untrusted://*", "devtools://*"],
    "DownloadRestrictions": 3,
    "AllowFileSelectionDialogs": False,
    "ExtensionInstallBlocklist": ["*"],
    "AudioCaptureAllowed": False,
    "VideoCaptureAllowed": False,
    "PrintingEnabled": False,
    "DefaultGeolocationSetting": 2,
    "DefaultNotificationsSetting": 2,
    "DefaultSensorsSetting": 2,
    "DefaultSerialGuardSetting": 2,
    "DefaultWebBluetoothGuardSetting": 2,
    "DefaultWebHidGuardSetting": 2,
    "DefaultWebUsbGuardSetting": 2,
    "DefaultFileSystemReadGuardSetting": 2,
    "DefaultFileSystemWriteGuardSetting": 2,
    "AutoplayAllowed": True,
    "SyncDisabled": True,
    "MetricsReportingEnabled": False,
    "SafeBrowsingProtectionLevel": 0,
    "SearchSuggestEnabled": False,
    "TranslateEnabled": False,
    "ComponentUpdatesEnabled": False,
    "BackgroundModeEnabled": False,
    "PasswordManagerEnabled": False,
    "NetworkPredictionOptions": 2,
}


@dataclass(frozen=True, slots=True)
class Programs:
    """Paths of the two programs."""

    chromium: str
    bwrap: str


@dataclass(frozen=True, slots=True)
class Screen:
    width: int
    height: int


def policy_text() -> bytes:
    return json.dumps(POLICY).encode()


def proxy_of(port: int) -> str:
    return f"http://127.0.0.1:{port}"


def command(programs: Programs, screen: Screen, title: str, shared_bytes: int) -> list[str]:
    """`title`: of the tab that may be captured; random. `shared_bytes`: how much memory the
    browser's processes may share."""
    jail = _jail(programs, Path.is_symlink, shared_bytes)
    return [*jail, *_browser(programs.chromium, screen, title)]


def _jail(programs: Programs, is_link: Callable[[Path], bool], shared_bytes: int) -> list[str]:
    return [
        programs.bwrap,
        *("--unshare-user", "--unshare-ipc", "--unshare-pid", "--unshare-uts"),
        *("--unshare-cgroup-try", "--die-with-parent", "--new-session", "--cap-drop", "ALL"),
        *("--uid", str(USER), "--gid", str(USER), "--hostname", "render", "--clearenv"),
        *("--setenv", "HOME", HOME, "--setenv", "PATH", "/usr/bin:/bin"),
        *("--setenv", "LANG", "C.UTF-8"),
        *("--ro-bind", "/usr", "/usr"),
        *_system(is_link),
        *(part for one in _READ for part in ("--ro-bind-try", one, one)),
        *_own_folder(programs.chromium),
        *("--proc", "/proc", "--dev", "/dev"),
        # Without a size it is half of the machine's memory.
        *("--size", str(shared_bytes), "--tmpfs", "/dev/shm"),  # noqa: S108 - the jail's own
        *("--size", str(SCRATCH_BYTES), "--tmpfs", "/tmp"),  # noqa: S108 - the jail's own
        *("--size", str(SCRATCH_BYTES), "--tmpfs", HOME),
        *("--ro-bind-data", str(POLICY_DESCRIPTOR), f"{_POLICY_FOLDERS[0]}/render.json"),
        *("--symlink", f"{_POLICY_FOLDERS[0]}/render.json", f"{_POLICY_FOLDERS[1]}/render.json"),
        # Debian's wrapper reads what the machine's own browser is started with; here there is none.
        *("--symlink", "/dev/null", "/etc/chromium.d/none"),
        *("--chdir", HOME, "--"),
    ]


def _system(is_link: Callable[[Path], bool]) -> list[str]:
    """Links into /usr on most systems, folders on others."""
    found: list[str] = []
    for one in _SYSTEM:
        if is_link(Path(one)):
            found += ["--symlink", f"usr{one}", one]
        else:
            found += ["--ro-bind-try", one, one]
    return found


def _own_folder(chromium: str) -> Sequence[str]:
    """Of a browser that is not installed with the system."""
    folder = str(Path(chromium).parent)
    inside = folder == "/usr" or folder.startswith(("/usr/", "/bin", "/sbin"))
    return () if inside else ("--ro-bind", folder, folder)


def _browser(chromium: str, screen: Screen, title: str) -> list[str]:
    return [
        chromium,
        "--headless=new",
        "--remote-debugging-pipe",
        f"--user-data-dir={HOME}/profile",
        f"--window-size={screen.width},{screen.height}",
        f"--auto-select-tab-capture-source-by-title={title}",
        "--autoplay-policy=no-user-gesture-required",
        # What no tab asked for goes nowhere; each tab has its own proxy.
        f"--proxy-server={proxy_of(_NOBODY)}",
        "--proxy-bypass-list=<-loopback>",
        "--disable-background-networking",
        "--disable-background-timer-throttling",
        "--disable-backgrounding-occluded-windows",
        "--disable-renderer-backgrounding",
        "--disable-breakpad",
        "--disable-component-update",
        "--disable-default-apps",
        "--disable-extensions",
        "--disable-gpu",
        # WebGL on the CPU. Who wrote the page is not believed anyway: its processes are jailed.
        "--enable-unsafe-swiftshader",
        "--disable-sync",
        "--hide-scrollbars",
        "--no-default-browser-check",
        "--no-first-run",
        "--no-pings",
        "--password-store=basic",
        "about:blank",
    ]


_NOBODY = max(PORTS) + 1
