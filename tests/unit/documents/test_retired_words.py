"""The code speaks the field's language: comments, docstrings and names have no retired word.

`ROOMS` names the folders that are held to it. A word is retired in prose, in names, or in both;
text in backticks and in other strings is not checked.
"""

import io
import re
import tokenize
from collections.abc import Iterator
from pathlib import Path

import pytest

from tests.unit.documents.pages import ROOT, tracked

PROSE = {
    r"anew": "again",
    r"blanks? between": "space-separated",
    r"can not": "cannot",
    r"for ever": "forever",
    r"for so long": "this long",
    r"news": "events",
    r"of ours": "of this project, or of the server",
    r"of which": "two sentences",
    r"pictures?": "frame, video or resolution",
    r"sounds?": "audio",
    r"takes? up|taken up|took up": "resume",
    r"(?:un)?seal(?:ed|s)?": "encrypt (frames), protect (SRTP), wrap (secrets at rest)",
    r"who(?:ever)? (?:is|has|does|can|may|goes|wants|loses|asks|sends)": "a noun as the subject",
    r"(?<!-)wish(?:es|ed)?": "prefer",
    r"with blanks": "space-separated",
}
NAMES = {
    r"heard": "seen, received",
    r"news": "events",
    r"occurrence": "event",
    r"outlet": "message sink",
    r"sealer": "wrapper",
    r"seats?": "slot",
    r"takeup": "resume",
    r"tells?": "notify, report",
    r"told": "the noun of what is sent",
    r"unsealed": "unencrypted",
    r"wish": "preferred",
}
ROOMS = (
    "sfu",
    "sfu/sdp",
    "config",
    "scripts",
    "scripts/site",
    "signaling",
    "signaling/callbacks",
    "signaling/cli",
    "signaling/domain",
    "signaling/http",
    "signaling/protocol",
    "signaling/rest",
    "signaling/sessions",
    "signaling/spec",
    "signaling/storage",
    "signaling/websocket",
)
_PROSE = re.compile(rf"\b(?:{'|'.join(PROSE)})\b", re.IGNORECASE)
_NAMES = re.compile(rf"(?:{'|'.join(NAMES)})", re.IGNORECASE)
_PART = re.compile(r"[A-Z]+(?![a-z])|[A-Z]?[a-z]+")
_SPAN = re.compile(r"`[^`]*`")


def retired(source: str) -> Iterator[tuple[int, str]]:
    """Line and word of each retired word in a Python source."""
    for token in tokenize.generate_tokens(io.StringIO(source).readline):
        if token.type == tokenize.COMMENT or token.string.startswith('"""'):
            text = _SPAN.sub(lambda span: re.sub(r"[^\n]", " ", span[0]), token.string)
            for found in _PROSE.finditer(text):
                yield token.start[0] + text.count("\n", 0, found.start()), found[0]
        elif token.type == tokenize.NAME and _is_retired(token.string):
            yield token.start[0], token.string


def _is_retired(name: str) -> bool:
    return any(map(_NAMES.fullmatch, _PART.findall(name)))


def files_of(room: str) -> list[Path]:
    return [
        ROOT / name
        for name in sorted(tracked())
        if name.endswith(".py") and Path(name).parent == Path(room)
    ]


@pytest.mark.parametrize("room", ROOMS)
def test_a_room_has_no_retired_word(room: str):
    files = files_of(room)
    assert files
    found = [
        f"{path.relative_to(ROOT)}:{line}: {word}"
        for path in files
        for line, word in retired(path.read_text(encoding="utf-8"))
    ]
    assert not found, "\n".join(found)


def test_words_are_found_in_comments_docstrings_and_names_only():
    source = '''\
"""Sounds of `sealed` frames.

Who asks again is told anew."""
told_bytes = sent("a sealed picture")  # can not
MAX = SealGuard.tellers
'''
    assert list(retired(source)) == [
        (1, "Sounds"),
        (3, "Who asks"),
        (3, "anew"),
        (4, "told_bytes"),
        (4, "can not"),
    ]
