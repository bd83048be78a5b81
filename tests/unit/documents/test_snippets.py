"""Code on the pages does what a reader expects of it."""

import re
from pathlib import Path

import pytest

from config.settings import HttpSettings
from tests.unit.documents.pages import ROOT, every_page, name_of

SUBSCRIBE = re.compile(r"session\.subscribe\([\w.]+, [^\n]*")
COMMANDS = ("operations", "migrate-from-opentok", "callbacks", "troubleshooting")


@pytest.mark.parametrize("page", every_page(), ids=name_of)
def test_a_second_stream_does_not_replace_the_first(page: Path):
    """Without `insertMode`, a widget takes the place of the element that it is given."""
    found = SUBSCRIBE.findall(page.read_text(encoding="utf-8"))
    assert [one for one in found if "insertMode" not in one] == []


def test_the_pages_subscribe():
    assert SUBSCRIBE.search((ROOT / "README.md").read_text(encoding="utf-8"))


@pytest.mark.parametrize("page", COMMANDS)
def test_a_page_of_commands_says_where_the_command_is(page: str):
    assert ".venv/bin/sealroute" in (ROOT / f"docs/{page}.md").read_text(encoding="utf-8")


def test_the_limit_of_a_body_is_the_setting():
    stated = f"{HttpSettings().max_body_bytes:,} bytes"
    for page in ("rest-api", "hardening"):
        assert stated in (ROOT / f"docs/{page}.md").read_text(encoding="utf-8")
