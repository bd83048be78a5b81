"""Object stores of others on loopback: moto speaks like S3, Azurite like Azure Blob Storage."""

import asyncio
import contextlib
import hashlib
import hmac
import os
import urllib.error
import urllib.request
from base64 import b64decode, b64encode
from collections.abc import AsyncIterator
from datetime import UTC, datetime
from pathlib import Path

import pytest

from bench.ports import free_port
from sfu.egress.buckets import Bucket
from tests.served import until

ROOT = Path(__file__).parents[1]
MOTO = ROOT / ".cache/moto/bin/moto_server"
AZURITE = ROOT / ".cache/azurite/node_modules/.bin/azurite-blob"
# Azurite's own, as its documentation names them.
ACCOUNT = "devstoreaccount1"
KEY = "Eby8vdM02xNOcqFlqUwJPLlmEtlCDXJ1OUzFT50uSRZ6IFsuFq2UVErCz4I6tq/K1SZFPTOtr/KBHBeksoGMGw=="
NAME = "recordings"


def needs(program: Path):
    reason = f"NOT CHECKED: {program.name} is not here: make test-egress sets it up"
    return pytest.mark.skipif(not program.exists(), reason=reason)


@contextlib.asynccontextmanager
async def _running(*command: str, port: int) -> AsyncIterator[None]:
    silent = asyncio.subprocess.DEVNULL
    process = await asyncio.create_subprocess_exec(*command, stdout=silent, stderr=silent)
    try:
        await until(lambda: _answers(port), 60)
        yield
    finally:
        process.kill()
        await process.wait()


def _answers(port: int) -> bool:
    try:
        urllib.request.urlopen(f"http://127.0.0.1:{port}/", timeout=5).close()
    except urllib.error.HTTPError as answer:
        answer.close()
    except OSError:
        return False
    return True


class S3:
    """`bucket` is where to upload; `content` reads an object."""

    def __init__(self, port: int) -> None:
        self._url = f"http://127.0.0.1:{port}"
        self.bucket = Bucket("s3", NAME, "id", "secret", endpoint=self._url)

    @staticmethod
    @contextlib.asynccontextmanager
    async def running(_folder: Path) -> AsyncIterator["S3"]:
        port = free_port()
        async with _running(
            str(MOTO.parent / "python"), str(MOTO), "-H", "127.0.0.1", "-p", str(port), port=port
        ):
            one = S3(port)
            one._ask("PUT", "")
            yield one

    def content(self, key: str) -> bytes:
        return self._ask("GET", f"/{key}")

    def _ask(self, method: str, path: str) -> bytes:
        request = urllib.request.Request(f"{self._url}/{NAME}{path}", method=method)
        with urllib.request.urlopen(request, timeout=20) as answer:
            return answer.read()


class Azure:
    """The same."""

    def __init__(self, port: int) -> None:
        self._url = f"http://127.0.0.1:{port}/{ACCOUNT}"
        self.bucket = Bucket("azure", NAME, ACCOUNT, KEY, endpoint=self._url)

    @staticmethod
    @contextlib.asynccontextmanager
    async def running(folder: Path) -> AsyncIterator["Azure"]:
        port = free_port()
        command = [str(AZURITE), "--blobPort", str(port), "--location", str(folder), "--silent"]
        async with _running(*command, "--skipApiVersionCheck", port=port):
            one = Azure(port)
            one._ask("PUT", "", "restype:container", "?restype=container")
            yield one

    def content(self, key: str) -> bytes:
        return self._ask("GET", f"/{key}")

    def _ask(self, method: str, path: str, parameters: str = "", query: str = "") -> bytes:
        """Signed with the account's key (Shared Key, version 2021-08-06)."""
        when = datetime.now(UTC).strftime("%a, %d %b %Y %H:%M:%S GMT")
        headers = {"x-ms-date": when, "x-ms-version": "2021-08-06"}
        named = "\n".join(f"{name}:{value}" for name, value in headers.items())
        resource = f"/{ACCOUNT}/{ACCOUNT}/{NAME}{path}" + (f"\n{parameters}" if parameters else "")
        text = "\n".join([method, *[""] * 11, named, resource])
        signature = hmac.digest(b64decode(KEY), text.encode(), hashlib.sha256)
        headers["Authorization"] = f"SharedKey {ACCOUNT}:{b64encode(signature).decode()}"
        if method == "PUT":
            headers["Content-Length"] = "0"
        url = f"{self._url}/{NAME}{path}{query}"
        request = urllib.request.Request(url, method=method, headers=headers)
        with urllib.request.urlopen(request, timeout=20) as answer:
            return answer.read()


def noise(folder: Path, size_bytes: int) -> Path:
    file = folder / "archive.mp4"
    file.write_bytes(os.urandom(size_bytes))
    return file
