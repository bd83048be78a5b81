"""A real SIP server: Debian's sipp, which takes a call as its scenario says."""

import asyncio
import shutil
from pathlib import Path

import pytest

from bench.ports import free_port

NEEDS_SIPP = pytest.mark.skipif(
    shutil.which("sipp") is None, reason="NOT CHECKED: sipp is missing (Debian: sip-tester)"
)
USER, PASSWORD = "bob", "secret"
_HEADERS = (
    "[last_Via:]\n[last_From:]\n[last_To:];tag=[call_number]\n[last_Call-ID:]\n[last_CSeq:]\n"
)
_CONTACT = "Contact: <sip:[local_ip]:[local_port];transport=[transport]>\n"
_SDP = (
    "v=0\no=- 1 1 IN IP[local_ip_type] [local_ip]\ns=-\nc=IN IP[media_ip_type] [media_ip]\nt=0 0\n"
    "m=audio [media_port] RTP/AVP 0\na=rtpmap:0 PCMU/8000\n"
)
_CHALLENGE = 'WWW-Authenticate: Digest realm="pbx", nonce="n1", qop="auth", algorithm={}\n'


def _send(status: str, more: str = "", body: str = "") -> str:
    kind = "Content-Type: application/sdp\n" if body else ""
    text = f"SIP/2.0 {status}\n{_HEADERS}{more}{kind}Content-Length: [len]\n\n{body}"
    return f"<send><![CDATA[\n{text}\n]]></send>\n"


def _ask(algorithm: str) -> str:
    """Refuses the first INVITE with a challenge, and a wrong answer for good."""
    check = (
        f'<action><verifyauth assign_to="ok" username="{USER}" password="{PASSWORD}" /></action>'
    )
    return (
        _send("401 Unauthorized", _CHALLENGE.format(algorithm))
        + '<recv request="ACK"></recv>\n'
        + f'<recv request="INVITE">{check}</recv>\n'
        + '<nop next="welcome" test="ok"></nop>\n'
        + _send("403 Forbidden")
        + '<recv request="ACK" next="end"></recv>\n<label id="welcome"/>\n'
    )


def answers(*, algorithm: str = "", digits: int = 0) -> str:
    """A scenario that takes a call: with a challenge, and with so many digits by INFO."""
    info = '<recv request="INFO"></recv>\n' + _send("200 OK")
    return (
        '<recv request="INVITE"></recv>\n'
        + (_ask(algorithm) if algorithm else "")
        + _send("180 Ringing")
        + _send("200 OK", _CONTACT, _SDP)
        + '<recv request="ACK"></recv>\n'
        + info * digits
        + '<recv request="BYE"></recv>\n'
        + _send("200 OK")
        + '<label id="end"/>\n'
    )


def announces(tone: Path) -> str:
    """A scenario that plays a file of PCMU before it answers, and answers to nobody's hurry."""
    sdp = _SDP.replace("[media_port]", "[rtpstream_audio_port]")
    play = f'<nop><action><exec rtp_stream="{tone},-1,0"/></action></nop>\n'
    return (
        '<recv request="INVITE"></recv>\n'
        + _send("183 Session Progress", _CONTACT, sdp)
        + play
        + '<pause milliseconds="8000"/>\n'
        + _send("200 OK", _CONTACT, sdp)
        + '<recv request="ACK"></recv>\n'
        + '<recv request="BYE"></recv>\n'
        + _send("200 OK")
    )


def refuses(status: str, contact: str = "") -> str:
    more = f"Contact: <{contact}>\n" if contact else ""
    answer = _send(status, more)
    return '<recv request="INVITE"></recv>\n' + answer + '<recv request="ACK"></recv>\n'


class Sipp:
    """One call. `messages`: all that was sent and received, as text."""

    def __init__(self, folder: Path, scenario: str, transport: str = "udp") -> None:
        folder.mkdir(exist_ok=True)
        self.folder, self.port = folder, free_port()
        self.uri = f"sip:ann@127.0.0.1:{self.port};transport={transport}"
        self._mode = "u1" if transport == "udp" else "t1"
        head = '<?xml version="1.0" encoding="ISO-8859-1" ?>\n<scenario name="test">\n'
        (folder / "scenario.xml").write_text(f"{head}{scenario}</scenario>\n")

    async def open(self) -> None:
        self.process = await asyncio.create_subprocess_exec(
            "sipp", "-sf", str(self.folder / "scenario.xml"), "-i", "127.0.0.1",
            "-p", str(self.port), "-t", self._mode, "-m", "1", "-nostdin",
            "-mp", str(free_port() // 2 * 2),
            "-trace_msg", "-message_file", str(self.folder / "messages"),
            cwd=self.folder, stdout=asyncio.subprocess.DEVNULL, stderr=asyncio.subprocess.DEVNULL,
        )  # fmt: skip
        # It has no other sign that it listens; requests are repeated until it does.
        await asyncio.sleep(0)

    @property
    def messages(self) -> str:
        path = self.folder / "messages"
        return path.read_text(errors="replace") if path.exists() else ""

    async def over(self) -> int:
        """Its status: 0 when the call went as the scenario says."""
        async with asyncio.timeout(40):
            return await self.process.wait()

    async def close(self) -> None:
        if self.process.returncode is None:
            self.process.terminate()
            await self.process.wait()
