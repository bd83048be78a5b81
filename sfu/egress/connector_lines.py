"""Control lines between the server and the process of an Audio Connector.

The first line holds the application's headers, which may be credentials: it goes to the process
that sends them, and nowhere else.
"""

from typing import Annotated, Any, Literal

from msgspec import Meta, Struct

from sfu.egress.control import Count, LineReader, Text
from sfu.egress.run_lines import LeaveLine, SpeakLine


class ConnectLine(Struct, tag_field="line", tag="connect", frozen=True):
    """`headers` are those of the upgrade request and, without the session's own, of the first
    message. `audio_field`: empty for binary messages. `tls_roots`: PEM file of trusted
    certificates; empty: those of the system."""

    host: Text
    port: Count
    resource: Text
    secure: bool
    tls_roots: Text
    upgrade_headers: dict[str, str]
    headers: dict[str, str]
    rate_hz: Literal[8_000, 16_000, 24_000]
    bidirectional: bool
    hold_ms: Count
    audio_field: Text = ""
    receive_audio_field: Text = ""
    static_fields: dict[str, Any] = {}

    def __repr__(self) -> str:
        return "ConnectLine(redacted)"


class OpenLine(Struct, tag_field="line", tag="open", frozen=True):
    """The WebSocket is open. `landlock`: the version that holds; 0 where the kernel has none."""

    landlock: Annotated[int, Meta(ge=0, le=1_000)] = 0


class SpokenLine(Struct, tag_field="line", tag="spoken", frozen=True):
    """The peer has sent audio, which waits for `speak`."""


ConnectorCount = Literal[
    "frames_sent", "frames_left_out", "bytes_dropped", "messages_ignored", "undecodable_packets"
]


class BeatLine(Struct, tag_field="line", tag="beat", frozen=True):
    """Every second: silence means that the process hangs."""

    counts: dict[ConnectorCount, Count] = {}


class EndLine(Struct, tag_field="line", tag="end", frozen=True):
    """`refused`: there was no WebSocket; `closed`: the peer is done, with the handshake perhaps;
    `lost`: it went away."""

    how: Literal["refused", "closed", "lost"]


ConnectorDown = ConnectLine | SpeakLine | LeaveLine
ConnectorUp = OpenLine | SpokenLine | BeatLine | EndLine


class ConnectorDownReader(LineReader[ConnectorDown]):
    """The process's side."""

    def __init__(self) -> None:
        super().__init__(ConnectorDown)


class ConnectorUpReader(LineReader[ConnectorUp]):
    """The server's side."""

    def __init__(self) -> None:
        super().__init__(ConnectorUp)
