"""The pure parts of a cluster against faults by seed: `python -m tests.cluster.sim 0 2000`
plays more.

A run is a class of faults (kill, restart, freeze, cuts of every kind, an engine that is away, slow
or rewound, clients that go) on nodes whose clocks have nothing in common.
"""

import os

import pytest

from tests.cluster.sim.mutants import CAUGHT
from tests.cluster.sim.parts import Violation
from tests.cluster.sim.runs import run

SEEDS, PARTS = int(os.environ.get("SIM_SEEDS", "150")), 10


@pytest.mark.parametrize("part", range(PARTS))
@pytest.mark.timeout(600)
def test_every_property_holds_in_every_run(part):
    for seed in range(part, SEEDS, PARTS):
        try:
            run(seed)
        except Violation as violation:
            pytest.fail(f"seed {seed}: {violation}")


@pytest.mark.parametrize("name", CAUGHT)
def test_a_rule_that_is_switched_off_breaks_a_property(name):
    seed, mutation = CAUGHT[name]
    with pytest.raises(Violation):
        run(seed, mutation)
