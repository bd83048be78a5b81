"""What a table of lies must cover beside the messages, read from what the clients check.

Each refusal of a description, in the sources of the SDKs, must be what a row tells its user; and
each part of a description must be lied about, in each direction.
"""

import re
from pathlib import Path

from tests.hostile import sdp

SDK = Path(__file__).parents[3] / "sdk"
WEB = SDK / "web" / "src" / "rtc"
PYTHON = SDK / "python" / "src" / "sealroute_client"
NAME = "${name}"
"""In the rules of answers: one refusal for each entry of the table of what an answer takes."""


def _web(file: str) -> set[str]:
    source = (WEB / file).read_text()
    said = re.findall(r"""['`]((?:an?|its?) [a-z][^'`]*)['`]""", source)
    names = re.findall(r"\{ name: '([^']+)'", source)
    plain = {words for words in said if NAME not in words}
    each = {words.replace(NAME, name) for words in said if NAME in words for name in names}
    return {words.partition("${")[0] for words in plain | each}


def _python() -> set[str]:
    raised = r'(?:Error|Response|Codec)\(\s*f?"([^"]+)"'
    sources = [(PYTHON / file).read_text() for file in ("descriptions.py", "downlink.py")]
    said = {words for source in sources for words in re.findall(raised, source)}
    binding = (PYTHON / "subscribing.py").read_text()
    return said | set(re.findall(r'return "(The server [^"]+)"', binding))


REFUSALS = {
    "python": _python(),
    "browsers": _web("offer-rules.ts") | _web("answer-rules.ts"),
}
"""What is said of a description that is refused, by whom: how it begins."""
WAYS = ("uplink", "downlink")
PARTS = {f"sdp:{way}.{rule}" for way in WAYS for rule in ("m-lines", *sdp.RULES)}
OTHERS = {
    *("rtp", "dtls", "ice", "close"),
    *("sdp:fingerprint", "sdp:setup", "sdp:downlink.second-line"),
}
