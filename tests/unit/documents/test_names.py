"""Every name that the documents put between backticks is there: paths, modules, types, events,
settings, metrics."""

import re
from functools import cache
from pathlib import Path

import pytest

from config.load import _NOT_KNOBS, KNOBS, PREFIX, SECTIONS
from sfu.core_api import COUNTERS
from sfu.plane_counters import LABELS, PlaneCounter
from signaling.metrics import Metrics
from tests.unit.documents.pages import (
    ROOT,
    every_page,
    name_of,
    prose,
    sources,
    tracked,
    words,
    words_of_the_code,
)

SPAN = re.compile(r"(?<!`)`([^`\n]+)`(?!`)")
ENDINGS = "py|pyi|rs|ts|tsx|js|mjs|md|toml|yml|json|svg|sh|conf|html|css|txt"
ENDINGS += "|caddy|env|nft|service|sysusers"
FILE = re.compile(rf"[\w./-]+\.(?:{ENDINGS})")
FOLDER = re.compile(r"[\w.-]+(?:/[\w.-]+)*/")
PATH = re.compile(
    r"(?:signaling|sfu|config|native|sdk|web|tests|bench|docs|deploy|scripts)/[\w./-]+"
)
MODULE = re.compile(
    r"python -m ([\w.]+)|((?:signaling|sfu|config|bench|tests|sealroute_client)\.[\w.]+)"
)
PAIR = re.compile(r"([A-Z]\w+)(?:::|\.)(\w+)(?:\(.*\))?")
METRIC = re.compile(r"sealroute_[a-z0-9_]*[a-z0-9]")
SETTING = re.compile(r"([a-z]+)\.([a-z0-9_]+)")
VARIABLE = re.compile(rf"{PREFIX}\w+")

MADE = {"data/", "dist/", "dist/sealroute.js", "dist/sealroute.mjs", "dist/e2ee-worker.js"} | {
    "sealroute.js", "/openapi.json", "sealroute.v2.json", "data/development-project.json",
    "data/sealroute.sqlite3", "data/sealing.key",
}  # fmt: skip
"""Made by a build or by the server, or no file at all."""

OF_OTHERS = {
    "Linux": "finish_task_switch _raw_spin_unlock_irqrestore __udp_enqueue_schedule_skb kfree"
    " io_uring __udp4_lib_lookup ___slab_alloc skb_set_owner_w SCHED_RR",
    "libraries": "aes_gcm_encrypt_avx512 OO",
    "OpenTok.js, and not built here": "CaptionsTranslationLanguage",
    "RFC 9605": "AES_256_CTR_HMAC_SHA512_80",
    "bytes": "F0 FF",
    "patterns of names": "handle_x poll_x on_x _bps _ms OT_publisher_1",
    "the notation of e2ee/2": "senderConnectionId",
}  # fmt: skip
"""Names of other projects, by their owner."""


NAMES_OF_OTHERS = {"LiveKit"}
"""A column with such a title holds names of that product."""


def of_this_project(text: str) -> str:
    """The text without the columns of tables that speak of another product."""
    kept, foreign = [], set[int]()
    for line in text.splitlines():
        cells = line.split("|")
        if len(cells) < 3:
            foreign = set()
        elif not foreign:
            foreign = {at for at, cell in enumerate(cells) if cell.strip() in NAMES_OF_OTHERS}
        kept.append("|".join(cell for at, cell in enumerate(cells) if at not in foreign))
    return "\n".join(kept)


def spans(page: Path) -> list[str]:
    return SPAN.findall(of_this_project(prose(page)))


@cache
def others() -> frozenset[str]:
    return frozenset(word for names in OF_OTHERS.values() for word in names.split())


@cache
def stems() -> frozenset[str]:
    return frozenset(Path(name).name.partition(".")[0] for name in tracked())


@cache
def metrics() -> frozenset[str]:
    totals = [info.name for info in COUNTERS] + [
        name for name in PlaneCounter if name not in LABELS
    ]
    families = Metrics(lambda: dict.fromkeys(totals, 0)).registry.collect()
    return frozenset(
        name
        for family in families
        for ending in ("", "_total", "_bucket", "_count", "_sum")
        for name in [family.name + ending]
    )


