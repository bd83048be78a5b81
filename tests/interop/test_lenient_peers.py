"""Encoders and players as the field has them: offers that differ from a browser's, and what a
refused one leaves behind."""

import asyncio
import re
import sys
from datetime import UTC, datetime, timedelta
from pathlib import Path

import opentok
import pytest
from cryptography import x509
from cryptography.hazmat.primitives import hashes
from cryptography.hazmat.primitives.asymmetric import ec
from cryptography.hazmat.primitives.serialization import Encoding, NoEncryption, PrivateFormat

from tests.media_site import MediaSite, media_site
from tests.raw_peer import VP8_LINES, RawPeer, m_line, rtp, sdp, vp8
from tests.served import NEEDS_THE_MEDIA_CORE, subscribed, until

pytestmark = [
    pytest.mark.interop,
    pytest.mark.filterwarnings("ignore::jwt.warnings.InsecureKeyLengthWarning"),
    NEEDS_THE_MEDIA_CORE,
]
FFMPEG = Path(__file__).with_name("ffmpeg_encoder.py")
SDP = Path(__file__).parents[1] / "vectors" / "sdp"
OPUS_LINES = ["a=rtpmap:111 opus/48000/2", "a=fmtp:111 minptime=10;useinbandfec=1"]
H264_LINES = [
    "a=rtpmap:96 H264/90000",
    "a=rtcp-fb:96 nack pli",
    "a=fmtp:96 level-asymmetry-allowed=1;packetization-mode=1;profile-level-id=42e01f",
]
MODERATOR = opentok.Roles.moderator


@pytest.fixture
async def site(tmp_path):
    async with media_site(tmp_path) as running:
        yield running


@pytest.fixture
async def peers():
    made: list[RawPeer] = []

    def make() -> RawPeer:
        made.append(RawPeer())
        return made[-1]

    yield make
    for peer in made:
        await peer.close()


def filled(name: str, values: dict[str, str]) -> str:
    """An offer of the vectors, with a peer's own credentials."""
    text = (SDP / name).read_text().replace("\r\n", "\n").replace("\n", "\r\n")
    for attribute, key in (("ice-ufrag:", "ufrag"), ("ice-pwd:", "pwd"), ("fingerprint:", None)):
        value = values[key] if key else f"sha-256 {values['fingerprint']}"
        text = re.sub(rf"a={attribute}[^\r]*", f"a={attribute}{value}", text)
    return text


def connections(site: MediaSite, session: str) -> int:
    opened = site.plane.sessions.get(session)
    return 0 if opened is None else len(opened.clients)


# --- offers that are in order, and refused ones --------------------------------------------


def with_a_tab(values):
    return sdp(m_line("video", "96", [*VP8_LINES, "a=x-encoder:model\tA1"], "0", values))


def with_control_characters(values):
    return with_a_tab(values).replace("s=-", "s=a\x01title")


def cut_at_16384(values):
    """Character 16,384 is the carriage return that ends a line."""
    lines = [
        f"a=candidate:{n} 1 udp {n} 192.0.2.{n % 250 + 1} {9_000 + n} typ host" for n in range(200)
    ]
    offer = sdp(m_line("video", "96", [*VP8_LINES, *lines], "0", values)).rstrip("\r\n")
    while len(offer) < 16_083:
        offer += "\r\na=x-note:" + "n" * 240
    offer += "\r\na=x-note:"
    offer += "n" * (16_383 - len(offer))
    return offer + "\r\na=x-note:the end\r\n" + "a=x-note:and more\r\n" * 40


@pytest.mark.parametrize("make", [with_a_tab, with_control_characters, cut_at_16384])
async def test_an_unusual_offer_that_is_in_order_is_taken(site, peers, make) -> None:
    session, peer = await site.session(), peers()
    offer = make(await peer.values())
    status = await peer.begin(f"{site.url}/whip/{session}", site.token(session), offer)
    assert status == 201, peer.answer
    assert connections(site, session) == 1


@pytest.mark.parametrize(
    ("path", "old", "new", "status"),
    [
        ("whip/{0}", "VP8/90000", "H265/90000", 409),
        ("whip/{0}", "a=setup:actpass", "a=setup:holdconn", 400),
        ("whip/{0}", "a=fingerprint:sha-256", "a=fingerprint:sha-1", 400),
        ("whip/{0}", "a=ice-pwd", "a=x-pwd", 400),
        ("whip/{0}", "s=-", "s=-\0", 400),
        ("whip/{0}", "a=rtcp-mux", "a=x-mux", 400),
        ("whip/{0}", "a=mid:0", "a=mid:0\r\na=extmap:1 urn:a\r\na=mid:a b", 400),
        ("whep/{0}/{1}", "a=setup:actpass", "a=setup:holdconn", 400),
        ("whep/{0}/nobody", "a=x", "a=x", 404),
    ],
)
async def test_a_refused_offer_leaves_nothing_and_nobody_hears_of_it(
    site, peers, path, old, new, status
) -> None:
    session = await site.session()
    viewer, encoder, peer = await site.join(session, MODERATOR), peers(), peers()
    token = site.token(session)
    offer = with_a_tab(await encoder.values())
    assert await encoder.begin(f"{site.url}/whip/{session}", token, offer) == 201
    await until(lambda: len(viewer.connections) == 2)
    seen: list[str] = []
    viewer.on("connectionCreated", lambda event: seen.append(event.type))
    wrong = with_a_tab(await peer.values()).replace(old, new)
    if path.startswith("whep"):
        wrong = wrong.replace("a=sendonly", "a=recvonly")
    url = f"{site.url}/{path.format(session, encoder.headers['Sealroute-Stream'])}"
    assert await peer.begin(url, token, wrong) == status, peer.answer
    assert connections(site, session) == 2
    assert len(site.plane.contexts[0].transports) == 1
    await asyncio.sleep(0.2)
    assert seen == []


