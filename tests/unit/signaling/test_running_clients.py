"""The running clients of a feature: their caps, and what is counted of each end."""

import pytest

from sfu.egress.jobs import EgressError
from sfu.media_plane import MediaError
from signaling.domain.errors import DomainError, ErrorCode, error
from signaling.domain.features import Feature
from signaling.egress.running_clients import Room, RunningClients
from signaling.metrics import Metrics
from tests.egress_world import metric_of


class Phone:
    """Ends as clients do: once, with a word to the list."""

    def __init__(self, world, name, project="1", failure=None):
        self.world, self.id, self.project, self.failure = world, name, project, failure
        self.lefts = 0

    def leave(self):
        self.lefts += 1
        self.world.running.remove(self, self.failure)


class World:
    def __init__(self):
        self.metrics = Metrics(dict)
        self.running = RunningClients(Feature.SIP, Room(3, 2, "full"), self.metrics)

    def start(self, name, project="1"):
        phone = Phone(self, name, project)
        with self.running.starting(phone):
            assert phone in self.running.all()
        return phone

    def counted(self):
        names = ("running", "starts_total")
        return tuple(metric_of(self.metrics, "sip", f"sealroute_egress_{one}") for one in names)

    def failures(self, reason):
        return metric_of(self.metrics, "sip", "sealroute_egress_failures_total", reason=reason)


@pytest.fixture
def world():
    return World()


def test_a_project_has_its_cap_and_the_server_has_one(world):
    first = world.start("a")
    world.start("b")
    for project, fits in (("1", False), ("2", True), ("3", False)):
        if fits:
            world.start("c", project)
            continue
        with pytest.raises(DomainError) as refused:
            world.start("d", project)
        assert (refused.value.code, refused.value.message) == (ErrorCode.NO_CAPACITY, "full")
    assert world.counted() == (3, 3)
    assert world.failures("no_capacity") == 0
    first.leave()
    world.start("d")
    assert world.counted() == (3, 4)


@pytest.mark.parametrize(
    ("cause", "reason"),
    [(error(ErrorCode.CONNECT_FAILED), "connect_failed"), (KeyboardInterrupt(), "cancelled")],
)
def test_what_fails_to_start_leaves_and_is_counted_once(world, cause, reason):
    phone = Phone(world, "a")
    with pytest.raises(type(cause)), world.running.starting(phone):
        raise cause
    assert (phone.lefts, world.running.all()) == (1, [])
    assert world.counted() == (0, 0)
    assert world.failures(reason) == 1


def test_an_end_is_counted_once_and_as_a_failure_only_with_a_reason(world):
    phone, lost = world.start("a"), world.start("b")
    lost.failure = "lost"
    world.running.leave()
    world.running.leave()
    lost.leave()
    assert (phone.lefts, world.counted()) == (1, (0, 2))
    assert world.failures("lost") == 1
    assert world.running.find("a") is None


@pytest.mark.parametrize(
    ("cause", "code"),
    [
        (EgressError("no_capacity", ""), ErrorCode.NO_CAPACITY),
        (EgressError("connect_failed", ""), ErrorCode.CONNECT_FAILED),
        (EgressError("child_lost", ""), ErrorCode.OVERLOADED),
        (MediaError("clear_media_required", ""), ErrorCode.FEATURE_NEEDS_CLEAR_MEDIA),
        (MediaError("transport_closed", ""), ErrorCode.OVERLOADED),
    ],
)
def test_what_media_and_processes_refuse_has_a_code_for_the_caller(world, cause, code):
    with pytest.raises(DomainError) as refused, world.running.refusals():
        raise cause
    assert refused.value.code is code
