"""Renders of a node, over a real store, the media plane of tests and browsers that tests act."""

import asyncio
from collections.abc import Callable
from pathlib import Path

from config.render_settings import RenderSettings
from sfu.egress.render_jobs import NodeAddresses
from sfu.target_policy import TargetPolicy, networks
from signaling.clock import Clock, SystemClock
from signaling.domain.effects import Notify
from signaling.domain.session_options import SessionRecord
from signaling.egress.dialing import Dialer
from signaling.egress.distant_stops import DistantStops
from signaling.metrics import Metrics
from signaling.renders.marks import RenderMarks
from signaling.renders.render import RenderTools
from signaling.renders.service import RenderParts, Renders
from signaling.sessions.context import Schedule
from signaling.storage.base import Store
from tests.egress_world import Names, alone
from tests.fakes.renders import FakeRenders

NODE = NodeAddresses(("127.0.0.1", 8080), secure=False, media={("192.0.2.1", 1): ("127.0.0.1", 1)})


def render_parts(
    store: Store,
    folder: Path,
    *,
    egress: FakeRenders | None = None,
    session: Callable[[str], object] = lambda _name: None,
    clock: Clock | None = None,
    schedule: Schedule | None = None,
    notices: list[tuple[SessionRecord, Notify]] | None = None,
    node: NodeAddresses = NODE,
    stops: DistantStops | None = None,
    **settings: int,
) -> RenderParts:
    """Of a server that cannot render without `egress`. `notices`: gets what applications get."""
    clock = clock or SystemClock()
    reported = [] if notices is None else notices
    return RenderParts(
        store=store,
        egress=egress,
        tools=RenderTools(clock, schedule or asyncio.get_running_loop().call_later, session),
        marks=RenderMarks(folder / "renders"),
        dialer=Dialer(TargetPolicy(networks("127.0.0.0/8")), Names(**{"page.test": "127.0.0.1"})),
        metrics=Metrics(dict),
        clock=clock,
        report_event=lambda session, notice: reported.append((session, notice)),
        settings=RenderSettings(**settings),
        node=lambda: node,
        callback_targets=TargetPolicy(networks("127.0.0.0/8")),
        stops=stops or alone(),
    )


def renders_of(store: Store, folder: Path, **parts: object) -> Renders:
    return Renders(render_parts(store, folder, **parts))
