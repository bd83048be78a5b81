"""What is generated from the table of messages is as the table says."""

import ast
import re
from collections.abc import Callable
from pathlib import Path

import pytest
from msgspec.structs import fields

from signaling.domain.errors import ERRORS, ErrorCode
from signaling.protocol.shapes import CLIENT_MESSAGES, SERVER_MESSAGES, all_structs, struct_of
from signaling.spec.client_rules import ANSWERS, FINAL_CLOSES, RULES
from signaling.spec.native_errors import GROUPS, error_header
from signaling.spec.native_messages import native_messages
from signaling.spec.protocol_pages import pages, write
from signaling.spec.python_shapes import python_shapes
from signaling.spec.sdk_event import Member, PythonEvent, SdkEvent
from signaling.spec.sdk_event_types import check, python_events, typescript_events
from signaling.spec.sdk_events import EVENTS
from signaling.spec.sdk_rules import native_rules, python_rules, typescript_rules
from signaling.spec.typescript import typescript
from signaling.spec.web_shapes import web_shapes
from signaling.websocket.gate import CLOSE_CODES, MAX_INVALID_MESSAGES

ROOT = Path(__file__).parents[3]


def test_the_pages_about_the_protocol_are_not_stale() -> None:
    found = {path.name: path.read_text() for path in (ROOT / "docs/protocol").iterdir()}
    assert found == pages(), "run: make docs"


def test_a_page_that_is_generated_no_longer_is_removed(tmp_path: Path) -> None:
    (tmp_path / "gone.md").write_text("# Gone\n")
    write(tmp_path)
    assert {path.name for path in tmp_path.iterdir()} == set(pages())


def test_the_types_of_the_browser_sdk_are_not_stale() -> None:
    path = ROOT / "sdk/web/src/signaling/messages.ts"
    assert path.read_text(encoding="utf-8") == typescript(), "run: make docs"


def test_the_shapes_that_the_browser_sdk_checks_are_not_stale() -> None:
    path = ROOT / "sdk/web/src/signaling/shapes.ts"
    assert path.read_text(encoding="utf-8") == web_shapes(), "run: make docs"


@pytest.mark.parametrize(
    ("name", "generated"), [("shapes", python_shapes), ("rules", python_rules)]
)
def test_the_tables_of_the_python_sdk_are_not_stale(
    name: str, generated: Callable[[], str]
) -> None:
    """But for the lines, which `ruff format` makes."""
    text = (ROOT / f"sdk/python/src/sealroute_client/{name}.py").read_text(encoding="utf-8")
    assert ast.unparse(ast.parse(text)) == ast.unparse(ast.parse(generated())), "run: make docs"


@pytest.mark.parametrize(
    ("path", "generated"),
    [
        ("sdk/web/src/rules.ts", typescript_rules),
        ("sdk/native/rules/src/table.rs", native_rules),
        ("sdk/native/protocol/src/messages.rs", native_messages),
        ("sdk/native/capi/include/sealroute_errors.h", error_header),
        ("sdk/web/src/event-types.ts", typescript_events),
        ("sdk/python/src/sealroute_client/events.py", python_events),
    ],
)
def test_the_rules_and_events_of_the_sdks_are_not_stale(
    path: str, generated: Callable[[], str]
) -> None:
    assert (ROOT / path).read_text(encoding="utf-8") == generated(), "run: make docs"


def test_each_number_that_the_server_gives_an_error_has_its_name_in_c() -> None:
    named = {error.number for group in GROUPS.values() for error in group}
    assert {row.sdk.number for row in ERRORS.values()} <= named


@pytest.mark.parametrize("event", EVENTS, ids=lambda event: f"{event.target}.{event.name}")
def test_every_event_stands_in_the_types_of_each_sdk_that_has_it(event: SdkEvent) -> None:
    assert event.web or event.python
    if event.web is not None:
        interface = typescript_events().partition(f"interface {event.target}Events")[2]
        assert f"\n  {event.name}: {event.web};" in interface.partition("\n}")[0]
    if event.python is not None:
        rows = python_events().partition(f"class {event.python.cls}(Event):")[2]
        assert f'    name = "{event.name}"' in rows.partition("\n\n\n")[0].splitlines()


SPEAKS = PythonEvent("Speaks", (Member("stream_id", "str"),))


@pytest.mark.parametrize(
    "event",
    [
        SdkEvent("Session", "x", web="object", python=SPEAKS, relays="noSuchMessage"),
        SdkEvent("Session", "x", web="{ level: number }", python=SPEAKS, relays="activeSpeaker"),
        SdkEvent("Session", "x", web="object", relays="activeSpeaker"),
        SdkEvent("Publisher", "x", web="object", python=SPEAKS, relays="activeSpeaker"),
    ],
)
def test_an_event_that_cannot_repeat_its_message_is_refused(event: SdkEvent) -> None:
    with pytest.raises(ValueError, match="x: "):
        check((event,))


