"""What a live core says of its links, and what an explanation makes of it."""

import asyncio

import aiohttp
import pytest
from aiortc.rtp import RTCP_PSFB_APP, RtcpPsfbPacket, pack_remb_fci

from sfu.media_view import read_media
from tests.media_site import media_site
from tests.raw_peer import VP8_LINES, RawPeer, m_line, rtp, sdp, vp8
from tests.served import NEEDS_THE_MEDIA_CORE, until

pytestmark = [
    pytest.mark.interop,
    pytest.mark.filterwarnings("ignore::jwt.warnings.InsecureKeyLengthWarning"),
    NEEDS_THE_MEDIA_CORE,
]
LINK_BPS = 120_000
SOURCE = 111


async def test_a_viewer_behind_a_narrow_link_gets_that_reason(tmp_path) -> None:
    async with media_site(tmp_path) as site, aiohttp.ClientSession() as http:
        session, encoder, player = await site.session(), RawPeer(), RawPeer()
        token, lines = site.token(session), [*VP8_LINES, "a=rtcp-fb:96 goog-remb"]
        offer = sdp(m_line("video", "96", lines, "0", await encoder.values()))
        assert await encoder.begin(f"{site.url}/whip/{session}", token, offer) == 201
        await encoder.connect()
        stream = encoder.headers["Sealroute-Stream"]

        async def pump() -> None:
            for number in range(10_000):
                payload = vp8(number % 30 == 0, 1_000)
                await encoder.send(rtp(96, number, number * 900, SOURCE, payload, marker=True))
                await asyncio.sleep(0.01)

        pumping = asyncio.create_task(pump())
        try:
            await until(lambda: site.plane.counters()["rtp_received"] > 0)
            values = await player.values()
            offer = sdp(m_line("video", "96", lines, "0", values, direction="recvonly"))
            assert await player.begin(f"{site.url}/whep/{session}/{stream}", token, offer) == 201
            await player.connect()
            await until(lambda: player.received)
            media = int.from_bytes(player.received[0][1][8:12])
            fci = pack_remb_fci(LINK_BPS, [media])
            for _ in range(20):
                report = RtcpPsfbPacket(fmt=RTCP_PSFB_APP, ssrc=1, media_ssrc=0, fci=fci)
                await player.send(bytes(report))
                await asyncio.sleep(0.1)
            view = read_media(await site.plane.sessions[session].dump())
            (link,) = view.subscribers.values()
            assert link.estimate_bps is not None
            assert link.estimate_bps < 2 * LINK_BPS
            assert link.narrow
            reasons = await explained(site, http, session, stream)
            assert "bandwidth_estimate" in reasons, reasons
            assert "best_available" not in reasons
        finally:
            pumping.cancel()
            await asyncio.gather(encoder.close(), player.close())


async def explained(site, http, session: str, stream: str) -> list[str]:
    path = f"{site.url}/v2/project/{site.key}/session/{session}/stream/{stream}/explain"
    headers = {"X-OPENTOK-AUTH": site.rest_token()}
    async with http.get(path, headers=headers) as answer:
        found = await answer.json()
    (subscriber,) = [one for one in found["subscribers"] if one["subscriberId"]]
    (video,) = [one for one in subscriber["received"] if one["kind"] == "video"]
    return [reason["code"] for reason in video["reasons"]]
