"""A whole server in this process with the compiled media core, and clients of its sessions."""

import asyncio
import contextlib
import json
import time
from collections.abc import AsyncIterator
from pathlib import Path
from typing import Any

import jwt
import opentok
from sealroute_client import Session

from config.settings import HttpSettings, MediaSettings, Settings, StorageSettings
from sfu.media_plane import MediaPlane
from signaling.administration import DEVELOPMENT_FILE
from signaling.server import RunningServer, open_media_plane, running_server


class MediaSite:
    """One server, its development project, and who joined through `join`."""

    def __init__(self, server: RunningServer, folder: Path, plane: MediaPlane) -> None:
        self.url, self.plane = server.url, plane
        project = json.loads((folder / DEVELOPMENT_FILE).read_text())
        self.key, self.secret = str(project["apiKey"]), str(project["apiSecret"])
        self.application = opentok.Client(self.key, project["apiSecret"], api_url=self.url)
        self.joined: list[Session] = []

    async def session(self, *, relayed: bool = False, **options: Any) -> str:
        mode = opentok.MediaModes.relayed if relayed else opentok.MediaModes.routed
        create = self.application.create_session
        made = await asyncio.to_thread(create, media_mode=mode, **options)
        return str(made.session_id)

    def rest_token(self) -> str:
        now = int(time.time())
        claims = {"iss": self.key, "ist": "project", "iat": now, "exp": now + 180}
        return jwt.encode(claims, self.secret, algorithm="HS256")

    def token(self, session: str, role: opentok.Roles = opentok.Roles.publisher) -> str:
        return str(self.application.generate_token(session, role))

    async def join(
        self, session: str, role: opentok.Roles = opentok.Roles.publisher, **options: Any
    ) -> Session:
        client = Session(self.url, self.key, session, self.token(session, role), **options)
        await client.connect()
        self.joined.append(client)
        return client

    async def leave(self) -> None:
        await asyncio.gather(*(client.disconnect() for client in self.joined))


@contextlib.asynccontextmanager
async def media_site(folder: Path, **sections: Any) -> AsyncIterator[MediaSite]:
    planes: list[MediaPlane] = []

    def open_plane(settings: Settings) -> tuple[MediaPlane, int]:
        plane, port = open_media_plane(settings)
        planes.append(plane)
        return plane, port

    sections.setdefault("media", MediaSettings(host="127.0.0.1", port=0))
    settings = Settings(
        http=HttpSettings(host="127.0.0.1", port=0),
        storage=StorageSettings(data_dir=str(folder), development_project=True),
        **sections,
    )
    async with running_server(settings, open_plane=open_plane) as server:
        site = MediaSite(server, folder, planes[0])
        try:
            yield site
        finally:
            await site.leave()
