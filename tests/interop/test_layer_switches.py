"""Layer switches of the real core with frames of real encoders, opened and decoded.

The same with 10,000 switches for each codec: make check-switches.
"""

from pathlib import Path

import pytest

from bench.switches.core import build
from bench.switches.plan import Plan, plans
from bench.switches.run import run

pytestmark = [pytest.mark.interop, pytest.mark.long, pytest.mark.timeout(300)]

SWITCHES = 100


@pytest.fixture(scope="module")
def binary() -> Path:
    return build()


@pytest.mark.parametrize("plan", plans(SWITCHES), ids=lambda plan: plan.name)
def test_every_forwarded_frame_decodes_to_the_frame_of_its_encoding(
    plan: Plan, binary: Path
) -> None:
    result = run(plan, binary)
    assert result.faults == []
    assert result.passed, result
