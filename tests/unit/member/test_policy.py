"""What the operator of a member service lets it do, whatever the server asks for."""

import re
import uuid
from pathlib import Path

import pytest

from config.settings import EgressSettings
from member.credentials import CONNECTION_DATA, ProjectKey
from member.policy import STARTS_AT_ONCE, Admission, Policy
from signaling.domain.session_ids import new_session_id

KEY = ProjectKey("1234567", "a secret of the project, long enough")
OWN = new_session_id("1234567", "", 1, bytes(16))
FOREIGN = new_session_id("7654321", "", 1, bytes(16))


def test_only_sessions_that_are_named_are_recorded() -> None:
    policy = Policy.of([OWN])
    assert policy.allows(OWN)
    assert not policy.allows(FOREIGN)
    assert not policy.allows(OWN + "x")
    assert Policy.of([OWN, "any"]).allows(OWN + "x")


@pytest.mark.parametrize(
    ("session", "is_own"),
    [(OWN, True), (FOREIGN, False), ("2_", False), ("2_AAAA", False), ("2_\x00", False)],
)
def test_a_session_is_of_the_project_that_its_id_names(session, is_own) -> None:
    assert KEY.owns(session) is is_own


def test_there_are_as_many_archives_as_the_operator_allows() -> None:
    admission = Admission(Policy.of(["any"], archives_max=2))
    assert [admission.refusal(name, OWN, 0.0) for name in "abc"] == [None, None, "no_capacity"]
    admission.running.discard("a")
    assert admission.refusal("c", OWN, 0.0) is None
    assert admission.refusal("c", OWN, 0.0) == "refused"


def test_a_flood_of_archives_that_end_at_once_costs_a_bounded_number_of_them() -> None:
    admission = Admission(Policy.of(["any"]))
    begun = 0
    for number in range(1_000):
        name = str(number)
        begun += admission.refusal(name, OWN, number / 1_000) is None
        admission.running.discard(name)
    assert begun == STARTS_AT_ONCE
    assert admission.refusal("later", OWN, 3_600.0) is None


def test_credentials_are_not_shown() -> None:
    assert KEY.api_secret not in repr(KEY)
    assert EgressSettings().children_max
    assert str(uuid.uuid4()) not in repr(KEY)


def test_the_room_knows_the_service_by_what_its_token_says() -> None:
    texts = Path("web/demo/src/texts.ts").read_text()
    known = re.search(r"isRecorder\(.*\n  return data === '(\w+)'", texts)
    assert known is not None
    assert known[1] == CONNECTION_DATA
