"""Archives with the four official server SDKs, unmodified: started, shown, listed, stopped,
downloaded and deleted, while a client of the session publishes."""

import asyncio
import io
import json
import zipfile
from itertools import pairwise
from urllib.request import urlopen

import av
import opentok
import pytest
from vonage import Auth, HttpClientOptions, Vonage
from vonage_video import models

from tests.official.node_sdk import start_node_sdk
from tests.served import until

pytestmark = [
    pytest.mark.interop,
    pytest.mark.asyncio(loop_scope="module"),
    # What an SDK itself uses that its libraries have outgrown.
    pytest.mark.filterwarnings("ignore::DeprecationWarning"),
    pytest.mark.filterwarnings("ignore::jwt.warnings.InsecureKeyLengthWarning"),
]
RECORDED_S = 2.0


def plain(archive) -> dict:
    """An archive of any SDK as the members of the REST API."""
    if isinstance(archive, dict):
        return archive
    if hasattr(archive, "model_dump"):
        return archive.model_dump(by_alias=True)
    return json.loads(archive.json())


class OpentokPython:
    """PyPI `opentok`."""

    async def open(self, stage, monkeypatch) -> str:
        self.sdk = opentok.Client(stage.api_key, stage.api_secret, api_url=stage.url)
        return stage.api_key

    async def session(self) -> tuple[str, str]:
        create = self.sdk.create_session
        made = await asyncio.to_thread(create, media_mode=opentok.MediaModes.routed)
        return made.session_id, self.sdk.generate_token(made.session_id)

    async def start(self, session: str):
        mode = opentok.OutputModes.individual
        return await asyncio.to_thread(self.sdk.start_archive, session, name="n", output_mode=mode)

    async def start_composed(self, session: str):
        """As callers do it that say nothing of the output."""
        return await asyncio.to_thread(self.sdk.start_archive, session)

    async def set_layout(self, archive_id: str, kind: str, stylesheet: str | None = None) -> None:
        change = self.sdk.set_archive_layout
        await asyncio.to_thread(change, archive_id, kind, *filter(None, [stylesheet]))

    async def set_classes(self, session: str, stream: str, name: str) -> None:
        classes = [{"id": stream, "layoutClassList": [name]}]
        await asyncio.to_thread(self.sdk.set_stream_class_lists, session, classes)

    async def stop(self, archive_id: str):
        return await asyncio.to_thread(self.sdk.stop_archive, archive_id)

    async def show(self, archive_id: str):
        return await asyncio.to_thread(self.sdk.get_archive, archive_id)

    async def listed(self, session: str) -> list:
        return list(await asyncio.to_thread(self.sdk.list_archives, session_id=session))

    async def delete(self, archive_id: str) -> None:
        await asyncio.to_thread(self.sdk.delete_archive, archive_id)

    async def close(self) -> None: ...


class VonagePython:
    """PyPI `vonage`, over TLS."""

    async def open(self, stage, monkeypatch) -> str:
        monkeypatch.setenv("REQUESTS_CA_BUNDLE", str(stage.chain))
        auth = Auth(application_id=stage.application_id, private_key=stage.private_pem)
        self.vonage = Vonage(auth, HttpClientOptions(video_host=stage.tls_host))
        self.sdk = self.vonage.video
        return stage.application_id

    async def session(self) -> tuple[str, str]:
        options = models.SessionOptions(media_mode=models.MediaMode.ROUTED)
        made = await asyncio.to_thread(self.sdk.create_session, options)
        token = models.TokenOptions(session_id=made.session_id)
        return made.session_id, self.sdk.generate_client_token(token).decode()

    async def start(self, session: str):
        mode = models.OutputMode.INDIVIDUAL
        wanted = models.CreateArchiveRequest(session_id=session, name="n", output_mode=mode)
        return await asyncio.to_thread(self.sdk.start_archive, wanted)

    async def stop(self, archive_id: str):
        return await asyncio.to_thread(self.sdk.stop_archive, archive_id)

    async def show(self, archive_id: str):
        return await asyncio.to_thread(self.sdk.get_archive, archive_id)

    async def listed(self, session: str) -> list:
        wanted = models.ListArchivesFilter(session_id=session)
        return (await asyncio.to_thread(self.sdk.list_archives, wanted))[0]

    async def delete(self, archive_id: str) -> None:
        await asyncio.to_thread(self.sdk.delete_archive, archive_id)

    async def close(self) -> None:
        self.vonage.http_client._session.close()  # it has no way to say goodbye


class OpentokNode:
    """npm `opentok`."""

    async def open(self, stage, monkeypatch) -> str:
        self.sdk = await start_node_sdk("opentok", stage.url, stage.api_key, stage.api_secret)
        return stage.api_key

    async def session(self) -> tuple[str, str]:
        made = await self.sdk.call("createSession", {"mediaMode": "routed"})
        return made["sessionId"], await self.sdk.call("generateToken", made["sessionId"], {})

    async def start(self, session: str):
        wanted = {"name": "n", "outputMode": "individual"}
        return await self.sdk.call("startArchive", session, wanted)

    async def stop(self, archive_id: str):
        return await self.sdk.call("stopArchive", archive_id)

    async def show(self, archive_id: str):
        return await self.sdk.call("getArchive", archive_id)

    async def listed(self, session: str) -> list:
        return await self.sdk.call("listArchives", {"sessionId": session})

    async def delete(self, archive_id: str) -> None:
        await self.sdk.call("deleteArchive", archive_id)

    async def close(self) -> None:
        await self.sdk.close()


