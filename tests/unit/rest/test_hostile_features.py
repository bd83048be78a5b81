"""Hostile values for what needs clear media: each is refused by its code, and nothing is left."""

import json

import pytest

from signaling.domain.features import Feature
from tests.unit.rest.test_features import STARTS

DEEP = json.loads("[" * 200 + "]" * 200)
INSIDE = (
    "http://127.0.0.1/",
    "http://169.254.169.254/latest",
    "file:///etc/passwd",
    "wss://[::1]/",
)
VALUES = (
    *(None, True, -1, 10**30, 1.5e308, 2**63, "", "x" * 9_000, [], {}, [[]], DEEP),
    *("\u202e\u0000\u001b[31m", "\r\nHost: evil.example", "\ufeff", "../../etc", "%00", *INSIDE),
)
MEMBERS = {
    Feature.ARCHIVE: ("name", "layout", "maxDuration", "resolution", "outputMode", "streamMode"),
    Feature.BROADCAST: ("outputs", "layout", "maxDuration", "maxBitrate", "resolution"),
    Feature.RENDER: ("url", "token", "maxDuration", "resolution", "properties"),
    Feature.SIP: ("sip", "token"),
    Feature.AUDIO_CONNECTOR: ("websocket", "token"),
    Feature.CAPTIONS: (
        "token",
        "languageCode",
        "maxDuration",
        "partialCaptions",
        "statusCallbackUrl",
    ),
}
LISTS = ("/archive", "/broadcast", "/render")


def bodies(feature: Feature):
    _, honest = STARTS[feature]
    for member in MEMBERS[feature]:
        for value in VALUES:
            yield honest | {member: value}
            if isinstance(honest.get(member), dict):
                yield from (honest | {member: honest[member] | {k: value}} for k in honest[member])


@pytest.mark.parametrize("feature", list(Feature))
async def test_nothing_starts_in_an_encrypted_session_by_hostile_values(caller, feature):
    session = await caller.create(e2ee="true")
    path = caller.path(STARTS[feature][0])
    for body in bodies(feature):
        asked = {**body, "sessionId": session}
        status, answer = await caller.call("POST", path, json=asked)
        assert status in (400, 409), (asked, status, answer)
        assert answer["code"] == 15900 or answer["error"], (asked, answer)
        assert "\x1b" not in str(answer), answer
        assert len(str(answer)) < 1_000, answer
    for rest in LISTS:
        _, answer = await caller.call("GET", caller.path(rest))
        assert (answer["count"], answer["items"]) == (0, []), answer
