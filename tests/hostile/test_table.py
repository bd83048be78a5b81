"""The table is whole: each message of a server and each rule of SDP has a lie about it."""

from typing import get_args

import pytest

from signaling.protocol.messages import ServerMessage
from tests.hostile.lies import TABLE
from tests.hostile.lies.rules import RULES

TAGS = sorted(shape.__struct_config__.tag for shape in get_args(ServerMessage))
COVERED = {covered for row in TABLE for covered in row.covers}


@pytest.mark.parametrize("tag", TAGS)
def test_each_message_of_a_server_has_a_lie(tag) -> None:
    assert tag in COVERED


@pytest.mark.parametrize("rule", sorted(RULES))
def test_each_rule_of_sdp_has_a_lie(rule) -> None:
    assert rule in COVERED


def test_rows_cover_what_there_is_and_have_names_of_their_own() -> None:
    assert {*TAGS, *RULES} >= COVERED
    assert len({row.name for row in TABLE}) == len(TABLE) >= 40
