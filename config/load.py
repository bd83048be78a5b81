"""Settings from defaults < TOML file < environment < flags. Only this module reads the first three.

A knob `port` of section `media` is `[media] port` in TOML and `SEALROUTE_MEDIA_PORT` in the
environment. Some also have short names (`SHORT_NAMES`). Unknown names are errors. A secret can be
in a file, which `turn_secret_file` or `SEALROUTE_ICE_TURN_SECRET_FILE` names.
"""

import difflib
import json
import tomllib
from collections.abc import Iterable, Mapping
from dataclasses import Field, fields
from pathlib import Path
from typing import Any

from config.broadcast_settings import BroadcastSettings
from config.caption_settings import CaptionSettings
from config.cluster_settings import ClusterSettings, cluster_fault
from config.connector_settings import ConnectorSettings
from config.environment import without_services
from config.render_settings import RenderSettings
from config.secret import Secret
from config.settings import (
    NO_SECRET,
    ArchiveSettings,
    CallbackSettings,
    E2eeSettings,
    EgressSettings,
    HttpSettings,
    IceSettings,
    LogSettings,
    MediaSettings,
    OperationsSettings,
    RoomsSettings,
    Settings,
    SignalingSettings,
    StorageSettings,
)
from config.sip_settings import SipSettings

PREFIX = "SEALROUTE_"
# Short names of flags and of the environment: name → (section, knob).
SHORT_NAMES: dict[str, tuple[str, str]] = {
    "host": ("http", "host"),
    "port": ("http", "port"),
    "media_host": ("media", "host"),
    "media_port": ("media", "port"),
    "public_ip": ("media", "public_ips"),
    "data_dir": ("storage", "data_dir"),
    "development": ("storage", "development_project"),
    "log_level": ("log", "level"),
    "log_format": ("log", "format"),
}
_DEVELOPMENT = SHORT_NAMES["development"]
_IMPLIED: dict[tuple[str, str], "Value"] = {("rooms", "enabled"): True}
"""What development turns on where nothing else is said: whoever reaches the page may call."""
# Not knobs of the server: the path of the file, and a variable of the client's command line.
_NOT_KNOBS = frozenset({f"{PREFIX}CONFIG", f"{PREFIX}SECRET"})
_FILE = "_file"
_MAX_SECRET_BYTES = 65_536
_TRUTH = {"true": True, "1": True, "yes": True, "false": False, "0": False, "no": False}

Value = str | int | float | bool | Secret[str]
Knobs = dict[tuple[str, str], "Field[Value]"]


class ConfigurationError(Exception):
    """A setting is not usable. The text names it and says what is accepted."""


SECTIONS = {
    "http": HttpSettings,
    "operations": OperationsSettings,
    "media": MediaSettings,
    "ice": IceSettings,
    "signaling": SignalingSettings,
    "e2ee": E2eeSettings,
    "storage": StorageSettings,
    "rooms": RoomsSettings,
    "callbacks": CallbackSettings,
    "egress": EgressSettings,
    "archive": ArchiveSettings,
    "broadcast": BroadcastSettings,
    "captions": CaptionSettings,
    "connector": ConnectorSettings,
    "sip": SipSettings,
    "render": RenderSettings,
    "cluster": ClusterSettings,
    "log": LogSettings,
}
KNOBS: Knobs = {
    (section, knob.name): knob for section, kind in SECTIONS.items() for knob in fields(kind)
}


def load_settings(
    file: Path | None = None,
    environment: Mapping[str, str] | None = None,
    flags: Mapping[str, Value | None] | None = None,
) -> Settings:
    """The settings for this start. `flags` has the keys of `SHORT_NAMES`; None means not given.

    Errors: `ConfigurationError`.
    """
    chosen: dict[tuple[str, str], Value] = {}
    if file is not None:
        chosen |= _from_file(file)
    chosen |= _from_environment(environment or {})
    for name, value in (flags or {}).items():
        if value is not None:
            where = SHORT_NAMES[name]
            chosen[where] = _checked(where, value, f"--{name.replace('_', '-')}")
    return _settings(_IMPLIED | chosen if chosen.get(_DEVELOPMENT) else chosen)


def _settings(chosen: Mapping[tuple[str, str], Value]) -> Settings:
    sections: dict[str, Any] = {}
    for section, kind in SECTIONS.items():
        sections[section] = kind(
            **{knob: value for (owner, knob), value in chosen.items() if owner == section}
        )
    settings = Settings(**sections)
    fault = cluster_fault(settings.cluster, on_shared_database=bool(settings.storage.url.reveal()))
    if fault:
        raise ConfigurationError(fault)
    return settings


def _from_file(file: Path) -> dict[tuple[str, str], Value]:
    try:
        document = tomllib.loads(file.read_text(encoding="utf-8"))
    except OSError as cause:
        reason = cause.strerror or "it failed"
        raise ConfigurationError(f"cannot read {file}: {reason}") from cause
    except (tomllib.TOMLDecodeError, UnicodeDecodeError) as cause:
        raise ConfigurationError(f"{file} is not valid TOML: {cause}") from cause
    chosen: dict[tuple[str, str], Value] = {}
    for section, knobs in document.items():
        if section not in SECTIONS or not isinstance(knobs, dict):
            raise ConfigurationError(
                f"{file}: unknown section [{section}]" + _near(section, SECTIONS)
            )
        for knob, value in knobs.items():
            _choose(chosen, (section, knob), value, f"{file}: [{section}] {knob}")
    return chosen


