"""CONTRIBUTING's table of what goes where: each row names files that are there, and what the row
says of them is true. A change that makes a row false has to change the row."""

import json
import re
from collections.abc import Callable
from dataclasses import fields
from pathlib import Path

import pytest
import sqlalchemy as sa

from config.load import KNOBS, SECTIONS
from config.settings import MediaSettings
from sfu import core_api, native_plane
from sfu.plane_counters import HELP, PlaneCounter
from signaling.domain.errors import ERRORS, ErrorCode
from signaling.domain.session import REQUESTS
from signaling.metrics import Metrics
from signaling.protocol.shapes import CLIENT_MESSAGES, SERVER_MESSAGES
from signaling.rest.openapi import openapi_document
from signaling.rest.routes import ROUTES
from signaling.server import worker_settings
from signaling.spec.client_rules import RULES
from signaling.spec.native_errors import GROUPS
from signaling.spec.sdk_events import EVENTS
from signaling.storage.schema import metadata

ROOT = Path(__file__).parents[3]
TABLE = (ROOT / "CONTRIBUTING.md").read_text().partition("| you add |")[2].partition("\n\n")[0]
ROWS = dict(re.findall(r"^\| (an? [^|]+?) \| (.+) \|$", TABLE, re.MULTILINE))
NATIVE = [
    path
    for crate in ("rtp", "transport", "forward", "worker", "python")
    for path in (ROOT / "native" / crate / "src").rglob("*.rs")
    if not path.stem.endswith(("tests", "properties"))
]
RECIPES: dict[str, Callable[[], None]] = {}


def recipe(row: str) -> Callable[[Callable[[], None]], Callable[[], None]]:
    def take(check: Callable[[], None]) -> Callable[[], None]:
        RECIPES[row] = check
        return check

    return take


def text(path: str) -> str:
    return (ROOT / path).read_text()


def files_with(pattern: str) -> set[str]:
    """Native sources in which the pattern stands, outside of their tests."""
    return {
        str(path.relative_to(ROOT))
        for path in NATIVE
        if re.search(pattern, path.read_text().partition("#[cfg(test)]")[0])
    }


def module_file(name: str) -> str:
    return name.replace(".", "/") + ".py"


@recipe("a signaling message")
def _messages() -> None:
    homes = {module_file(cls.__module__) for cls in (*CLIENT_MESSAGES, *SERVER_MESSAGES)}
    assert homes <= set(named("a signaling message"))
    listed = text("signaling/protocol/messages.py")
    for cls in (*CLIENT_MESSAGES, *SERVER_MESSAGES):
        assert f'"{cls.__name__}"' in listed
    handlers = {module_file(row.handler.__module__) for row in REQUESTS.values()}
    assert all(home.startswith("signaling/domain/") for home in handlers)


@recipe("a REST route")
def _routes() -> None:
    making = {
        str(path.relative_to(ROOT))
        for path in (ROOT / "signaling").rglob("*.py")
        if re.search(r"\bRoute\(", path.read_text())
    }
    assert making == {"signaling/rest/routes.py"}
    documented = openapi_document(ROUTES)["paths"]
    assert all(row.method.lower() in documented[row.template] for row in ROUTES)


@recipe("an error")
def _errors() -> None:
    assert ErrorCode.__module__ == "signaling.domain.error_codes"
    assert set(ERRORS) == set(ErrorCode)


@recipe("a command to the media core")
def _commands() -> None:
    homes = set(named("a command to the media core")) & {str(p.relative_to(ROOT)) for p in NATIVE}
    for cls, name in core_api.COMMAND_NAMES.items():
        variant = cls.__name__
        assert files_with(rf"pub struct {variant} \{{") == {"native/worker/src/api/commands.rs"}
        assert files_with(rf"(Command|Self)::{variant}\(") == homes
        assert f"def {name}(self, " in text("tests/fakes/media_router.py")
        assert f"core_api.{variant}(" in text("tests/contract/test_media_router.py")


@recipe("an event of the media core")
def _events() -> None:
    described = text("native/worker/src/api/events.rs") + text("native/forward/src/outbox.rs")
    for cls in core_api.EVENT_TYPES.values():
        assert re.search(rf"^    {cls.__name__}\b", described, re.MULTILINE), cls
    assert set(native_plane._EVENT_HANDLERS) == set(core_api.EVENT_TYPES.values())


@recipe("a reason to drop a packet")
def _drop_reasons() -> None:
    homes = ("native/forward/src/drop_reason.rs", "native/worker/src/drop_reason.rs")
    rows = "".join(map(text, homes))
    assert all(f'"{name}",' in rows for name in core_api.DROP_REASONS)


@recipe("a total of the media core")
def _totals() -> None:
    homes = ("native/forward/src/counters.rs", "native/worker/src/network_counters.rs")
    assert files_with(r"^counters! \{|\ncounters! \{") == set(homes)
    rows = "".join(map(text, homes))
    for total in core_api.COUNTERS:
        if total.name not in {f"drop.{reason}" for reason in core_api.DROP_REASONS}:
            assert re.search(rf"(Counter|Gauge) {total.name} \"", rows), total.name
    assert set(HELP) == set(PlaneCounter)


