"""As much of a container engine as it takes to run the image: namespaces, mounts, users.

What Docker does by itself is done here in the same way: an empty volume takes owner, mode and
content from the image's folder; the program is process 1; the health check of the image is run
inside. The network is the machine's own.
"""

import asyncio
import contextlib
import json
import os
import shutil
import signal
import stat
import subprocess
import sys
from collections.abc import AsyncIterator, Iterator, Mapping
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

ROOT = Path(__file__).parents[2]
NAME = "localhost/sealroute:test"
EGRESS = "localhost/sealroute:test-egress"
UNDER_SECCOMP = Path(__file__).with_name("under_seccomp.py")
DATA = "/var/lib/sealroute/data"
# Runs as root in new namespaces; the words after it are what the container is.
_ENTER = """
set -eu
rootfs=$1 at=$2 volume=$3 data=$4 read_only=$5 covers=$6; shift 6
mount --bind "$rootfs" "$at"
mount -t proc -o nosuid,nodev,noexec proc "$at/proc"
mount -t tmpfs -o nosuid,nodev,noexec,mode=1777,size=16m tmpfs "$at/tmp"
mount -t tmpfs -o nosuid,noexec,mode=0755,size=64k tmpfs "$at/dev"
for device in null zero full random urandom tty; do
  touch "$at/dev/$device"
  mount --bind "/dev/$device" "$at/dev/$device"
done
mount --bind "$volume" "$at$data"
if [ "$covers" = yes ]; then
  mount --bind /dev/null "$at/proc/interrupts"
  mount -o bind,ro "$at/proc/sys" "$at/proc/sys"
fi
if [ "$read_only" = yes ]; then mount -o remount,bind,ro "$at"; fi
# Not chroot: whose root is not that of its mounts gets no namespaces of its own.
cd "$at"
pivot_root . .
umount -l .
cd /
exec "$@"
"""


def buildah(*words: str) -> str:
    done = subprocess.run(
        [ROOT / "scripts" / "image", "buildah", *words], check=True, capture_output=True, text=True
    )
    return done.stdout.strip()


@dataclass(frozen=True)
class Image:
    """A built image: its files, and how it wants to be run."""

    rootfs: Path
    config: dict[str, Any]

    def new_volume(self, folder: Path) -> Path:
        """An empty volume of root, filled at its first mount as engines do it."""
        folder.mkdir(mode=0o755)
        source = self.rootfs / DATA.lstrip("/")
        if source.is_dir():
            shutil.copytree(source, folder, dirs_exist_ok=True)
            owner = source.stat()
            os.chown(folder, owner.st_uid, owner.st_gid)
            folder.chmod(stat.S_IMODE(owner.st_mode))
        return folder


@contextlib.contextmanager
def built_image(name: str = NAME) -> Iterator[Image]:
    container = buildah("from", "--pull-never", name)
    try:
        rootfs = Path(buildah("mount", container))
        described = json.loads(buildah("inspect", "--type", "image", name))
        yield Image(rootfs, described["Docker"]["config"])
    finally:
        buildah("rm", container)


@dataclass(frozen=True)
class Options:
    """What an operator says at `docker run`; the defaults are those of docker-compose.yml, but that
    engines cover a part of /proc. `seccomp`: a profile, as engines take it."""

    environment: Mapping[str, str] = field(default_factory=dict)
    command: tuple[str, ...] | None = None
    user: tuple[int, int] | None = None
    groups: tuple[int, ...] = ()
    read_only: bool = True
    covers_proc: bool = False
    seccomp: Path | None = None


