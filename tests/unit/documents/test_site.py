"""The documentation site shows every page of docs/."""

from collections.abc import Iterator
from typing import Any

import yaml

from tests.unit.documents.pages import ROOT

SITE = yaml.safe_load((ROOT / "mkdocs.yml").read_text())


def pages_of(entry: Any) -> Iterator[str]:
    if isinstance(entry, str):
        yield entry
        return
    for part in entry.values() if isinstance(entry, dict) else entry:
        yield from pages_of(part)


def test_every_page_stands_once_in_the_navigation():
    docs = ROOT / "docs"
    written = sorted(path.relative_to(docs).as_posix() for path in docs.rglob("*.md"))
    assert sorted(pages_of(SITE["nav"])) == written


def test_a_page_loads_nothing_from_elsewhere():
    assert SITE["theme"]["font"] is False
    assert "extra_javascript" not in SITE
    assert "extra_css" not in SITE
