"""The end of a live playlist whose writer is gone; pure.

Without an end, players would ask for more of it as long as anybody watches (RFC 8216 section
6.3.4).
"""

_END = "#EXT-X-ENDLIST"
_WHOLE = "#EXTINF:"
_OF_NO_SEGMENT = ("#EXT-X-PART:", "#EXT-X-PRELOAD-HINT:", "#EXT-X-PROGRAM-DATE-TIME:")


def ended(text: str) -> str:
    """The playlist with its whole segments and an end; the same text: it has one. Parts behind them
    go: a segment that did not become whole is none that a later player can play."""
    lines = text.splitlines()
    if _END in lines:
        return text
    begins = [number for number, line in enumerate(lines) if line.startswith(_WHOLE)]
    if begins:
        kept = lines[: begins[-1] + 2]
    else:
        kept = [line for line in lines if not line.startswith(_OF_NO_SEGMENT)]
    return "\n".join([*kept, _END]) + "\n"
