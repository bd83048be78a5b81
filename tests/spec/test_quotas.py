"""What a project may have at a time."""

import dataclasses

import pytest

from signaling.domain.errors import DomainError, ErrorCode
from signaling.domain.projects import Quotas
from signaling.domain.session_options import SessionOptions, SessionRecord
from tests.conversation import House, settle


def record(name: str, project: str = "1") -> SessionRecord:
    return SessionRecord(name, project, SessionOptions(), 0)


async def house_with_a_client() -> House:
    house = House()
    await house.joined()
    return house


async def test_a_project_opens_no_more_sessions_than_its_quota_and_others_are_not_counted() -> None:
    house = await house_with_a_client()
    with pytest.raises(DomainError) as refused:
        house.directory.open(record("2_other"), Quotas(sessions=1))
    assert refused.value.code is ErrorCode.SESSION_LIMIT
    house.directory.open(record("2_other"), Quotas(sessions=2))
    house.directory.open(record("2_foreign", project="9"), Quotas(sessions=1))


async def test_a_session_that_is_open_takes_more_clients_whatever_the_quota_of_sessions() -> None:
    house = await house_with_a_client()
    again = house.directory.open(house.record, Quotas(sessions=1))
    assert again is house.actor


async def test_the_quota_of_connections_tightens_the_servers_limit_and_never_widens_it() -> None:
    house = House(connections_per_session=2)
    tight = house.directory.open(record("2_tight"), Quotas(connections=1))
    wide = house.directory.open(record("2_wide"), Quotas(connections=50))
    assert tight.state.limits.connections == 1
    assert wide.state.limits.connections == 2
    assert dataclasses.replace(tight.state.limits, connections=2) == wide.state.limits
    await settle()
