"""A WebRTC peer that writes its own SDP and RTP; of aiortc it uses ICE, DTLS and SRTP alone."""

import os
import re
import struct
import time

import aiohttp
from aiortc import RTCCertificate, RTCDtlsTransport, RTCIceGatherer, RTCIceTransport
from aiortc.rtcdtlstransport import RTCDtlsFingerprint, RTCDtlsParameters
from aiortc.rtcicetransport import RTCIceParameters
from aiortc.sdp import candidate_from_sdp


class RawPeer:
    """`received`: time and bytes of each RTP packet that came."""

    def __init__(self):
        self.gatherer = RTCIceGatherer(iceServers=[])
        self.ice = RTCIceTransport(self.gatherer)
        self.ice._connection.ice_controlling = True
        self.certificate = RTCCertificate.generateCertificate()
        self.dtls = RTCDtlsTransport(self.ice, [self.certificate])
        self.received = []

        async def take_rtp(data, arrival_time_ms=0):
            self.received.append((time.monotonic(), data))

        async def take_rtcp(data):
            return None

        self.dtls._handle_rtp_data = take_rtp
        self.dtls._handle_rtcp_data = take_rtcp

    async def values(self):
        """What the templates of SDP leave open."""
        await self.gatherer.gather()
        ice = self.gatherer.getLocalParameters()
        prints = self.certificate.getFingerprints()
        digest = next(p.value for p in prints if p.algorithm == "sha-256")
        return {"ufrag": ice.usernameFragment, "pwd": ice.password, "fingerprint": digest}

    async def begin(self, url, token, offer, method="POST"):
        headers = {"Authorization": f"Bearer {token}", "Content-Type": "application/sdp"}
        async with (
            aiohttp.ClientSession() as http,
            http.request(method, url, data=offer, headers=headers) as answer,
        ):
            self.status, self.headers = answer.status, dict(answer.headers)
            self.answer = await answer.text()
        return self.status

    async def connect(self):
        text = self.answer
        self.ice._connection.remote_is_lite = True
        for line in re.findall(r"^a=candidate:(.*?)\r?$", text, re.MULTILINE):
            if " udp " in line.lower():
                await self.ice.addRemoteCandidate(candidate_from_sdp(line))
        await self.ice.addRemoteCandidate(None)

        def of(name):
            return re.search(rf"^a={name}:(.*?)\r?$", text, re.MULTILINE)[1]

        await self.ice.start(
            RTCIceParameters(usernameFragment=of("ice-ufrag"), password=of("ice-pwd"), iceLite=True)
        )
        self.dtls._set_role("server" if of("setup") == "active" else "client")
        algorithm, value = of("fingerprint").split()
        prints = [RTCDtlsFingerprint(algorithm=algorithm, value=value)]
        await self.dtls.start(RTCDtlsParameters(fingerprints=prints))

    async def send(self, packet):
        await self.dtls._send_rtp(packet)

    async def close(self):
        await self.dtls.stop()
        await self.ice.stop()


def rtp(payload_type, number, timestamp, ssrc, payload, marker=False):
    head = struct.pack(
        "!BBHII",
        0x80,
        payload_type | (0x80 if marker else 0),
        number & 0xFFFF,
        timestamp & 0xFFFFFFFF,
        ssrc,
    )
    return head + payload


def vp8(key_frame, size=120):
    """One VP8 frame in one packet; nothing of it can be decoded, but its head is right."""
    head = bytes.fromhex("105000009d012a40010001") if key_frame else bytes.fromhex("1051")
    return head + os.urandom(size)


def m_line(kind, formats, lines, mid, values, direction="sendonly", setup="actpass"):
    return "\r\n".join(
        [
            f"m={kind} 9 UDP/TLS/RTP/SAVPF {formats}",
            "c=IN IP4 0.0.0.0",
            f"a=ice-ufrag:{values['ufrag']}",
            f"a=ice-pwd:{values['pwd']}",
            f"a=fingerprint:sha-256 {values['fingerprint']}",
            f"a=setup:{setup}",
            f"a=mid:{mid}",
            f"a={direction}",
            "a=rtcp-mux",
            *lines,
            "",
        ]
    )


def sdp(*sections):
    mids = " ".join(re.search(r"a=mid:(\S+)", section)[1] for section in sections)
    head = f"v=0\r\no=- 1 1 IN IP4 127.0.0.1\r\ns=-\r\nt=0 0\r\na=group:BUNDLE {mids}\r\n"
    return head + "".join(sections)


VP8_LINES = ["a=rtpmap:96 VP8/90000", "a=rtcp-fb:96 nack", "a=rtcp-fb:96 nack pli"]
