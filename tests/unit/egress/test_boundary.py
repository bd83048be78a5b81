"""The server's own process starts those that record, and loads nothing of what they run."""

import subprocess
import sys

import pytest

LIST_MODULES = "import sys; print(*sys.modules, sep='\\n')"


def loaded_by(statement):
    shown = subprocess.run(
        [sys.executable, "-c", f"{statement}; {LIST_MODULES}"],
        capture_output=True,
        text=True,
        check=True,
    )
    return set(shown.stdout.split())


def test_the_supervisor_loads_no_codec_and_nothing_of_the_children():
    loaded = loaded_by("import sfu.egress.supervisor")
    assert "sfu.egress.forks" in loaded
    assert [name for name in loaded if name.partition(".")[0] in {"av", "numpy", "signaling"}] == []
    children = ("sfu.egress.child.", "sfu.egress.zygote")
    assert [name for name in loaded if name.startswith(children)] == []


@pytest.mark.parametrize("module", ["sfu.egress.zygote", "sfu.egress.child.main"])
def test_a_child_loads_no_codec_and_no_server(module):
    loaded = loaded_by(f"import {module}")
    assert "sfu.egress.child.main" in loaded
    foreign = {"av", "numpy", "signaling", "aiohttp", "sqlalchemy", "asyncio", "structlog"}
    assert [name for name in loaded if name.partition(".")[0] in foreign] == []


def test_what_records_single_streams_has_nothing_of_what_composes():
    for module in ("sfu.egress.zygote", "sfu.egress.supervisor"):
        loaded = loaded_by(f"import {module}")
        assert [name for name in loaded if name.startswith("sfu.egress.composer")] == []


def test_what_composes_has_its_codecs_before_it_forks():
    loaded = loaded_by("import sfu.egress.composer.zygote")
    assert {"av", "numpy", "sfu.egress.composer.composed"} <= loaded
    foreign = {"signaling", "aiohttp", "sqlalchemy", "asyncio", "structlog"}
    assert [name for name in loaded if name.partition(".")[0] in foreign] == []
