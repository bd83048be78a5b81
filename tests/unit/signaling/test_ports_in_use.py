"""A start where other processes have the ports."""

import contextlib
import socket
from dataclasses import replace

import pytest

from config.settings import (
    HttpSettings,
    MediaSettings,
    OperationsSettings,
    Settings,
    StorageSettings,
)
from signaling.server import running_server, start_words
from tests.fakes.media_plane import FakeMediaPlane


def fake_plane(_settings):
    return FakeMediaPlane(), 10_000


@pytest.fixture
def settings(tmp_path):
    return Settings(
        http=HttpSettings(host="127.0.0.1", port=0),
        media=MediaSettings(host="127.0.0.1", port=0),
        storage=StorageSettings(data_dir=str(tmp_path)),
    )


@contextlib.contextmanager
def taken_port():
    with socket.create_server(("127.0.0.1", 0)) as taken:
        yield taken.getsockname()[1]


async def test_an_http_port_in_use_is_named_with_the_option_that_helps(settings):
    with taken_port() as port:
        wanted = replace(settings, http=replace(settings.http, port=port))
        with pytest.raises(OSError, match="Address already in use") as refused:
            async with running_server(wanted, open_plane=fake_plane):
                pass
    text = refused.value.strerror
    assert f"HTTP port 127.0.0.1:{port} cannot be used" in text
    assert "another with --port" in text
    assert "while attempting" not in text


async def test_an_operations_port_in_use_is_in_the_words_of_the_start(settings):
    with taken_port() as port:
        operations = OperationsSettings(host="127.0.0.1", port=port)
        wanted = replace(settings, operations=operations)
        async with running_server(wanted, open_plane=fake_plane) as server:
            text = start_words(server, operations)[-1]
    assert "No metrics and no admin API" in text
    assert f"127.0.0.1:{port}" in text


async def test_an_operations_port_that_is_free_is_not_spoken_of(settings):
    async with running_server(settings, open_plane=fake_plane) as server:
        words = start_words(server, settings.operations)
        assert server.operations_port is not None
    assert not any("metrics" in one for one in words)


async def test_the_first_start_says_where_the_package_comes_from(settings):
    wanted = replace(settings, storage=replace(settings.storage, development_project=True))
    async with running_server(wanted, open_plane=fake_plane) as server:
        assert "pip install opentok" in server.welcome
