"""Bodies, queries and addresses of applications and operators, and paths of viewers; any bytes."""

import contextlib
import tempfile
from collections.abc import Callable
from functools import cache
from pathlib import Path
from urllib.parse import parse_qsl

from sfu.egress.blocking_reload import wanted_of
from sfu.egress.buckets import Bucket
from sfu.egress.uploading.relay import target_of
from sfu.target_policy import TargetPolicy, TargetRefused
from signaling.domain import (
    archive_links,
    audio_connecting,
    broadcasting,
    buckets,
    callbacks,
    rendering,
    session_ids,
    sip_calling,
)
from signaling.domain.errors import DomainError
from signaling.domain.projects import Project
from signaling.hls.folders import Folders, Part
from signaling.http.static_files import find_file
from signaling.rest.admin_api import Properties, PublicKey, Rotation, _Call
from signaling.rest.requests import read_query, read_shape
from signaling.rest.rooms import MAX_NAME_CHARS, _name
from signaling.rest.routes import ROUTES

_PROJECT = Project("100", "a secret of the project that is long enough", "app")
_ADMIN = (Properties, Rotation, PublicKey)
_WITH_BODY = [route for route in ROUTES if route.body is not None]
_WITH_QUERY = [route for route in ROUTES if route.query is not None]
_PUBLIC = TargetPolicy()


def room_bodies(data: bytes) -> None:
    with contextlib.suppress(DomainError):
        name = _name(data)
        assert len(name) <= MAX_NAME_CHARS
        assert name.isprintable()


def admin_bodies(data: bytes) -> None:
    for shape in _ADMIN:
        with contextlib.suppress(DomainError):
            _Call("", "", data).read(shape)


def rest_bodies(data: bytes) -> None:
    """The first byte chooses the route: its reader, and the type of its body."""
    if data:
        route = _WITH_BODY[data[0] % len(_WITH_BODY)]
        assert route.body is not None
        with contextlib.suppress(DomainError):
            read_shape(route.read_body(data[1:]), route.body)


def rest_queries(data: bytes) -> None:
    query = dict(parse_qsl(data.decode("latin-1"), keep_blank_values=True))
    for route in _WITH_QUERY:
        assert route.query is not None
        with contextlib.suppress(DomainError):
            read_query(query, route.query)


_ADDRESSES: tuple[Callable[[str], object], ...] = (
    callbacks.checked_url,
    broadcasting.checked_rtmp_url,
    rendering.page_address,
    audio_connecting.target_of,
    sip_calling.target_of,
    lambda text: buckets.checked_bucket(Bucket("s3", "bucket", "id", "secret", endpoint=text)),
)


def addresses(data: bytes) -> None:
    """Where an application sends this server: each reader refuses, or names a host that the policy
    can judge."""
    text = data.decode("utf-8", "replace")
    for read in _ADDRESSES:
        with contextlib.suppress(DomainError):
            read(text)
    with contextlib.suppress(DomainError):
        callbacks.origin_of(callbacks.checked_url(text))
    with contextlib.suppress(TargetRefused):
        _PUBLIC.check_host(text)
    assert isinstance(_PUBLIC.permits(text), bool)
    with contextlib.suppress(ValueError):
        target_of(data)


def ids_and_links(data: bytes) -> None:
    """Ids of sessions, and links to files, of strangers."""
    text = data.decode("utf-8", "replace")
    with contextlib.suppress(DomainError):
        assert session_ids.project_of(text)
    if archive_links.may_be_link(text):
        with contextlib.suppress(DomainError):
            archive_links.check_link(_PROJECT, "archive", text, 0)
            raise AssertionError("nobody can guess a link")


@cache
def _folder() -> tuple[tempfile.TemporaryDirectory, Path]:
    kept = tempfile.TemporaryDirectory()
    root = Path(kept.name) / "root"
    root.mkdir()
    (root / "index.html").write_text("a page")
    (Path(kept.name) / "secret").write_text("beside it")
    return kept, root


def viewer_paths(data: bytes) -> None:
    """Paths and queries of viewers of broadcasts and of the page: no file beside the folder."""
    text = data.decode("utf-8", "replace")
    _, root = _folder()
    with contextlib.suppress(ValueError):
        part = Part(text)
        assert part.name == text
        assert "/" not in text
    first, _, rest = text.partition("/")
    assert Folders(root).find(first, rest) is None
    with contextlib.suppress(ValueError):
        wanted_of(dict(parse_qsl(text)))
    found = find_file(root, text)
    assert found is None or root in found.parents
