"""What the documents name is there."""

import re
from pathlib import Path

import pytest

ROOT = Path(__file__).parents[2]
PAGES = sorted([*ROOT.glob("*.md"), *(ROOT / "docs").glob("*.md"), *ROOT.glob("sdk/*/README.md")])
TOP = r"(?:signaling|sfu|config|native|sdk|web|tests|bench|docs|deploy|scripts)"
NAMED = re.compile(rf"`({TOP}/[\w./-]+)`")
LINKED = re.compile(r"\]\(([^)#\s]+)(?:#[^)]*)?\)")
HISTORY = {"CHANGES.md"}


def is_there(name: str, beside: Path) -> bool:
    return (ROOT / name).exists() or (beside / name).exists()


@pytest.mark.parametrize("page", PAGES, ids=lambda page: str(page.relative_to(ROOT)))
def test_every_path_that_a_page_names_exists(page):
    text = page.read_text()
    named = set() if page.name in HISTORY else set(NAMED.findall(text))
    linked = {link for link in LINKED.findall(text) if "://" not in link}
    missing = [name for name in sorted(named | linked) if not is_there(name, page.parent)]
    assert missing == []


def test_the_pages_were_found():
    assert len(PAGES) > 15
