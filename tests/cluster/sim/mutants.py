"""Rules that are switched off: each breaks a property."""

from signaling.cluster.engine_memory import ClusterTable
from signaling.cluster.homing import HomeRules
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


CAUGHT: dict[str, tuple[int, Mutation]] = {
    "claims without a limit": (0, Mutation(table=ClaimsWithoutLimit)),
    "the dead keep their homes": (0, Mutation(table=ClaimsFromTheLiving)),
    "no audits": (7, Mutation(homes=HomeRules(audits=False))),
}
"""With a seed that catches each. Not here, because no run of those tried noticed: numbers without
the timeline, certificates for any beat and claims of the dead (the contract test of engines catches
them), homes that do not heed epochs (a unit test), clients without a fence, routes that outlive a
certificate. A property or a fault is missing for them."""
