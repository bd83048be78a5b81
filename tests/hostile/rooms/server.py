"""The hostile server with the room's own files and door, and an ear for all that it is sent."""

import base64
import json
import secrets
from collections.abc import Mapping
from typing import Any

from aiohttp import web

from signaling.http.static_files import WEB_ROOT, file_response, find_file
from tests.hostile.lie import Lie, Message
from tests.hostile.server import HostileServer, Room


class RoomLie(Lie):
    """What the server may change beside the protocol: the door of its rooms."""

    def admit(self, room: "PageRoom", honest: Message) -> Message | web.Response:
        """The answer to somebody who wants to come in."""
        return honest


class PageRoom(Room):
    """A session of its own, for the page knows rooms by their sessions."""

    def __init__(self, lie: Lie) -> None:
        super().__init__(secrets.token_hex(8), lie, "vp8")
        self.session_id = f"1_{self.token}"
        self.names: dict[str, str] = {}
        """By token."""

    def data_of(self, hello: Message) -> str:
        return json.dumps({"name": self.names.get(hello.get("token", ""), "")})

    def admission(self, name: str) -> Message:
        token = token_for(self.session_id)
        self.names[token] = name
        return {"apiKey": "key", "sessionId": self.session_id, "token": token}


def token_for(session_id: str) -> str:
    """As a token looks from outside: claims between two dots."""
    claims = {"session_id": session_id, "nonce": secrets.token_hex(8)}
    text = base64.urlsafe_b64encode(json.dumps(claims).encode()).rstrip(b"=").decode()
    return f"e30.{text}.c2ln"


class PageServer(HostileServer):
    """Rooms, each with its page. `heard`: every byte that any of them has sent."""

    def __init__(self) -> None:
        super().__init__()
        self.heard: list[bytes] = []
        self.pages: dict[str, PageRoom] = {}

    def open_page(self, lie: Lie) -> PageRoom:
        room = PageRoom(lie)
        self.pages[room.session_id] = room
        self.rooms[room.token] = room
        return room

    @property
    def page_url(self) -> str:
        """Browsers trust localhost as they trust https."""
        return self.url.replace("127.0.0.1", "localhost")

    def hear(self, data: bytes | str) -> None:
        self.heard.append(data.encode() if isinstance(data, str) else data)

    def add_routes(self, application: web.Application) -> None:
        application.router.add_post("/v1/rooms/{session}", self._admit)
        application.router.add_get(r"/{path:.*}", self._file)

    async def _admit(self, request: web.Request) -> web.StreamResponse:
        body = await request.read()
        self._hear_request(request, body)
        room = self.pages[request.match_info["session"]]
        honest = room.admission(str(json.loads(body)["name"]))
        told = room.lie.admit(room, dict(honest)) if isinstance(room.lie, RoomLie) else honest
        if told != honest:
            room.lied("door")
        self.rooms |= dict.fromkeys(_tokens(honest, told), room)
        return web.json_response(told) if isinstance(told, dict) else told

    async def _file(self, request: web.Request) -> web.StreamResponse:
        self._hear_request(request, b"")
        path = find_file(WEB_ROOT, request.raw_path.partition("?")[0])
        if path is None:
            raise web.HTTPNotFound
        return file_response(path, request.host)

    def _hear_request(self, request: web.Request, body: bytes) -> None:
        lines = [f"{request.method} {request.raw_path}"]
        lines += [f"{name}: {value}" for name, value in request.headers.items()]
        self.heard.append("\n".join(lines).encode() + b"\n\n" + body)


def _tokens(*admissions: Mapping[str, Any] | web.Response) -> list[str]:
    return [str(one["token"]) for one in admissions if isinstance(one, Mapping) and "token" in one]