@cache
def variables() -> frozenset[str]:
    knobs = {f"{PREFIX}{section}_{name}".upper() for section, name in KNOBS}
    return frozenset(knobs | {f"{name}_FILE" for name in knobs} | _NOT_KNOBS)


def is_path(name: str, beside: Path) -> bool:
    """A path from the root or from the page, or the end of one."""
    paths = tracked()
    if name in MADE or (beside / name).exists() or (ROOT / name).exists():
        return True
    return any(path == name or path.endswith(f"/{name}") for path in paths)


@cache
def is_module(name: str) -> bool:
    parts = name.split(".")
    for length in range(len(parts), 0, -1):
        stem = "/".join(parts[:length])
        for ending in (".py", "/__init__.py", "/__main__.py", ".pyi"):
            found = [
                path
                for path in tracked()
                if path == stem + ending or path.endswith(f"/{stem}{ending}")
            ]
            if found:
                rest = set(parts[length:])
                return not rest or any(rest <= sources()[path] for path in found)
    return False


def wrong_modules(span: str) -> list[str]:
    names = [run or dotted for run, dotted in MODULE.findall(span)]
    return [
        f"{name}: no such module" for name in names if not (is_module(name) or is_setting(name))
    ]


def wrong_pairs(span: str) -> list[str]:
    """A type and its member stand in one file."""
    pair = PAIR.fullmatch(span)
    if pair is None or {pair[1], pair[2]} & others():
        return []
    together = any({pair[1], pair[2]} <= found for found in sources().values())
    return [] if together else [f"{span}: in no file together"]


def is_setting(name: str) -> bool:
    return tuple(name.split(".")) in KNOBS


def wrong_settings(span: str) -> list[str]:
    setting = SETTING.fullmatch(span)
    if setting is None or setting[1] not in SECTIONS or span.endswith(".py"):
        return []
    return [] if is_setting(span) or is_module(span) else [f"{span}: no such setting"]


@cache
def known() -> frozenset[str]:
    return words_of_the_code() | others() | stems() | metrics() | variables()


def is_known(word: str, *, cut: bool) -> bool:
    """`cut`: the page shows the beginning of the name only."""
    if cut:
        return any(name.startswith(word) for name in known())
    return len(word) == 1 or word in known()


def wrong_words(span: str) -> list[str]:
    return [
        f"{word}: nowhere in the code"
        for word in words(span)
        if not is_known(word, cut=f"{word}…" in span)
    ]


def missing(span: str, beside: Path) -> list[str]:
    """What is wrong with one span."""
    if FILE.fullmatch(span) or FOLDER.fullmatch(span) or PATH.fullmatch(span):
        return [] if is_path(span, beside) else [f"{span}: no such file or folder"]
    checks = (wrong_modules, wrong_pairs, wrong_settings, wrong_words)
    return [wrong for check in checks for wrong in check(span)]


@pytest.mark.parametrize("page", every_page(), ids=name_of)
def test_every_name_between_backticks_is_there(page: Path):
    found = {span: missing(span, page.parent) for span in spans(page)}
    assert {span: wrong for span, wrong in found.items() if wrong} == {}


def test_names_that_are_not_there_are_found(tmp_path: Path):
    for span in (
        "signaling/nowhere.py",
        "nowhere/",
        "python -m bench.nowhere",
        "signaling.protocol.nowhere",
        "DropReason::Nowhere",
        "NoSuchType",
        "noSuchEvent",
        "sealroute_no_such_total",
        "SEALROUTE_MEDIA_NOWHERE",
        "media.nowhere",
    ):
        assert missing(span, tmp_path), span


def test_no_name_of_others_is_ours_or_forgotten():
    named = {word for page in every_page() for span in spans(page) for word in words(span)}
    assert others() - named == set()
    assert others() & words_of_the_code() == set()
