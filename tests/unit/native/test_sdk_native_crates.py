"""What the crates of the native SDKs may use: their graph is the floor plan."""

import tomllib
from pathlib import Path

import pytest

SDK = Path(__file__).parents[3] / "sdk" / "native"
WORKSPACE = tomllib.loads((SDK / "Cargo.toml").read_text())["workspace"]
MAY_USE = {
    "rules": set(),
    "e2ee": {"rules"},
    "protocol": {"rules"},
    "session": {"e2ee", "protocol", "rules"},
    "media": {"e2ee", "session"},
    "transport": {"e2ee", "media"},
    "client": {"e2ee", "media", "protocol", "rules", "session", "transport"},
    "cli": {"client"},
    "codecs": set(),
    "capi": {"client", "codecs"},
}
ONE_OWNER = {
    "str0m": "transport",
    "tungstenite": "client",
    "rustls": "client",
    "mio": "client",
    "serde_json": "cli",
    "sealroute-rtp": "media",
}
"""What one crate alone uses: behind it another could take its place."""
PURE = ["rules", "e2ee", "protocol", "session", "media"]


def dependencies(crate: str) -> set[str]:
    return set(tomllib.loads((SDK / crate / "Cargo.toml").read_text()).get("dependencies", {}))


@pytest.mark.parametrize("crate", sorted(MAY_USE))
def test_a_crate_uses_the_floors_below_it_alone(crate):
    own = {name.removeprefix("sealroute-") for name in dependencies(crate) if "sealroute" in name}
    assert own - {"rtp"} <= MAY_USE[crate]


def test_every_crate_has_its_place():
    assert set(WORKSPACE["members"]) == set(MAY_USE)


@pytest.mark.parametrize(("library", "owner"), ONE_OWNER.items())
def test_what_could_be_replaced_has_one_owner(library, owner):
    assert [crate for crate in MAY_USE if library in dependencies(crate)] == [owner]


def test_what_every_run_builds_is_pure():
    """The others bring minutes of C: `make sdk-native` builds those."""
    assert WORKSPACE["default-members"] == PURE


@pytest.mark.parametrize("crate", PURE)
def test_a_pure_crate_has_no_clock_and_no_socket(crate):
    sources = "".join(path.read_text() for path in (SDK / crate / "src").rglob("*.rs"))
    assert "std::net" not in sources
    assert "Instant" not in sources
    assert "std::thread" not in sources
