"""msgspec says of text that is not UTF-8 by another error than of what else is no JSON: who expects
one of the two expects both, or a stranger's byte is a fault of the server."""

import ast
from pathlib import Path

import msgspec
import pytest

from sfu.egress.control import NOT_JSON

ROOT = Path(__file__).parents[2]
READERS = {"json.decode", "msgpack.decode", "decoder.decode", "_decoder.decode"}
OF_OURSELVES = {
    "sfu/media_router.py": "the media core of this process",
    "signaling/hls/__main__.py": "the server that starts this one",
    "signaling/storage/archives.py": "what this server stored",
    "signaling/storage/broadcasts.py": "what this server stored",
    "sfu/egress/zygote.py": "the server that starts it",
}
BOTH = (
    {"MsgspecError", "UnicodeDecodeError"},
    {"DecodeError", "UnicodeDecodeError"},
    {"NOT_JSON"},
)


@pytest.mark.parametrize("data", [b'{"a":"\x93"}', b'{"\xff":1}', b'"\xff', b"\xff", b"{", b""])
def test_no_bytes_are_another_error(data):
    with pytest.raises(NOT_JSON):
        msgspec.json.decode(data)


def calls(tree):
    for node in ast.walk(tree):
        if isinstance(node, ast.Call) and isinstance(node.func, ast.Attribute):
            yield ".".join(ast.unparse(node.func).split(".")[-2:])


def expected(node):
    names = {one.attr for one in ast.walk(node) if isinstance(one, ast.Attribute)}
    return names | {one.id for one in ast.walk(node) if isinstance(one, ast.Name)}


def test_who_reads_json_of_others_expects_both_errors():
    found = []
    for folder in ("config", "member", "sfu", "signaling"):
        for file in sorted((ROOT / folder).rglob("*.py")):
            tree, name = ast.parse(file.read_text()), str(file.relative_to(ROOT))
            if "msgspec" not in file.read_text() or name in OF_OURSELVES:
                continue
            for node in ast.walk(tree):
                if isinstance(node, ast.Try) and READERS & set(calls(ast.Module(node.body, []))):
                    types = [one.type for one in node.handlers if one.type]
                    handled = set().union(*map(expected, types))
                    if not any(both <= handled for both in BOTH):
                        found.append(f"{name}:{node.lineno} expects {sorted(handled)}")
    assert found == []