class Container:
    """One process of the image. Owner of its process and of what it said."""

    def __init__(self, image: Image, options: Options, process: asyncio.subprocess.Process) -> None:
        self._image, self._options, self._process = image, options, process
        self.said: list[str] = []
        self._readers = [
            asyncio.create_task(self._read(stream))
            for stream in (process.stdout, process.stderr)
            if stream
        ]

    async def _read(self, stream: asyncio.StreamReader) -> None:
        async for line in stream:
            self.said.append(line.decode())

    @property
    def log(self) -> str:
        return "".join(self.said)

    async def until_said(self, text: str, seconds: float = 30) -> None:
        async with asyncio.timeout(seconds):
            while text not in self.log:
                if self._process.returncode is not None:
                    raise AssertionError(f"it ended before it said {text!r}:\n{self.log}")
                await asyncio.sleep(0.05)

    async def execute(self, *words: str) -> tuple[int, str]:
        """Runs a command inside, as `docker exec` does: exit code and output."""
        process = await asyncio.create_subprocess_exec(
            *("nsenter", "--target", str(self._first_process()), "--mount", "--pid", "--root"),
            *_as_user(self._image, self._options),
            *words,
            stdout=subprocess.PIPE,
            stderr=subprocess.STDOUT,
        )
        output, _ = await process.communicate()
        return process.returncode or 0, output.decode()

    async def health(self) -> tuple[int, str]:
        """What the image's own health check says."""
        kind, *words = self._image.config["Healthcheck"]["Test"]
        assert kind == "CMD"
        return await self.execute(*words)

    async def stop(self, seconds: float = 20) -> int:
        """Sends the image's signal and gives the exit code."""
        if self._process.returncode is None:
            os.kill(self._first_process(), signal.Signals[self._image.config["StopSignal"]])
        return await self.ended(seconds)

    async def ended(self, seconds: float = 20) -> int:
        code = await asyncio.wait_for(self._process.wait(), seconds)
        await asyncio.gather(*self._readers)
        return code

    def kill(self) -> None:
        """The death of process 1 ends all of the container."""
        if self._process.returncode is None:
            with contextlib.suppress(IndexError, ProcessLookupError):
                os.kill(self._first_process(), signal.SIGKILL)

    def _first_process(self) -> int:
        outer = self._process.pid
        return int(Path(f"/proc/{outer}/task/{outer}/children").read_text().split()[0])


def _as_user(image: Image, options: Options) -> list[str]:
    """The words that become the container's user, without any capability, with its environment."""
    config = image.config
    user, group = options.user or tuple(int(part) for part in config["User"].split(":"))
    groups = (
        ["--groups", ",".join(map(str, options.groups))] if options.groups else ["--clear-groups"]
    )
    variables = [
        *config["Env"],
        *(f"{name}={value}" for name, value in options.environment.items()),
    ]
    return [
        *("/usr/bin/setpriv", "--reuid", str(user), "--regid", str(group), *groups),
        *("--bounding-set=-all", "--inh-caps=-all", "--no-new-privs"),
        *("/usr/bin/env", "--ignore-environment", f"--chdir={config['WorkingDir']}", *variables),
    ]


@contextlib.asynccontextmanager
async def running(
    image: Image, volume: Path, scratch: Path, options: Options | None = None
) -> AsyncIterator[Container]:
    """A container that runs inside the block, and is killed at its end if it still does; its root
    is mounted on the empty folder `scratch`, as far as the container sees."""
    options = options or Options()
    command = options.command if options.command is not None else tuple(image.config["Cmd"])
    filtered = (
        []
        if options.seccomp is None
        else [sys.executable, str(UNDER_SECCOMP), str(options.seccomp)]
    )
    process = await asyncio.create_subprocess_exec(
        *filtered,
        *("unshare", "--mount", "--propagation", "private", "--pid", "--ipc", "--uts"),
        *("--fork", "--kill-child=KILL", "/bin/sh", "-c", _ENTER, "enter"),
        *(str(image.rootfs), str(scratch), str(volume), DATA),
        *("yes" if one else "no" for one in (options.read_only, options.covers_proc)),
        *_as_user(image, options),
        *image.config["Entrypoint"],
        *command,
        stdout=subprocess.PIPE,
        stderr=subprocess.PIPE,
    )
    container = Container(image, options, process)
    try:
        yield container
    finally:
        container.kill()
        await container.ended()
