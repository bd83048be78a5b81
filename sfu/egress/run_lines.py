"""Control lines to each process that speaks into a session."""

from msgspec import Struct

from sfu.egress.control import Count


class SpeakLine(Struct, tag_field="line", tag="speak", frozen=True):
    """The stream is published: packets of this form are forwarded."""

    ssrc: Count
    payload_type: Count
    audio_level_id: Count


class LeaveLine(Struct, tag_field="line", tag="leave", frozen=True):
    """Says goodbye to the peer, then ends."""