# --- DTLS the other way round --------------------------------------------------------------


async def test_an_encoder_that_waits_for_the_dtls_handshake_publishes(site, peers) -> None:
    session, peer = await site.session(), peers()
    viewer = await site.join(session)
    offer = filled("encoder-dtls-passive.sdp", await peer.values())
    url = f"{site.url}/whip/{session}"
    assert await peer.begin(url, site.token(session), offer) == 201, peer.answer
    assert set(re.findall("a=setup:(.*)\r", peer.answer)) == {"active"}
    await asyncio.wait_for(peer.connect(), 10)
    assert peer.dtls.state == "connected"
    subscriber = await subscribed(viewer)
    for number in range(20):
        await peer.send(rtp(111, number, number * 960, 3413872007, b"\xfc" + bytes(40)))
        await asyncio.sleep(0.01)
    await until(lambda: site.plane.counters()["rtp_forwarded"] > 10)
    await viewer.unsubscribe(subscriber)


def certificate(folder: Path) -> tuple[Path, Path]:
    """On P-256. FFmpeg on GnuTLS makes its own on P-224, which OpenSSL has no use for in TLS."""
    key = ec.generate_private_key(ec.SECP256R1())
    name = x509.Name([x509.NameAttribute(x509.NameOID.COMMON_NAME, "encoder")])
    now = datetime.now(UTC)
    made = (
        x509.CertificateBuilder()
        .subject_name(name)
        .issuer_name(name)
        .public_key(key.public_key())
        .serial_number(1)
        .not_valid_before(now - timedelta(days=1))
        .not_valid_after(now + timedelta(days=9))
        .sign(key, hashes.SHA256())
    )
    files = folder / "encoder.pem", folder / "encoder-key.pem"
    files[0].write_bytes(made.public_bytes(Encoding.PEM))
    files[1].write_bytes(
        key.private_bytes(Encoding.PEM, PrivateFormat.TraditionalOpenSSL, NoEncryption())
    )
    return files


async def test_ffmpeg_publishes_and_takes_the_dtls_servers_side_by_default(site, tmp_path) -> None:
    session = await site.session()
    viewer = await site.join(session)
    encoder = await asyncio.create_subprocess_exec(
        *(sys.executable, "-W", "ignore", str(FFMPEG), f"{site.url}/whip/{session}"),
        *(site.token(session), *map(str, certificate(tmp_path))),
        stdin=asyncio.subprocess.PIPE,
    )
    try:
        subscriber = await subscribed(viewer)
        async with asyncio.timeout(15):
            async for image in subscriber.video:
                assert (image.width, image.height) == (320, 240)
                break
    finally:
        encoder.stdin.close()
        await asyncio.wait_for(encoder.wait(), 15)
    assert encoder.returncode == 0


# --- GStreamer's player --------------------------------------------------------------------


def h264(*, key_frame: bool) -> bytes:
    """Parameter sets and an IDR slice (STAP-A), or a slice."""
    if not key_frame:
        return b"\x41\x9a" + bytes(80)
    units = [
        bytes.fromhex("6742e01f95a014016e40"),
        bytes.fromhex("68ce3c80"),
        b"\x65\x88" + bytes(80),
    ]
    return b"\x78" + b"".join(len(unit).to_bytes(2) + unit for unit in units)


def vp8_image(*, key_frame: bool) -> bytes:
    return vp8(key_frame)


@pytest.mark.parametrize(
    ("lines", "image", "has_audio"),
    [(H264_LINES, h264, True), (VP8_LINES, vp8_image, True), (VP8_LINES, vp8_image, False)],
)
async def test_gstreamers_player_plays_with_the_offer_it_makes_by_itself(
    site, peers, lines, image, has_audio
) -> None:
    session, encoder, player = await site.session(), peers(), peers()
    token = site.token(session)
    values = await encoder.values()
    sections = [m_line("video", "96", lines, "0", values)]
    if has_audio:
        sections.append(m_line("audio", "111", OPUS_LINES, "1", values))
    assert await encoder.begin(f"{site.url}/whip/{session}", token, sdp(*sections)) == 201
    await encoder.connect()

    async def pump() -> None:
        for number in range(10_000):
            payload = image(key_frame=number % 30 == 0)
            await encoder.send(rtp(96, number, number * 3_000, 111, payload, marker=True))
            if has_audio:
                await encoder.send(rtp(111, number, number * 960, 222, b"\xfc" + bytes(40)))
            await asyncio.sleep(0.02)

    pumping = asyncio.create_task(pump())
    try:
        offer = filled("player-gstreamer-1.28.sdp", await player.values())
        url = f"{site.url}/whep/{session}/{encoder.headers['Sealroute-Stream']}"
        assert await player.begin(url, token, offer) == 201, player.answer
        sections = re.split(r"^(?=m=)", player.answer, flags=re.MULTILINE)[1:]
        assert not [one for one in sections if one.split(" ")[1] == "0"]
        assert ("a=inactive" in sections[0]) is not has_audio
        assert all("a=ice-ufrag" in one for one in sections)
        await asyncio.wait_for(player.connect(), 10)
        await until(lambda: len(player.received) > 10)
    finally:
        pumping.cancel()
