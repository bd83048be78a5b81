"""What the command line prints: JSON lines for programs, text and progress for people."""

import contextlib
import json
import sys
from collections.abc import Callable
from typing import Any, Final

from sealroute_client.errors import SealrouteError


class JsonLines:
    """One JSON object a line."""

    def __init__(self, *, with_figures: bool) -> None:
        self._with_figures = with_figures

    def line(self, event: str, **members: object) -> None:
        _write(json.dumps({"event": event, **members}, default=str, ensure_ascii=False) + "\n")

    def figures(self, stats: dict[str, Any], bitrate_bps: int) -> None:
        if self._with_figures:
            self.line("stats", **stats, bitrateBps=bitrate_bps)

    def close(self) -> None:
        """Nothing stands unfinished."""


class Terminal:
    """Lines of text, and under them one that is written over each second."""

    def __init__(self) -> None:
        self._progress = ""

    def line(self, event: str, **members: object) -> None:
        describe = _WORDS.get(event)
        words = describe(members) if describe else _plain(members)
        self._clear()
        _write(f"{event}: {printable(words)}\n" if words else f"{event}\n")
        _write(self._progress)

    def figures(self, stats: dict[str, Any], bitrate_bps: int) -> None:
        self._clear()
        self._progress = progress(stats, bitrate_bps)
        _write(self._progress)

    def close(self) -> None:
        if self._progress:
            self._progress = ""
            _write("\n")

    def _clear(self) -> None:
        if self._progress:
            _write("\r\x1b[K")


Output = JsonLines | Terminal


def progress(stats: dict[str, Any], bitrate_bps: int) -> str:
    """Frames, bitrate and loss in one line."""
    sent, received = (_frames(stats[way]) for way in ("sent", "received"))
    parts = [
        f"{name} {count} frames" for name, count in (("sent", sent), ("got", received)) if count
    ]
    parts.append(f"{bitrate_bps / 1000:,.0f} kbit/s")
    if received:
        lost = stats["packetsLost"]
        parts.append(f"{lost} packets lost")
    if stats["failed"]:
        parts.append(f"{stats['failed']} did not open")
    return " | ".join(parts)


def _frames(streams: dict[str, Any]) -> int:
    return sum(kind["frames"] for stream in streams.values() for kind in stream.values())


def write_error(output: Output, error: Exception) -> None:
    if isinstance(error, SealrouteError):
        code, name, number, message = error.code, error.name, error.number, str(error)
    else:
        # Texts of foreign errors may quote what must not be printed.
        code, name, number, message = "internal", "InternalError", 2000, type(error).__name__
    output.line("error", code=code, name=name, number=number, message=message)


def printable(text: str) -> str:
    """Names come from other people and from the server: no control characters for a terminal."""
    return "".join(char if char.isprintable() else "?" for char in text)


def _plain(members: dict[str, object]) -> str:
    return ", ".join(f"{key} {value}" for key, value in members.items() if value not in (None, ""))


def _stream(members: dict[str, object]) -> str:
    stream = members.get("stream")
    if not isinstance(stream, dict):
        return ""
    names = ", ".join(str(stream[key]) for key in ("name", "initials") if stream.get(key))
    return f"{stream.get('streamId')}" + (f" ({names})" if names else "")


def _of(members: dict[str, object], part: str, key: str) -> object:
    value = members.get(part)
    return value.get(key, "") if isinstance(value, dict) else ""


def _connected(members: dict[str, object]) -> str:
    code = members.get("verificationCode")
    if code is None:
        return f"{members.get('connectionId')}, not encrypted"
    return f"{members.get('connectionId')}, verification code {code}"


_WORDS: Final[dict[str, Callable[[dict[str, object]], str]]] = {
    "connected": _connected,
    "streamCreated": _stream,
    "connectionCreated": lambda members: str(_of(members, "connection", "connectionId")),
    "error": lambda members: f"{members.get('message')} ({members.get('code')})",
    "encryptionStateChanged": lambda members: f"{members.get('streamId')} {members.get('state')}",
}


def _write(text: str) -> None:
    with contextlib.suppress(BrokenPipeError):
        sys.stdout.write(text)
        sys.stdout.flush()
