"""The command that runs a browser: what is in the jail, what the browser may, and no secret."""

import json
from pathlib import Path

from sfu.egress.render.command import (
    POLICY,
    Programs,
    Screen,
    _jail,
    command,
    policy_text,
)
from sfu.egress.render.jail import PORTS


def jail(chromium="/usr/bin/chromium", links=("/bin", "/lib")):
    return _jail(Programs(chromium, "/usr/bin/bwrap"), lambda one: str(one) in links, 9_999)


def pairs(words, option):
    return [tuple(words[at + 1 : at + 3]) for at, one in enumerate(words) if one == option]


def test_the_jail_shares_nothing_but_programs_and_fonts():
    words = jail()
    for one in ("user", "ipc", "pid", "uts"):
        assert f"--unshare-{one}" in words
    assert ("ALL", "--uid") in pairs(words, "--cap-drop")
    assert "--die-with-parent" in words
    assert pairs(words, "--bind") == []
    assert {target for _, target in pairs(words, "--ro-bind")} == {"/usr"}
    shared = {target for _, target in pairs(words, "--ro-bind-try")}
    assert shared <= {
        *("/sbin", "/lib32", "/lib64", "/etc/fonts", "/etc/ld.so.cache", "/etc/alternatives"),
        *("/etc/ssl/certs", "/etc/localtime"),
    }
    assert ("usr/bin", "/bin") in pairs(words, "--symlink")


def test_what_is_in_memory_has_a_size():
    words = jail()
    mounts = [at for at, one in enumerate(words) if one == "--tmpfs"]
    assert [words[at + 1] for at in mounts] == ["/dev/shm", "/tmp", "/home/render"]
    assert all(words[at - 2] == "--size" and int(words[at - 1]) > 0 for at in mounts)
    assert words[words.index("/dev/shm") - 2] == "9999"


def test_a_browser_of_the_operators_own_folder_is_there_too():
    words = jail(chromium="/opt/chrome/chrome")
    assert ("/opt/chrome", "/opt/chrome") in pairs(words, "--ro-bind")


def test_the_browser_has_no_port_no_way_out_of_its_own_and_its_sandbox():
    words = command(Programs("/c", "/b"), Screen(640, 480), "title", 9_999)
    assert "--remote-debugging-pipe" in words
    assert not [one for one in words if "remote-debugging-port" in one or "no-sandbox" in one]
    (proxy,) = [one for one in words if one.startswith("--proxy-server=")]
    # What no tab asked for finds nobody: the doors are for tabs, which name them.
    assert not proxy.endswith(tuple(str(port) for port in PORTS))
    assert "--proxy-bypass-list=<-loopback>" in words
    assert "--window-size=640,480" in words


def test_the_policy_is_json_and_keeps_webrtc_in_the_proxy():
    assert json.loads(policy_text()) == POLICY
    assert POLICY["WebRtcIPHandling"] == "disable_non_proxied_udp"
    assert "file://*" in POLICY["URLBlocklist"]
    assert POLICY["DownloadRestrictions"] == 3


def test_the_publishing_script_is_packaged_beside_the_code():
    assert (Path(__file__).parents[4] / "sfu/egress/render/publish.js").is_file()
