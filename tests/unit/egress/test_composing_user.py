"""What composes, as another user than root: one whose processes may start no thread any more."""

import os
import resource
import shutil
import tempfile
import traceback
from pathlib import Path

import pytest

from tests.unit.egress.composing import Composing, color, tone
from tests.unit.egress.media import added, json_item

NOBODY = 65_534


@pytest.fixture
def folder():
    """One that another user reaches and writes to."""
    made = Path(tempfile.mkdtemp(prefix="composed-"))
    made.chmod(0o777)
    yield made
    shutil.rmtree(made)


def in_a_process(work) -> str:
    """What went wrong there; empty: nothing."""
    reads, writes = os.pipe()
    pid = os.fork()
    if pid == 0:
        os.umask(0)
        try:
            work()
        except Exception:  # noqa: BLE001 - whatever it is, the parent says it
            os.write(writes, traceback.format_exc().encode()[-4_000:])
        finally:
            os._exit(0)
    os.close(writes)
    with os.fdopen(reads) as said:
        text = said.read()
    os.waitpid(pid, 0)
    return text


@pytest.mark.parametrize("codec", ["vp8", "vp9", "h264", "av1"])
def test_no_thread_is_started_once_the_encoders_are_open(folder, codec):
    items = (
        json_item(added("a", codec=codec)),
        *color(80, 30, codec=codec),
        *tone(0.2, 50),
    )

    def compose() -> None:
        composing = Composing(folder)
        if os.geteuid() == 0:  # for root the limit does not count
            os.setuid(NOBODY)
        resource.setrlimit(resource.RLIMIT_NPROC, (0, 0))
        composing.play(*items)
        composing.archive.close()

    assert in_a_process(compose) == ""
    assert any(one.stat().st_size > 1_000 for one in folder.rglob("*") if one.is_file())
