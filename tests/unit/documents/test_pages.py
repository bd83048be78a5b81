"""Pages are short, and their links lead somewhere."""

import re
from functools import cache
from pathlib import Path

import pytest

from tests.unit.documents.pages import HISTORY, ROOT, every_page, name_of, prose

LINK = re.compile(r"\]\(([^)\s]+)\)|\b(?:src|href)=\"([^\"]+)\"")
HEADING = re.compile(r"^#{1,6} +(.+?) *$", re.MULTILINE)
MAX_LINES = 300


@cache
def anchors(page: Path) -> frozenset[str]:
    """As GitHub and the documentation site make them of titles."""
    titles = [
        re.sub(r"\[([^]]*)\]\([^)]*\)", r"\1", title) for title in HEADING.findall(prose(page))
    ]
    return frozenset(
        re.sub(r"[^\w\- ]", "", title.lower()).strip().replace(" ", "-") for title in titles
    )


def dead(link: str, page: Path) -> bool:
    path, _, anchor = link.partition("#")
    target = (page.parent / path).resolve() if path else page
    if not target.exists():
        return True
    return bool(anchor) and target.suffix == ".md" and anchor not in anchors(target)


@pytest.mark.parametrize("page", [*every_page(), ROOT / HISTORY], ids=name_of)
def test_every_link_leads_somewhere(page: Path):
    links = {link or source for link, source in LINK.findall(prose(page))}
    assert {link for link in links if "://" not in link and dead(link, page)} == set()


@pytest.mark.parametrize("page", every_page(), ids=name_of)
def test_no_page_is_longer_than_a_sitting(page: Path):
    assert len(page.read_text(encoding="utf-8").splitlines()) <= MAX_LINES


def test_the_pages_were_found():
    assert len(every_page()) > 20


def test_links_that_lead_nowhere_are_found(tmp_path: Path):
    page = tmp_path / "page.md"
    page.write_text("# A title, and more\n")
    assert dead("nowhere.md", page)
    assert dead("#a-title", page)
    assert not dead("page.md#a-title-and-more", page)
