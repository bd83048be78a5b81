"""Where a secret comes from, and that nothing else is taken for one."""

import stat
from pathlib import Path

import pytest

from member import secret_source
from member.secret_source import NoSecretError, OneSecret, SecretCommand, SecretFile


def script(folder: Path, text: str) -> str:
    path = folder / "key-service"
    path.write_text(f"#!/bin/sh\n{text}\n")
    path.chmod(path.stat().st_mode | stat.S_IXUSR)
    return str(path)


async def test_a_file_is_read_for_each_archive(tmp_path) -> None:
    path = tmp_path / "secret"
    source = SecretFile(path)
    for secret in ("the first one", "the second one"):
        path.write_text(f"{secret}\n")
        assert await source.secret_of("2_a") == secret


@pytest.mark.parametrize("content", [b"", b"\n", b"a\nb\n", b"\xff\xfe", b"x" * 5_000])
async def test_what_is_no_line_of_text_is_no_secret(tmp_path, content) -> None:
    path = tmp_path / "secret"
    path.write_bytes(content)
    with pytest.raises(NoSecretError):
        await SecretFile(path).secret_of("2_a")


async def test_a_file_that_is_not_there_is_no_secret(tmp_path) -> None:
    with pytest.raises(NoSecretError, match="cannot be read"):
        await SecretFile(tmp_path / "none").secret_of("2_a")


async def test_a_command_gets_the_session_and_no_secret_of_ours(tmp_path, monkeypatch) -> None:
    monkeypatch.setenv("SEALROUTE_API_SECRET", "of the project")
    command = script(tmp_path, 'echo "of $1$SEALROUTE_API_SECRET with $#"')
    assert await SecretCommand.of(command).secret_of("2_a; x") == "of 2_a; x with 1"


async def test_a_command_can_refuse_a_session(tmp_path) -> None:
    with pytest.raises(NoSecretError, match="has no secret"):
        await SecretCommand.of(script(tmp_path, "echo shown; exit 3")).secret_of("2_a")
    with pytest.raises(NoSecretError, match="cannot be run"):
        await SecretCommand.of(str(tmp_path / "none")).secret_of("2_a")


async def test_a_command_that_hangs_is_ended(tmp_path, monkeypatch) -> None:
    monkeypatch.setattr(secret_source, "COMMAND_S", 0.1)
    with pytest.raises(NoSecretError, match="too long"):
        await SecretCommand.of(script(tmp_path, "exec sleep 60")).secret_of("2_a")


def test_a_secret_is_not_shown() -> None:
    assert "hidden" not in repr(OneSecret("hidden"))
