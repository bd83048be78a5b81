"""The code speaks the field's language: comments, docstrings and names have no retired word.

`ROOMS` names the folders of Python that are held to all of it, `WEB_ROOMS` those of the browser. A
word is retired in prose, in names, or in both; text in backticks and in other strings is not
checked. In benchmarks, in tests of them and of hostile servers, and in tests of the browser
(`PROSE_ROOMS`, `WEB_PROSE_ROOMS`), and in Rust (`RUST_ROOMS`), names have fewer retired words;
titles of tests are names.
"""

import io
import re
import tokenize
from collections.abc import Callable, Iterator
from functools import partial
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
EVERYWHERE = {
    r"anew": "again",
    r"can not": "cannot",
    r"for ever": "forever",
    r"pictures?": "frame, video or resolution",
    r"(?:re|un)?seal(?:ed|er|ers|ing|s)?": "encrypt, protect (SRTP), wrap (secrets at rest)",
    r"sounds?": "audio",
    r"wish(?:es|ed)?": "prefer",
}
"""Retired in every name and every line, also in tests."""
EXCEPTIONS = (
    r"pictures? (?:ids?|index|groups?|parameter sets?|types?)",  # terms of VP8, VP9, H.264, FFmpeg
    r"inter picture",  # VP9
    r"sound cards?",
    r"reseal|sealing (?:key|\.key)|sealing\.key",  # command, setting and file of the storage
)
ROOMS = (
    "sdk/python/src/sealroute_client",
    "sdk/python/src/sealroute_client/e2ee",
    "sdk/python/src/sealroute_client/media",
    "sfu",
    "sfu/egress",
    "sfu/egress/child",
    "sfu/egress/composer",
    "sfu/sdp",
    "config",
    "member",
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
    "tests",
    "tests/contract",
    "tests/fakes",
    "tests/fuzz",
    "tests/image",
    "tests/interop",
    "tests/official",
    "tests/spec",
    "tests/unit",
    "tests/unit/callbacks",
    "tests/unit/client",
    "tests/unit/config",
    "tests/unit/domain",
    "tests/unit/egress",
    "tests/unit/member",
    "tests/unit/native",
    "tests/unit/rest",
    "tests/unit/sfu",
    "tests/unit/signaling",
    "tests/vectors",
)
PROSE_ROOMS = (
    "bench",
    "bench/adapters",
    "bench/attack",
    "bench/network",
    "bench/switches",
    "tests/hostile",
    "tests/hostile/drivers",
    "tests/hostile/lies",
    "tests/unit/bench",
)
WEB_ROOMS = ("sdk/react/src", "sdk/web/src", "web/demo")
WEB_PROSE_ROOMS = (
    "bench/network",
    "sdk/web/tests",
    "tests/browser",
    "tests/hostile",
    "tests/official",
)
RUST_ROOMS = ("sdk/native",)
_PROSE = re.compile(rf"\b(?:{'|'.join(PROSE)})\b", re.IGNORECASE)
_NAMES = re.compile(rf"(?:{'|'.join(NAMES)})", re.IGNORECASE)
_EVERYWHERE = re.compile(rf"\b(?:{'|'.join(EVERYWHERE)})\b", re.IGNORECASE)
_EXCEPTION = re.compile("|".join(EXCEPTIONS), re.IGNORECASE)
_WEB_COMMENT = re.compile(r"/\*.*?\*/|(?<![:\w])//[^\n]*", re.DOTALL)
_WEB_STRING = re.compile(r"'(?:[^'\\\n]|\\.)*'|\"(?:[^\"\\\n]|\\.)*\"|`(?:[^`\\]|\\.)*`")
_WEB_SUFFIXES = {".ts", ".tsx", ".js", ".jsx", ".mjs", ".rs"}
_PART = re.compile(r"[A-Z]+(?![a-z])|[A-Z]?[a-z]+")
_SPAN = re.compile(r"`[^`]*`")


Found = Iterator[tuple[int, str]]


def blanked(pattern: re.Pattern[str], text: str) -> str:
    """`text` with spaces in place of what the pattern finds; lines keep their numbers."""
    return pattern.sub(lambda found: re.sub(r"[^\n]", " ", found[0]), text)


