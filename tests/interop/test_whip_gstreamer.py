"""WHIP with GStreamer as the encoder: another stack of ICE, DTLS and SRTP than any client here."""

import asyncio
import importlib.util
import subprocess
from pathlib import Path

import pytest

from config.settings import MediaSettings
from signaling.addresses import public_addresses
from tests.media_site import media_site
from tests.served import subscribed

ENCODER = Path(__file__).with_name("gstreamer_encoder.py")
SYSTEM_PYTHON = "/usr/bin/python3"
_PROBE = (
    "import gi; gi.require_version('GstWebRTC', '1.0');"
    "from gi.repository import Gst, GstWebRTC; Gst.init(None);"
    "assert Gst.ElementFactory.find('webrtcbin') and Gst.ElementFactory.find('nicesink')"
)


def gstreamer_is_here() -> bool:
    try:
        command = [SYSTEM_PYTHON, "-c", _PROBE]
        return subprocess.run(command, capture_output=True, check=False).returncode == 0
    except OSError:
        return False


def network_is_here() -> bool:
    """libnice does not use the loopback interface."""
    return any(not address.startswith("127.") for address in public_addresses("", "0.0.0.0"))


pytestmark = [
    pytest.mark.interop,
    pytest.mark.filterwarnings("ignore::jwt.warnings.InsecureKeyLengthWarning"),
    pytest.mark.skipif(
        importlib.util.find_spec("sfu._native") is None or not network_is_here(),
        reason="NOT CHECKED: no media core, or no network but loopback",
    ),
    pytest.mark.skipif(not gstreamer_is_here(), reason="NOT CHECKED: GStreamer is not installed"),
]


async def test_audio_and_video_of_gstreamer_arrive(tmp_path) -> None:
    media = MediaSettings(host="0.0.0.0", port=0)
    async with media_site(tmp_path, media=media) as site:
        session = await site.session()
        viewer = await site.join(session)
        encoder = await asyncio.create_subprocess_exec(
            *(SYSTEM_PYTHON, str(ENCODER), f"{site.url}/whip/{session}", site.token(session)),
            stdin=asyncio.subprocess.PIPE,
        )
        try:
            subscriber = await subscribed(viewer)
            async with asyncio.timeout(15):
                frames = subscriber.video
                images = [await anext(frames) for _ in range(10)]
                audio_frame = await anext(subscriber.audio)
        finally:
            encoder.stdin.close()
            await asyncio.wait_for(encoder.wait(), 10)
        assert {(image.width, image.height) for image in images} == {(320, 240)}
        assert audio_frame.samples > 0
