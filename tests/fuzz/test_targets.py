"""A short run of each fuzz target: seeds with bytes changed, the same ones every time."""

import random
from pathlib import Path

import pytest

from tests.fuzz.targets import TARGETS

SEEDS = Path(__file__).parent / "seeds"
RUNS = 1_500


def _changed(dice: random.Random, seed: bytes) -> bytes:
    data = bytearray(seed)
    for _ in range(dice.randrange(1, 6)):
        at = dice.randrange(len(data) + 1)
        action = dice.randrange(4)
        if action == 0 and at < len(data):
            data[at] = dice.randrange(256)
        elif action == 1:
            data[at:at] = dice.randbytes(dice.randrange(1, 9))
        elif action == 2:
            del data[at : at + dice.randrange(1, 9)]
        else:
            data += data[at : at + dice.randrange(1, 200)]
    return bytes(data[:4_096])


@pytest.mark.parametrize("name", TARGETS)
def test_a_target_refuses_by_its_own_errors_alone(name: str) -> None:
    dice = random.Random(f"fuzz {name}")
    seeds = [seed.read_bytes() for seed in sorted((SEEDS / name).iterdir())]
    for seed in seeds:
        TARGETS[name](seed)
    for _ in range(RUNS):
        TARGETS[name](_changed(dice, dice.choice(seeds)))
        TARGETS[name](dice.randbytes(dice.randrange(64)))
