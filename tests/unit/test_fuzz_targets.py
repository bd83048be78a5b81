"""Every module that reads bytes of somebody else has a fuzz target, or a reason for none.

docs/hardening.md has the table. A module that decodes, unpacks or splits what came, and is in no
row, fails here; so does a row for a module or a target that is gone, and a target without seeds.
"""

import re
from pathlib import Path

import pytest

from tests.fuzz.targets import TARGETS

ROOT = Path(__file__).parents[2]
HARDENING = ROOT / "docs/hardening.md"
READS = re.compile(
    r"json\.loads|json\.decode|json\.Decoder|unpack(_from)?\(|unpackb|int\.from_bytes|parse_qsl"
    r"|urlsplit|readuntil|LineReader\b|b64decode|SessionDescription\.parse"
)
READS_IN_RUST = re.compile(r"fn (parse|decode|read|from_bytes)\w*(<[^(]*>)?\([^)]*\[u8\]")
OWN_SIDE = ("signaling/cli/", "signaling/spec/", "signaling/storage/")
"""What operators type, what generates documents, and what the server itself has stored."""
PYTHON = ("sfu", "signaling", "member", "sdk/python/src")
RUST = (
    "native/rtp",
    "native/transport",
    "native/frames",
    "native/forward",
    "native/worker",
    "sdk/native",
)


def rows() -> dict[str, str]:
    """Module, as the table names it → its targets, or the reason why it has none."""
    text = HARDENING.read_text().partition("## What is fuzzed")[2].partition("\n## ")[0]
    found = {}
    for line in text.splitlines():
        cells = [cell.strip() for cell in line.split("|")[1:-1]]
        if len(cells) == 3 and "`" in cells[0]:
            for module in re.findall(r"`([^`]+)`", cells[0]):
                assert module not in found, module
                found[module] = cells[2]
    return found


def native_targets() -> set[str]:
    return {path.stem for path in (ROOT / "native/fuzz/fuzz_targets").glob("*.rs")}


def readers() -> set[str]:
    found = set()
    for folders, suffix, reads in ((PYTHON, "py", READS), (RUST, "rs", READS_IN_RUST)):
        for folder in folders:
            for path in (ROOT / folder).rglob(f"*.{suffix}"):
                name = path.relative_to(ROOT).as_posix()
                if (
                    "/target/" in name
                    or "/tests/" in name
                    or "test" in path.stem
                    or name.startswith(OWN_SIDE)
                ):
                    continue
                if reads.search(path.read_text()):
                    found.add(name)
    return found


def test_every_module_that_reads_what_came_has_a_row() -> None:
    assert readers() - set(rows()) == set()


def test_every_row_names_a_module_that_is_there() -> None:
    assert [module for module in rows() if not (ROOT / module).is_file()] == []


def test_every_row_names_targets_that_are_there_or_a_reason() -> None:
    known = {*TARGETS, *native_targets()}
    for module, cell in rows().items():
        named = re.findall(r"`([^`]+)`", cell)
        assert cell.startswith("none: ") or (named and set(named) <= known), (module, cell)


def test_every_target_has_a_row() -> None:
    named = {name for cell in rows().values() for name in re.findall(r"`([^`]+)`", cell)}
    assert {*TARGETS, *native_targets()} - named == set()


@pytest.mark.parametrize("name", TARGETS)
def test_every_target_of_python_has_seeds(name: str) -> None:
    assert list((ROOT / "tests/fuzz/seeds" / name).iterdir())


def test_every_native_target_is_built() -> None:
    manifest = (ROOT / "native/fuzz/Cargo.toml").read_text()
    assert set(re.findall(r'^name = "(\w+)"\npath', manifest, re.MULTILINE)) == native_targets()
