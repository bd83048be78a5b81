"""What fuzz targets had in many runs adds up, and who had least goes first."""

import importlib.util
import sys
from pathlib import Path
from types import ModuleType

import pytest

SCRIPT = Path(__file__).parents[2] / "scripts/fuzz.py"
LOG = """#2 INITED cov: 17 ft: 18
#9 NEW    cov: 1204 ft: 30 corp: 3/12b
stat::number_of_executed_units: 690000
stat::peak_rss_mb:              60
"""


@pytest.fixture(scope="module")
def fuzz() -> ModuleType:
    spec = importlib.util.spec_from_file_location("fuzz_driver", SCRIPT)
    assert spec is not None
    assert spec.loader is not None
    module = importlib.util.module_from_spec(spec)
    sys.modules["fuzz_driver"] = module
    spec.loader.exec_module(module)
    return module


def test_rounds_add_up(fuzz: ModuleType, tmp_path: Path) -> None:
    path = tmp_path / "record.json"
    assert fuzz.read_record(path) == {}
    had = fuzz.Hours().and_round(60.04, LOG, failed=False).and_round(30, LOG, failed=True)
    fuzz.write_record(path, {"sdp": had})
    assert fuzz.read_record(path) == {"sdp": fuzz.Hours(90.0, 1_380_000, 2, 1_204, 1)}


def test_a_target_that_died_without_figures_keeps_the_ones_it_had(fuzz: ModuleType) -> None:
    had = fuzz.Hours().and_round(60, LOG, failed=False).and_round(1, "killed", failed=True)
    assert (had.runs, had.coverage, had.cpu_s, had.failures) == (690_000, 1_204, 61, 1)


def test_who_had_least_goes_first(fuzz: ModuleType) -> None:
    record = {"sdp": fuzz.Hours(cpu_s=9), "dtls": fuzz.Hours(cpu_s=3)}
    assert fuzz.in_turn(["sdp", "dtls", "stun"], record) == ["stun", "dtls", "sdp"]


def test_the_table_says_who_had_an_hour(fuzz: ModuleType) -> None:
    record = {"sdp": fuzz.Hours(3_600, 5_000, 6, 77), "gone": fuzz.Hours(3_600)}
    table = fuzz.table(record, ["sdp", "stun"])
    assert "| sdp | 60.0 min | 5,000 | 77 | 0 |" in table
    assert "| stun | 0.0 min | 0 | 0 | 0 |" in table
    assert table.endswith("1 of 2 targets have had their hour; 1.0 h in all.")