def words(pattern: re.Pattern[str], text: str, line: int = 1) -> Found:
    text = blanked(_EXCEPTION, text)
    for found in pattern.finditer(text):
        yield line + text.count("\n", 0, found.start()), found[0]


def retired(source: str, *, in_names: bool = True) -> Found:
    """Line and word of each retired word in a Python source."""
    for token in tokenize.generate_tokens(io.StringIO(source).readline):
        line = token.start[0]
        if token.type == tokenize.COMMENT or token.string.startswith('"""'):
            yield from words(_PROSE, blanked(_SPAN, token.string), line)
        elif token.type == tokenize.NAME:
            if in_names and _is_retired(token.string):
                yield line, token.string
            else:
                yield from words(_EVERYWHERE, _parts(token.string), line)


def retired_of_web(source: str, *, in_names: bool = True) -> Found:
    """Line and word of each retired word in a source of the browser; strings are prose too."""
    for found in _WEB_COMMENT.finditer(source):
        line = 1 + source.count("\n", 0, found.start())
        yield from words(_PROSE, blanked(_SPAN, found[0]), line)
    code = blanked(_WEB_COMMENT, source)
    yield from words(_EVERYWHERE, code)
    for found in re.finditer(r"[A-Za-z_$][\w$]*", blanked(_WEB_STRING, code)):
        line = 1 + source.count("\n", 0, found.start())
        if in_names and _is_retired(found[0]):
            yield line, found[0]
        elif not _EVERYWHERE.fullmatch(found[0]):
            yield from words(_EVERYWHERE, _parts(found[0]), line)


def _parts(name: str) -> str:
    """The words of a name: `sealedFrame` and `sealed_frame` are two."""
    return " ".join(_PART.findall(name))


def _is_retired(name: str) -> bool:
    return any(map(_NAMES.fullmatch, _PART.findall(name)))


def files_of(room: str) -> list[Path]:
    return [
        ROOT / name
        for name in sorted(tracked())
        if name.endswith(".py") and Path(name).parent == Path(room)
    ]


def web_files_of(room: str) -> list[Path]:
    return [
        ROOT / name
        for name in sorted(tracked())
        if name.startswith(f"{room}/") and Path(name).suffix in _WEB_SUFFIXES
    ]


def report(files: list[Path], find: Callable[[str], Found]) -> str:
    assert files
    return "\n".join(
        f"{path.relative_to(ROOT)}:{line}: {word}"
        for path in files
        for line, word in find(path.read_text(encoding="utf-8"))
    )


@pytest.mark.parametrize("room", ROOMS)
def test_a_room_has_no_retired_word(room: str):
    assert report(files_of(room), retired) == ""


@pytest.mark.parametrize("room", PROSE_ROOMS)
def test_tests_and_benchmarks_have_no_retired_word_in_prose_and_titles(room: str):
    assert report(files_of(room), partial(retired, in_names=False)) == ""


@pytest.mark.parametrize("room", WEB_ROOMS)
def test_sources_of_the_browser_have_no_retired_word(room: str):
    assert report(web_files_of(room), retired_of_web) == ""


@pytest.mark.parametrize("room", WEB_PROSE_ROOMS)
def test_browser_tests_have_no_retired_word_in_prose_and_titles(room: str):
    assert report(web_files_of(room), partial(retired_of_web, in_names=False)) == ""


@pytest.mark.parametrize("room", RUST_ROOMS)
def test_sources_in_rust_have_no_retired_word_in_prose_and_titles(room: str):
    assert report(web_files_of(room), partial(retired_of_web, in_names=False)) == ""


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
        (5, "Seal"),
    ]


def test_words_are_found_in_sources_of_the_browser():
    source = """\
/** Who asks gets `sealed` frames
 * and a picture. */
const sealedFrames = heardAt; // can not
test('a sound is https://anew.example', () => undefined);
"""
    assert sorted(retired_of_web(source)) == [
        (1, "Who asks"),
        (2, "picture"),
        (3, "can not"),
        (3, "heardAt"),
        (3, "sealed"),
        (4, "anew"),
        (4, "sound"),
    ]


def test_terms_of_codecs_and_storage_are_no_retired_words():
    source = "sealing_key = picture_id  # the picture parameter set; a sound card\n"
    assert list(retired(source, in_names=False)) == []
