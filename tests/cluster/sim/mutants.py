"""Rules that are switched off: each breaks a property."""

from signaling.cluster.engine_memory import ClusterTable
from signaling.cluster.homing import HomeRules, Homing
from tests.cluster.sim.parts import Mutation


class _Copied(ClusterTable):
    def copy(self) -> ClusterTable:
        other = type(self)(self.timeline)
        other._last, other._nodes, other._homes = self._last, dict(self._nodes), dict(self._homes)
        return other


class ClaimsWithoutLimit(_Copied):
    def claim(self, session_id, project_id, limit, me):
        return super().claim(session_id, project_id, None, me)


class ClaimsFromTheLiving(_Copied):
    def _serves(self, incarnation: int) -> bool:
        return any(row.incarnation == incarnation for row in self.nodes())


class CertifiesAnyBeat(_Copied):
    def certify(self, incarnation, seen_beat):
        row = self._nodes.get(incarnation)
        return super().certify(incarnation, seen_beat if row is None else row.beat)


class CountsAlone(Homing):
    """It compares how many homes there are, and not which."""

    def handle_count(self, homes, epochs):
        here = sum(held.home.epoch for held in self._held.values())
        return super().handle_count(homes, here if homes == len(self) else epochs)


CAUGHT: dict[str, tuple[int, Mutation]] = {
    "claims without a limit": (0, Mutation(table=ClaimsWithoutLimit)),
    "the dead keep their homes": (0, Mutation(table=ClaimsFromTheLiving)),
    "no audits": (33, Mutation(homes=HomeRules(audits=False))),
    "certificates for any beat": (2, Mutation(table=CertifiesAnyBeat)),
    "homes are counted and not compared": (45, Mutation(homing=CountsAlone)),
    "neither homes nor clients heed epochs": (
        24,
        Mutation(homes=HomeRules(heeds_epochs=False), clients_have_fences=False),
    ),
}
"""With a seed that catches each. Homes that heed epochs and clients that do are two fences before
one fault: with either of them no run of those tried broke anything. Not here, because no run
noticed: claims of the dead and numbers without the timeline (the contract test of engines catches
both), routes that outlive a certificate, judgements without witnesses, without one's own links, and
across gaps of reading (unit tests). A fault is missing for them."""