def _choose(
    chosen: dict[tuple[str, str], Value], where: tuple[str, str], value: object, source: str
) -> None:
    """Stores a value, or the content of the file that it names."""
    secret = (where[0], where[1].removesuffix(_FILE))
    if secret != where and where not in KNOBS and _is_secret(secret):
        where, value = secret, _secret_in(value, source)
    checked = _checked(where, value, source)
    if _is_secret(where) and where in chosen and chosen[where] != NO_SECRET:
        if checked == NO_SECRET:
            return
        raise ConfigurationError(f"{source}: give the secret or its file, not both")
    chosen[where] = checked


def _is_secret(where: tuple[str, str]) -> bool:
    return where in KNOBS and isinstance(KNOBS[where].default, Secret)


def _secret_in(name: object, source: str) -> str:
    """The single line of a file. Errors never repeat it."""
    file = Path(str(name))
    try:
        with file.open("rb") as opened:
            content = opened.read(_MAX_SECRET_BYTES + 1)
        text = content.decode().strip()
    except OSError as cause:
        reason = cause.strerror or "it failed"
        raise ConfigurationError(f"{source}: cannot read {file}: {reason}") from cause
    except UnicodeDecodeError:
        raise ConfigurationError(f"{source}: {file} is not text") from None
    if len(content) > _MAX_SECRET_BYTES:
        raise ConfigurationError(f"{source}: {file} is too long for a secret")
    if not text:
        raise ConfigurationError(f"{source}: {file} is empty")
    if len(text.splitlines()) > 1:
        raise ConfigurationError(f"{source}: {file} must hold one line")
    return text


def _from_environment(environment: Mapping[str, str]) -> dict[tuple[str, str], Value]:
    places = {f"{PREFIX}{name.upper()}": where for name, where in SHORT_NAMES.items()}
    places |= {f"{PREFIX}{section}_{knob}".upper(): (section, knob) for section, knob in KNOBS}
    places |= {
        f"{PREFIX}{section}_{knob}{_FILE}".upper(): (section, knob + _FILE)
        for section, knob in KNOBS
        if _is_secret((section, knob))
    }
    chosen: dict[tuple[str, str], Value] = {}
    for name, text in without_services(environment, PREFIX).items():
        if name in _NOT_KNOBS:
            continue
        if name not in places:
            raise ConfigurationError(f"unknown environment variable {name}" + _near(name, places))
        _choose(chosen, places[name], text, name)
    return chosen


def _checked(where: tuple[str, str], value: object, source: str) -> Value:
    knob = KNOBS.get(where)
    if knob is None:
        siblings = [name for section, name in KNOBS if section == where[0]]
        raise ConfigurationError(f"{source} is unknown" + _near(where[1], siblings))
    converted = _converted(knob.default, value, source)
    low, high = knob.metadata["low"], knob.metadata["high"]
    if low is not None and not low <= float(str(converted)) <= high:
        raise ConfigurationError(f"{source} must be from {low:,} to {high:,}")
    choices = knob.metadata["choices"]
    if choices and converted not in choices:
        raise ConfigurationError(f"{source} must be one of {', '.join(choices)}")
    return converted


def _converted(default: object, value: object, source: str) -> Value:
    """A value in the type of the knob's default; text is parsed, as the environment is text."""
    if isinstance(default, bool):
        read = _TRUTH.get(value.lower()) if isinstance(value, str) else value
        if isinstance(read, bool):
            return read
        raise ConfigurationError(f"{source} must be true or false")
    if isinstance(default, Secret):
        if not isinstance(value, str):
            raise ConfigurationError(f"{source} must be text")
        return Secret(value) if value else NO_SECRET
    if isinstance(default, str):
        if isinstance(value, str):
            return value
        if isinstance(value, list) and all(isinstance(item, str) for item in value):
            return " ".join(value)
        raise ConfigurationError(f"{source} must be text")
    number = _number(value, whole=isinstance(default, int))
    if number is None:
        raise ConfigurationError(f"{source} must be a number")
    return number


def _number(value: object, *, whole: bool) -> int | float | None:
    if isinstance(value, bool) or not isinstance(value, str | int | float):
        return None
    if isinstance(value, float) and whole:
        return None
    try:
        return int(value) if whole else float(value)
    except ValueError:
        return None


def _near(name: str, known: Iterable[str]) -> str:
    matches = difflib.get_close_matches(name, list(known), n=1)
    return f"; did you mean {matches[0]}?" if matches else ""


def sample_toml() -> str:
    """The commented sample: every knob with its default, its range and its trade-off."""
    lines = [
        "# Settings of the server; each line shows the default. Environment variables of the",
        "# form SEALROUTE_<SECTION>_<KNOB> and the flags of `sealroute serve` override this file.",
        "",
    ]
    for section, kind in SECTIONS.items():
        lines += [f"[{section}]", f"# {(kind.__doc__ or '').strip()}"]
        for (owner, name), knob in KNOBS.items():
            if owner == section:
                lines += [
                    f"# {knob.metadata['why']}{_range_text(knob)}",
                    f"{name} = {json.dumps(_shown(knob.default))}",
                ]
        lines.append("")
    return "\n".join(lines)


def _shown(default: object) -> object:
    return default.reveal() if isinstance(default, Secret) else default


def _range_text(knob: "Field[Value]") -> str:
    if knob.metadata["choices"]:
        return f" One of: {', '.join(knob.metadata['choices'])}."
    low, high = knob.metadata["low"], knob.metadata["high"]
    return "" if low is None else f" From {low:,} to {high:,}."
