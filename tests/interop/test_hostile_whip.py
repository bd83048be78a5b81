"""Who attacks a server through WHIP and WHEP, with tokens and without: each request has its answer,
leaves nobody and nothing behind, and disturbs nobody who publishes meanwhile."""

import asyncio
import time
from dataclasses import dataclass, field
from pathlib import Path

import aiohttp
import jwt
import opentok
import pytest

from tests.media_site import MediaSite, media_site
from tests.raw_peer import VP8_LINES, m_line, sdp
from tests.served import NEEDS_THE_MEDIA_CORE, until

pytestmark = [
    pytest.mark.interop,
    pytest.mark.long,
    pytest.mark.filterwarnings("ignore::jwt.warnings.InsecureKeyLengthWarning"),
    NEEDS_THE_MEDIA_CORE,
]
SDP, FRAGMENT = "application/sdp", "application/trickle-ice-sdpfrag"
VALUES = {"ufrag": "abcd", "pwd": "a" * 22, "fingerprint": ":".join(["AB"] * 32)}
OTHER_ICE = f"a=ice-ufrag:wxyz\r\na=ice-pwd:{'b' * 22}\r\n"
CANDIDATE = "a=candidate:1 1 udp 1 192.0.2.1 9 typ host\r\n"
SPARE_FILES = 4
"""Connections of this test that are being closed."""


def offer(direction: str = "sendonly") -> str:
    return sdp(m_line("video", "96", VP8_LINES, "0", VALUES, direction=direction))


def with_lines(line: str, count: int) -> str:
    """An offer with a line so many times."""
    return offer() + "".join(f"{line}\r\n".replace("#", str(n)) for n in range(count))


@dataclass(frozen=True, slots=True)
class Attack:
    """`status`: what the attacker hears. `to`: `own`, a session; `encrypted`; `resource`, what
    somebody else publishes. `token`: `own`, `none`, `other` (of another session), `watcher`,
    `expired`, `forged` (another key), `unsigned`. `times`: so often at once."""

    name: str
    status: tuple[int, ...]
    to: str = "own"
    token: str = "own"
    method: str = "POST"
    body: str | bytes = field(default_factory=offer)
    headers: dict[str, str] = field(default_factory=dict)
    times: int = 3


ATTACKS = (
    *(Attack(f"publish with a token that is {token}", (401,), token=token)
      for token in ("none", "other", "expired", "forged", "unsigned")),
    Attack("publish as who may watch", (403,), token="watcher"),
    Attack("publish clear media into an encrypted session", (409,), "encrypted"),
    Attack("publish so, with the name of the format alone", (409,), "encrypted",
           headers={"Sealroute-E2EE": "e2ee/2"}),
    Attack("publish so, with a format that is none", (409,), "encrypted",
           headers={"Sealroute-E2EE": "e2ee/9", "Sealroute-Kids": "0=0102030405060708"}),
    Attack("publish so, with key ids of another m-line", (409,), "encrypted",
           headers={"Sealroute-E2EE": "e2ee/2", "Sealroute-Kids": "9=0102030405060708"}),
    Attack("key ids that are none", (400,), headers={"Sealroute-Kids": "0=" + "f" * 4_000}),
    Attack("no body", (400,), body=""),
    Attack("bytes that are no text", (400,), body=b"\xff\xfe" * 100),
    Attack("zeros", (400,), body="\x00" * 10_000),
    Attack("a body of a megabyte", (413,), body="v=0\r\n" + "a" * 1_000_000),
    Attack("an m-line that is endless", (400, 413), body=offer() + "a=x:" + "y" * 100_000),
    Attack("thousands of m-lines", (400, 413), body="v=0\r\n" + "m=video 9 RTP 96\r\n" * 6_000),
    Attack("feedback of all formats", (400, 413), body=with_lines("a=rtcp-fb:* x#", 5_000)),
    Attack("thousands of candidates", (201, 400, 413), times=1,
           body=with_lines("a=candidate:# 1 udp 1 192.0.2.1 9 typ host", 2_000)),
    Attack("a codec that nobody has", (409,), body=offer().replace("VP8", "XYZ")),
    Attack("an offer to receive", (400,), body=offer(direction="recvonly")),
    Attack("no certificate", (400,), body=offer().replace("a=fingerprint", "a=nothing")),
    Attack("a name with a control in it", (201, 400), body=offer().replace("s=-", "s=\x0b-")),
    Attack("JSON", (415,), headers={"Content-Type": "application/json"}),
    Attack("no type", (415,), headers={"Content-Type": ""}),
    Attack("a form", (415,), headers={"Content-Type": "multipart/form-data; boundary=x"}),
    Attack("a compressed body", (400, 415), headers={"Content-Encoding": "gzip"}),
    Attack("a method that is none", (405,), method="PUT"),
    *(Attack(f"{method} what others publish with a token that is {token}", status, "resource",
             token, method, CANDIDATE, {"Content-Type": FRAGMENT, "If-Match": "etag"})
      for method in ("PATCH", "DELETE")
      for token, status in (("none", (401,)), ("own", (404,)), ("other", (404,)),
                            ("forged", (404,)), ("watcher", (404,)))),
    Attack("restarts of what others publish", (404,), "resource", "own", "PATCH", OTHER_ICE,
           {"Content-Type": FRAGMENT, "If-Match": "*"}, times=200),
)  # fmt: skip