@recipe("a setting")
def _settings() -> None:
    rooms = {
        "config.settings",
        "config.broadcast_settings",
        "config.sip_settings",
        "config.render_settings",
        "config.caption_settings",
        "config.cluster_settings",
        "config.connector_settings",
    }
    assert {kind.__module__ for kind in SECTIONS.values()} == rooms
    declared = {(section, f.name) for section, kind in SECTIONS.items() for f in fields(kind)}
    assert set(KNOBS) == declared


@recipe("a setting of the media core")
def _settings_of_the_core() -> None:
    core = {field.name: field for field in fields(core_api.WorkerSettings)}
    shared = core.keys() & {field.name for field in fields(MediaSettings)}
    assert {"loudest_voices", "max_downlink_kbps"} <= shared
    described = text("native/worker/src/api/settings.rs")
    assert all(f"pub {name}: " in described for name in core)
    other = {name: _other(getattr(MediaSettings(), name)) for name in shared}
    made = worker_settings(MediaSettings(**other))
    assert {name: getattr(made, name) for name in shared} == other
    assert all(getattr(made, name) == core[name].default for name in core.keys() - shared)


def _other(value: object) -> object:
    """A value of the same type that is not the default."""
    if isinstance(value, bool):
        return not value
    return value + 1 if isinstance(value, int) else f"{value}1"


@recipe("a metric of the control plane")
def _metrics() -> None:
    using = [
        str(path.relative_to(ROOT))
        for folder in ("signaling", "sfu", "config")
        for path in (ROOT / folder).rglob("*.py")
        if re.search(r"^(from|import) prometheus_client", path.read_text(), re.MULTILINE)
    ]
    assert using == [module_file(Metrics.__module__)]


@recipe("an event of the SDKs")
def _sdk_events() -> None:
    assert any(event.relays for event in EVENTS)
    web, python = (
        text("sdk/web/src/event-types.ts"),
        text("sdk/python/src/sealroute_client/events.py"),
    )
    for event in EVENTS:
        if event.relays is not None:
            assert f"{event.relays}: {{ event: '{event.name}'" in web
            assert f'"{event.relays}": {event.python.cls}' in python


@recipe("a rule of the clients (a time, a limit, a close code)")
def _client_rules() -> None:
    web, python = text("sdk/web/src/rules.ts"), text("sdk/python/src/sealroute_client/rules.py")
    for rule in RULES:
        assert f"export const {rule.name} = " in web
        assert f"{re.sub('_MS$', '_S', rule.name)}: Final = " in python


@recipe("an error that programs in C compare")
def _native_errors() -> None:
    header = text("sdk/native/capi/include/sealroute_errors.h")
    for group, errors in GROUPS.items():
        for error in errors:
            assert f"OTC_{group.upper()}_{error.name} = {error.number}," in header


@recipe("a function of the C library")
def _native_functions() -> None:
    declared = set(re.findall(r"\b(otc_\w+)\(", text("sdk/native/capi/include/sealroute.h")))
    bodies = "".join(
        path.read_text() for path in (ROOT / "sdk/native/capi/src/exports").glob("*.rs")
    )
    assert declared == set(re.findall(r'extern "C" fn (otc_\w+)\(', bodies))
    calls = "".join(path.read_text() for path in (ROOT / "tests/native_sdk/c").glob("*.c"))
    assert {name for name in declared if name not in calls} == set()


@recipe("a storage column")
def _columns() -> None:
    folder = ROOT / "signaling/storage/migrations/versions"
    migrations = "".join(path.read_text() for path in folder.glob("*.py"))
    for table in metadata.tables.values():
        assert isinstance(table, sa.Table)
        assert all(f'"{column.name}"' in migrations for column in table.columns), table.name


@recipe("a text of the page at `/`")
def _texts_of_the_page() -> None:
    imported = re.findall(r"from '\.\./languages/(\w+\.json)'", text("web/demo/src/words.ts"))
    files = {path.name: path for path in (ROOT / "web/demo/languages").iterdir()}
    assert set(imported) == set(files)
    keys = {name: set(json.loads(path.read_text("utf-8"))) for name, path in files.items()}
    assert all(found == keys["en.json"] for found in keys.values())


def named(row: str) -> list[str]:
    return re.findall(r"`([\w./-]+/[\w./-]+)`", ROWS[row])


def test_every_row_has_its_recipe() -> None:
    assert set(ROWS) == set(RECIPES)


@pytest.mark.parametrize("row", ROWS)
def test_the_files_of_a_row_are_there(row: str) -> None:
    assert named(row)
    assert all((ROOT / name).exists() for name in named(row))


@pytest.mark.parametrize("row", RECIPES)
def test_a_row_says_what_is_so(row: str) -> None:
    RECIPES[row]()