@pytest.mark.parametrize("struct", all_structs(), ids=lambda struct: struct.cls.__name__)
def test_every_message_and_part_has_its_section_with_each_member(struct: object) -> None:
    cls = struct.cls
    title = struct.tag or cls.__name__
    _, found, rest = "".join(pages().values()).partition(f"\n## {title}\n")
    assert found
    section = rest.partition("\n## ")[0]
    for field in fields(cls):
        if field.name not in {"id", "re"}:
            assert f"| `{field.encode_name}` |" in section


def test_every_message_stands_in_the_unions_of_the_types() -> None:
    text = typescript()
    for cls in (*CLIENT_MESSAGES, *SERVER_MESSAGES):
        assert f"\n  | {cls.__name__}" in text


def test_each_message_of_the_server_has_its_shape_with_each_member() -> None:
    table = web_shapes().partition("SERVER_SHAPES")[2]
    for cls in SERVER_MESSAGES:
        found = table.partition(f"\n  {struct_of(cls).tag}: part({{")[2].partition("\n  }),")[0]
        assert [line.split(":")[0].strip() for line in found.splitlines() if line] == [
            field.encode_name for field in fields(cls)
        ]


def test_each_message_of_a_client_and_of_the_server_has_its_type_in_rust() -> None:
    text = native_messages()
    for cls in SERVER_MESSAGES:
        assert f"impl Part for {cls.__name__} {{" in text
        assert f'"{struct_of(cls).tag}" => Self::{cls.__name__}(Part::read(members)?)' in text
    for cls in CLIENT_MESSAGES:
        assert f"impl Write for {cls.__name__} {{" in text
        assert f'Self::{cls.__name__}(_) => "{struct_of(cls).tag}"' in text


SDK_SOURCES = [
    path
    for pattern in ("sdk/web/src/**/*.ts", "sdk/python/src/**/*.py", "sdk/native/*/src/**/*.rs")
    for path in ROOT.glob(pattern)
    if path.name not in {"rules.ts", "rules.py", "table.rs"}
]


def test_no_sdk_declares_a_rule_of_its_own() -> None:
    """Rules are imported from the generated table; a constant of the same name shadows it."""
    names = {rule.name for rule in RULES} | {"ANSWERS", "PASSING", "FINAL_CLOSES"}
    times = {name.removesuffix("_MS") for name in names if name.endswith("_MS")}
    names |= times | {f"{name}_S" for name in times}
    declared = {
        (path.name, found)
        for path in SDK_SOURCES
        for found in re.findall(
            r"^ *(?:export |pub |pub\(crate\) )?(?:const )?([A-Z_]+)(?:: [^=\n]+)? = ",
            path.read_text(),
            re.MULTILINE,
        )
    }
    assert len(SDK_SOURCES) > 100
    assert not {(file, name) for file, name in declared if name in names}


def test_each_rule_is_read_by_both_sdks() -> None:
    """A rule that one SDK does not read is spelled by hand there, or is none of a client."""
    texts = {
        language: "\n".join(path.read_text() for path in SDK_SOURCES if path.suffix == suffix)
        for language, suffix in (("web", ".ts"), ("python", ".py"))
    }
    for rule in RULES:
        python_name = re.sub("_MS$", "_S", rule.name)
        assert re.search(rf"\b{rule.name}\b", texts["web"]), rule.name
        assert re.search(rf"\b{python_name}\b", texts["python"]), python_name


def test_the_close_codes_that_end_are_those_of_the_page() -> None:
    table = pages()["errors.md"].partition("## Close codes")[2]
    rows = re.findall(r"^\| (\d{4}) \|.*\| ends \|$", table, re.MULTILINE)
    assert {int(code) for code in rows} == {row.close_code for row in FINAL_CLOSES} | {1000}


def test_the_answers_are_messages_of_the_server() -> None:
    assert set(ANSWERS) <= {struct_of(cls).tag for cls in CLIENT_MESSAGES}
    assert set(ANSWERS.values()) <= {struct_of(cls).tag for cls in SERVER_MESSAGES}


@pytest.mark.parametrize("code", ["rate_limited", "e2ee_required", "transport_closed"])
def test_codes_that_clients_meet_are_in_the_table_of_errors(code: str) -> None:
    assert f"| `{ErrorCode(code).value}` | `OT_" in pages()["errors.md"]


def test_names_that_are_no_members_are_left_as_they_are() -> None:
    assert "`-`, `_` and `~`" in pages()["requests.md"]


def test_codes_of_rest_alone_are_not_on_the_page() -> None:
    assert "e2ee_never_archived" not in "".join(pages().values())


def test_the_codes_that_close_a_websocket_are_on_the_page() -> None:
    table = pages()["errors.md"].partition("## Close codes")[2]
    for reason, code in CLOSE_CODES.items():
        (line,) = (line for line in table.splitlines() if line.startswith(f"| {int(code)} |"))
        assert f"`{reason}`" in line
    assert f"after {MAX_INVALID_MESSAGES} invalid messages" in table
