"""The zygote and the server's side of it: what a child inherits, and answers that are none."""

import asyncio
import fcntl
import os
import resource
import socket
import subprocess
import sys
from pathlib import Path

import msgspec
import pytest

from sfu.egress.control import JobLine, LineWriter, ReadyLine, UpReader
from sfu.egress.forks import ForkError, Zygote
from tests.unit.egress.jobs import PROGRAM, WAIT_S
from tests.unit.egress.lying_zygote import ANSWERS

HIGH = 1_200
"""Above the limit of open files that the zygote sets."""


@pytest.fixture
def many_files():
    soft, hard = resource.getrlimit(resource.RLIMIT_NOFILE)
    resource.setrlimit(resource.RLIMIT_NOFILE, (hard, hard))
    yield
    resource.setrlimit(resource.RLIMIT_NOFILE, (soft, hard))


def test_a_child_has_no_descriptor_of_the_zygote_whatever_its_number(many_files, tmp_path):
    ours, theirs = socket.socketpair(socket.AF_UNIX, socket.SOCK_SEQPACKET)
    control, of_child = socket.socketpair(socket.AF_UNIX, socket.SOCK_STREAM)
    tap, media = socket.socketpair(socket.AF_UNIX, socket.SOCK_SEQPACKET)
    high = fcntl.fcntl(theirs.fileno(), fcntl.F_DUPFD, HIGH)
    zygote = subprocess.Popen([*PROGRAM, str(high)], pass_fds=(high,))
    os.close(high)
    theirs.close()
    with ours, control, tap, of_child, media:
        ours.settimeout(WAIT_S)
        control.settimeout(WAIT_S)
        socket.send_fds(ours, [b'{"number":1}'], [of_child.fileno(), media.fileno()])
        pid = msgspec.json.decode(ours.recv(1_024))["pid"]
        job = JobLine("a", str(tmp_path), "s", "n", 1, 1, 100)
        control.sendall(LineWriter().encode(job))
        assert isinstance(UpReader().decode(control.recv(1_024).splitlines()[0]), ReadyLine)
        links = (Path("/proc") / str(pid) / "fd").iterdir()
        assert [link.name for link in links if int(link.name) >= HIGH] == []
    zygote.wait(WAIT_S)


@pytest.mark.parametrize("kind", list(ANSWERS))
async def test_an_answer_that_is_none_ends_the_zygote_and_not_the_server(kind):
    faults = []
    asyncio.get_running_loop().set_exception_handler(lambda _, context: faults.append(context))
    program = (sys.executable, str(Path(__file__).with_name("lying_zygote.py")), kind)
    zygote = Zygote(program)
    ours, theirs = socket.socketpair()
    with ours, theirs:
        for _ in range(2):
            with pytest.raises(ForkError, match="ended"):
                async with asyncio.timeout(WAIT_S):
                    await zygote.fork([theirs.fileno()])
            assert zygote.pid is None
    assert faults == []
    await zygote.close()
