"""What the official server SDKs play on: a served Sealroute, TLS in front, live clients in it."""

import asyncio
import contextlib
import datetime as dt
import ipaddress
import ssl
from dataclasses import dataclass, field
from pathlib import Path

from cryptography import x509
from cryptography.hazmat.primitives import hashes, serialization
from cryptography.hazmat.primitives.asymmetric import ec, rsa
from cryptography.x509.oid import NameOID
from sealroute_client import Session

from tests.served import SECRET, Server, until

PKCS8 = (
    serialization.Encoding.PEM,
    serialization.PrivateFormat.PKCS8,
    serialization.NoEncryption(),
)


def make_certificate(folder: Path, host: str = "127.0.0.1") -> tuple[Path, Path]:
    """A throw-away authority's certificate for an address, and its key."""
    key = ec.generate_private_key(ec.SECP256R1())
    name = x509.Name([x509.NameAttribute(NameOID.COMMON_NAME, "loopback")])
    now = dt.datetime.now(dt.UTC)
    address = x509.IPAddress(ipaddress.ip_address(host))
    built = (
        x509.CertificateBuilder()
        .subject_name(name)
        .issuer_name(name)
        .public_key(key.public_key())
        .serial_number(x509.random_serial_number())
        .not_valid_before(now - dt.timedelta(days=1))
        .not_valid_after(now + dt.timedelta(days=1))
        .add_extension(x509.SubjectAlternativeName([address]), critical=False)
        .add_extension(x509.BasicConstraints(ca=True, path_length=None), critical=True)
        .sign(key, hashes.SHA256())
    )
    chain, private = folder / "chain.pem", folder / "tls.pem"
    chain.write_bytes(built.public_bytes(serialization.Encoding.PEM))
    private.write_bytes(key.private_bytes(*PKCS8))
    return chain, private


async def _pump(reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
    try:
        with contextlib.suppress(OSError):
            while data := await reader.read(65_536):
                writer.write(data)
                await writer.drain()
    finally:
        writer.close()


DONE = ([], ["stopped"], ["failed"], ["available"])
"""How the only archive or broadcast of a session ends: there is none where it is refused; else it
depends on whether a frame came before the stop, and on whether the file is finished."""


@dataclass
class Live:
    """Two clients in a session: `alice` publishes, both hear."""

    alice: Session
    bob: Session
    stream_id: str
    seen: list[dict] = field(default_factory=list)
    over: list[str] = field(default_factory=list)


class Stage:
    """One server process with a project of both kinds, plain and behind TLS."""

    def __init__(self, folder: Path) -> None:
        self.folder = folder
        self.chain, self.tls_key = make_certificate(folder)
        key = rsa.generate_private_key(public_exponent=65537, key_size=2048)
        self.private_pem = key.private_bytes(*PKCS8).decode()
        public = folder / "public.pem"
        public.write_bytes(
            key.public_key().public_bytes(
                serialization.Encoding.PEM, serialization.PublicFormat.SubjectPublicKeyInfo
            )
        )
        self.server = Server(
            folder / "data",
            e2ee=False,
            project=("--public-key", str(public)),
            config={"SEALROUTE_EGRESS_ALLOWED_NETWORKS": "127.0.0.0/8"},
        )
        self.joined: list[Session] = []
        self.forwarding: set[asyncio.Task[None]] = set()
        self.writers: set[asyncio.StreamWriter] = set()

    async def open(self) -> None:
        await self.server.start()
        project = self.server.project
        self.url, self.api_key = self.server.url, str(project["apiKey"])
        self.api_secret, self.application_id = project["apiSecret"], project["applicationId"]
        context = ssl.create_default_context(ssl.Purpose.CLIENT_AUTH)
        context.load_cert_chain(self.chain, self.tls_key)
        self.front = await asyncio.start_server(self._forward, "127.0.0.1", 0, ssl=context)
        self.tls_host = f"127.0.0.1:{self.front.sockets[0].getsockname()[1]}"

    async def _forward(self, reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        host, _, port = self.url.removeprefix("http://").partition(":")
        upstream, downstream = await asyncio.open_connection(host, int(port))
        self.writers |= {writer, downstream}
        for work in (_pump(reader, downstream), _pump(upstream, writer)):
            task = asyncio.create_task(work)
            self.forwarding.add(task)
            task.add_done_callback(self.forwarding.discard)

    async def close(self) -> None:
        self.front.close()
        # SDKs keep their connections open.
        for task in self.forwarding:
            task.cancel()
        await asyncio.gather(*self.forwarding, return_exceptions=True)
        for writer in self.writers:
            # Early versions of Python 3.11 fail to abort TLS that has ended by itself.
            with contextlib.suppress(AttributeError):
                writer.transport.abort()
        for session in self.joined:
            await session.disconnect()
        await self.server.stop()
        await asyncio.sleep(0.1)  # transports close in the next rounds of the loop

    async def enter(self, name: str, session_id: str, token: str, *, encrypted: bool) -> Live:
        """Two clients join and one publishes. `name`: the project in its dialect."""
        alice, bob = (
            Session(self.url, name, session_id, token, SECRET if encrypted else None)
            for _ in range(2)
        )
        self.joined += [alice, bob]
        for session in (alice, bob):
            await session.connect()
            assert session.is_encrypted is encrypted
        live = Live(alice, bob, "")
        alice.on("signal", lambda event: live.seen.append(event.detail))
        bob.on("disconnected", lambda event: live.over.append(str(event.detail["reason"])))
        live.stream_id = (await alice.publish()).stream_id
        # It is in the lists once its media flows.
        await until(lambda: live.stream_id in bob.streams)
        return live


@dataclass
class Recorder:
    """Calls an SDK and remembers which of its methods were called."""

    sdk: object
    called: set[str] = field(default_factory=set)

    def __getattr__(self, name: str):
        self.called.add(name)
        return getattr(self.sdk, name)


def public_methods(kind: type) -> set[str]:
    """The methods of a class and its bases that an application may call."""
    return {
        name
        for base in kind.__mro__
        for name, member in vars(base).items()
        if not name.startswith("_") and callable(member) and base is not object
    }
