"""The table is whole: each message of a server and each rule of SDP has a lie about it."""

import re
from typing import get_args

import pytest

from signaling.protocol.messages import ServerMessage
from tests.hostile.lies import TABLE, Must, rows_for
from tests.hostile.lies.row import BROWSERS, KINDS
from tests.hostile.lies.rules import OTHERS, PARTS, REFUSALS
from tests.hostile.lies.words import ERRORS, SOMETIMES, errors_of
from tests.hostile.mutations import MUTATIONS, ROOT
from tests.hostile.selected import is_long

TAGS = sorted(shape.__struct_config__.tag for shape in get_args(ServerMessage))
COVERED = {covered for row in TABLE for covered in row.covers}


@pytest.mark.parametrize("tag", TAGS)
def test_each_message_of_a_server_has_a_lie(tag) -> None:
    assert tag in COVERED


@pytest.mark.parametrize("part", sorted(PARTS | OTHERS))
def test_each_part_of_sdp_has_a_lie(part) -> None:
    assert part in COVERED


@pytest.mark.parametrize("who", REFUSALS)
def test_each_refusal_of_a_description_is_what_a_row_tells_its_user(who) -> None:
    told = [words for row in TABLE for words in ERRORS.get(row.name, {}).get(who, ())]
    assert len(REFUSALS[who]) > 8
    assert [words for words in REFUSALS[who] if not any(words in one for one in told)] == []


@pytest.mark.parametrize("row", TABLE, ids=lambda row: row.name)
def test_whose_call_ends_is_told_so(row) -> None:
    for kind in row.only:
        if row.must_of(kind) in (Must.REFUSE, Must.STOP):
            assert errors_of(row.name, kind) or row.told


def test_each_row_is_played_for_every_change_and_each_browser_plays_its_share() -> None:
    played = {
        kind: {row.name for row in rows_for(kind) if not is_long(kind, row)} for kind in KINDS
    }
    assert set.union(*played.values()) == {row.name for row in TABLE}
    for browser in BROWSERS:
        of_both = [row.name for row in TABLE if set(BROWSERS) <= set(row.only)]
        assert 0.4 < len(played[browser].intersection(of_both)) / len(of_both) < 0.6


def test_words_are_of_rows_that_there_are() -> None:
    assert {row.name for row in TABLE} >= ERRORS.keys() | SOMETIMES.keys()
    tables = (*ERRORS.values(), *SOMETIMES.values())
    assert all(words for table in tables for some in table.values() for words in some)


def test_rows_that_the_document_names_are_in_the_table() -> None:
    page = (ROOT / "tests" / "hostile" / "README.md").read_text()
    cells = re.findall(r"\brows (\"[^;|]*)", page)
    named = {name for cell in cells for name in re.findall(r'"([^"]+)"', cell)}
    assert len(named) > 10
    assert named <= {row.name for row in TABLE}


def test_rows_cover_what_there_is_and_have_names_of_their_own() -> None:
    assert {*TAGS, *PARTS, *OTHERS} >= COVERED
    assert len({row.name for row in TABLE}) == len(TABLE) >= 40


@pytest.mark.parametrize("mutation", MUTATIONS, ids=lambda mutation: mutation.name)
def test_each_check_that_can_be_taken_away_is_where_it_is_said_to_be(mutation) -> None:
    assert (ROOT / mutation.file).read_text().count(mutation.old) == 1
    assert {row.name for row in TABLE} >= set(mutation.rows)
