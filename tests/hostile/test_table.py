"""The table is whole: each message of a server and each rule of SDP has a lie about it."""

from typing import get_args

import pytest

from signaling.protocol.messages import ServerMessage
from tests.hostile.lies import TABLE, Must
from tests.hostile.lies.rules import RULES
from tests.hostile.lies.words import ERRORS, SOMETIMES, errors_of

TAGS = sorted(shape.__struct_config__.tag for shape in get_args(ServerMessage))
COVERED = {covered for row in TABLE for covered in row.covers}


@pytest.mark.parametrize("tag", TAGS)
def test_each_message_of_a_server_has_a_lie(tag) -> None:
    assert tag in COVERED


@pytest.mark.parametrize("rule", sorted(RULES))
def test_each_rule_of_sdp_has_a_lie(rule) -> None:
    assert rule in COVERED


@pytest.mark.parametrize("row", TABLE, ids=lambda row: row.name)
def test_whose_call_ends_is_told_so(row) -> None:
    for kind in row.only:
        if row.must_of(kind) in (Must.REFUSE, Must.STOP):
            assert errors_of(row.name, kind) or row.told


def test_words_are_of_rows_that_there_are() -> None:
    assert {row.name for row in TABLE} >= ERRORS.keys() | SOMETIMES.keys()


def test_rows_cover_what_there_is_and_have_names_of_their_own() -> None:
    assert {*TAGS, *RULES} >= COVERED
    assert len({row.name for row in TABLE}) == len(TABLE) >= 40