class Scene:
    """A server, somebody who publishes, and what there is of it all."""

    def __init__(self, site: MediaSite, http: aiohttp.ClientSession) -> None:
        self.site, self.http = site, http

    async def open(self) -> None:
        site = self.site
        self.own, self.other = await site.session(), await site.session()
        self.encrypted = await site.session(e2ee=True)
        watcher = site.application.generate_token(self.own, opentok.Roles.subscriber)
        claims = jwt.decode(site.token(self.own), options={"verify_signature": False})
        past = claims | {"iat": int(time.time()) - 100, "exp": int(time.time()) - 50}
        self.tokens = {
            "other": site.token(self.other),
            "watcher": str(watcher),
            "expired": jwt.encode(past, site.secret, algorithm="HS256"),
            "forged": jwt.encode(claims, "another key", algorithm="HS256"),
            "unsigned": jwt.encode(claims, "", algorithm="none"),
        }

    async def publish(self) -> None:
        """Somebody begins to publish, whom an attack is to leave alone."""
        self.publisher = self.site.token(self.own)
        answer = await self.ask(self.own_path, self.publisher, "POST", offer(), {})
        assert answer.status == 201
        self.location, self.etag = answer.headers["Location"], answer.headers["ETag"]

    @property
    def own_path(self) -> str:
        return f"/whip/{self.own}"

    async def ask(self, path, token, method, body, headers) -> aiohttp.ClientResponse:
        given = {"Content-Type": SDP, **headers}
        if token is not None:
            given["Authorization"] = f"Bearer {token}"
        async with self.http.request(
            method, self.site.url + path, data=body, headers=given
        ) as answer:
            await answer.read()
            return answer

    async def play(self, attack: Attack) -> set[int]:
        path = {"own": self.own_path, "encrypted": f"/whip/{self.encrypted}"}
        session = self.encrypted if attack.to == "encrypted" else self.own
        headers = {
            name: self.etag if value == "etag" else value for name, value in attack.headers.items()
        }
        where = path.get(attack.to, getattr(self, "location", ""))
        answers = []
        for _ in range(attack.times):
            known = {**self.tokens, "own": self.site.token(session), "none": None}
            answer = await self.ask(where, known[attack.token], attack.method, attack.body, headers)
            if answer.status == 201:
                ended = await self.ask(
                    answer.headers["Location"], known[attack.token], "DELETE", b"", {}
                )
                assert ended.status == 200
            answers.append(answer.status)
        return set(answers)

    def transports(self) -> int:
        return sum(len(context.transports) for context in self.site.plane.contexts)

    async def is_published(self) -> bool:
        """What was there before answers its owner as before, until its owner ends it."""
        headers = {"Content-Type": FRAGMENT, "If-Match": self.etag}
        answer = await self.ask(self.location, self.publisher, "PATCH", CANDIDATE, headers)
        ended = await self.ask(self.location, self.publisher, "DELETE", b"", {})
        return (answer.status, ended.status) == (204, 200)


def files() -> int:
    return sum(1 for _ in Path("/proc/self/fd").iterdir())


async def test_each_attack_has_its_answer_and_leaves_nothing(tmp_path) -> None:
    wrong = {}
    async with media_site(tmp_path) as site, aiohttp.ClientSession() as http:
        scene = Scene(site, http)
        await scene.open()
        await scene.play(ATTACKS[0])  # what libraries open once and keep
        open_files = files()
        for attack in ATTACKS:
            if attack.to == "resource":
                await scene.publish()
            answers = await scene.play(attack)
            is_left_alone = attack.to != "resource" or await scene.is_published()
            if not answers <= set(attack.status) or scene.transports() or not is_left_alone:
                wrong[attack.name] = (answers, scene.transports(), is_left_alone)
        assert wrong == {}
        assert files() <= open_files + SPARE_FILES
        await scene.publish()  # and never comes
        await until(lambda: not scene.transports(), 90)  # it is given 30 s
        assert not await asyncio.to_thread(lambda: list(site.application.list_streams(scene.own)))