class VonageNode(OpentokNode):
    """npm `@vonage/server-sdk`."""

    async def start_composed(self, session: str):
        """As callers do it that say nothing of the output."""
        return await self.sdk.call("startArchive", session)

    async def set_layout(self, archive_id: str, kind: str, stylesheet: str | None = None) -> None:
        layout = {"type": kind} | ({"stylesheet": stylesheet} if stylesheet else {})
        await self.sdk.call("updateArchiveLayout", archive_id, layout)

    async def set_classes(self, session: str, stream: str, name: str) -> None:
        classes = [{"id": stream, "layoutClassList": [name]}]
        await self.sdk.call("setStreamClassLists", session, classes)

    async def open(self, stage, monkeypatch) -> str:
        identity = (stage.application_id, stage.private_pem)
        self.sdk = await start_node_sdk("vonage", stage.url, *identity)
        return stage.application_id

    async def session(self) -> tuple[str, str]:
        made = await self.sdk.call("createSession", {"mediaMode": "disabled"})
        session = made["sessionId"]
        return session, await self.sdk.call("generateClientToken", session, {"role": "publisher"})

    async def listed(self, session: str) -> list:
        return (await self.sdk.call("searchArchives", {"sessionId": session}))["items"]


@pytest.mark.parametrize("kind", [OpentokPython, VonagePython, OpentokNode, VonageNode])
async def test_an_archive_is_started_stopped_downloaded_and_deleted(stage, monkeypatch, kind):
    sdk = kind()
    name = await sdk.open(stage, monkeypatch)
    session, token = await sdk.session()
    live = await stage.enter(name, session, token, encrypted=False)
    seen: list[str] = []
    live.bob.on("archiveStarted", lambda event: seen.append(event.id))
    made = plain(await sdk.start(session))
    assert (made["status"], made["name"]) == ("started", "n")
    await asyncio.sleep(RECORDED_S)
    assert plain(await sdk.stop(made["id"]))["status"] == "stopped"
    shown: dict = {}

    async def is_available() -> bool:
        shown.update(plain(await sdk.show(made["id"])))
        return shown["status"] == "available"

    async with asyncio.timeout(20):
        while not await is_available():  # noqa: ASYNC110
            await asyncio.sleep(0.1)
    assert shown["duration"] >= 1
    assert [plain(one)["id"] for one in await sdk.listed(session)] == [made["id"]]
    content = await asyncio.to_thread(lambda: urlopen(shown["url"]).read())
    assert len(content) == shown["size"]
    with zipfile.ZipFile(io.BytesIO(content)) as opened:
        assert opened.testzip() is None
        manifest = json.loads(opened.read(opened.namelist()[0]))
    assert {one["streamId"] for one in manifest["files"]} == {live.stream_id}
    await until(lambda: seen == [made["id"]])
    await sdk.delete(made["id"])
    assert await sdk.listed(session) == []
    await sdk.close()


@pytest.mark.parametrize("kind", [OpentokPython, VonageNode])
async def test_the_default_is_one_composed_file(stage, monkeypatch, kind):
    sdk = kind()
    name = await sdk.open(stage, monkeypatch)
    session, token = await sdk.session()
    await stage.enter(name, session, token, encrypted=False)
    made = plain(await sdk.start_composed(session))
    assert made["status"] == "started"
    await sdk.set_layout(made["id"], "verticalPresentation")
    await asyncio.sleep(RECORDED_S)
    assert plain(await sdk.stop(made["id"]))["status"] == "stopped"
    async with asyncio.timeout(40):
        while (shown := plain(await sdk.show(made["id"])))["status"] != "available":  # noqa: ASYNC110
            await asyncio.sleep(0.1)
    content = await asyncio.to_thread(lambda: urlopen(shown["url"]).read())
    with av.open(io.BytesIO(content)) as opened:
        kinds = {one.type: one.codec_context.name for one in opened.streams}
        frames = [frame.time for frame in opened.decode(video=0)]
    assert kinds == {"video": "h264", "audio": "aac"}
    assert {round((later - at) * 30) for at, later in pairwise(frames)} == {1}
    await sdk.delete(made["id"])
    await sdk.close()


@pytest.mark.parametrize("kind", [OpentokPython, VonageNode])
async def test_a_stylesheet_places_a_stream_by_its_class(stage, monkeypatch, kind):
    pytest.importorskip("weasyprint", reason="make installs it: pip install sealroute[egress]")
    sdk = kind()
    name = await sdk.open(stage, monkeypatch)
    session, token = await sdk.session()
    live = await stage.enter(name, session, token, encrypted=False)
    made = plain(await sdk.start_composed(session))
    with pytest.raises(Exception, match=r"(?i)stylesheet|invalid|400"):  # each SDK has its own
        await sdk.set_layout(made["id"], "custom", "stream { width }")
    stylesheet = (
        "stream { display: none } stream.instructor { display: block; position: absolute;"
        " left: 50%; width: 50%; height: 50%; object-fit: fill }"
    )
    await sdk.set_layout(made["id"], "custom", stylesheet)
    await sdk.set_classes(session, live.stream_id, "instructor")
    await asyncio.sleep(RECORDED_S)
    await sdk.stop(made["id"])
    async with asyncio.timeout(40):
        while (shown := plain(await sdk.show(made["id"])))["status"] != "available":  # noqa: ASYNC110
            await asyncio.sleep(0.1)
    content = await asyncio.to_thread(lambda: urlopen(shown["url"]).read())
    with av.open(io.BytesIO(content)) as opened:
        image = [frame.to_ndarray(format="gray") for frame in opened.decode(video=0)][-1]
    outside = image.astype(int)
    outside[:240, 320:] = 0
    assert image[8:232, 328:632].mean() > 30
    assert outside.max() < 40
    await sdk.delete(made["id"])
    await sdk.close()
