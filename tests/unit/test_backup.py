"""Backup and restore of the embedded database, by command line, while others use it."""

import asyncio
import json
import stat
import zipfile

import pytest

from signaling.cli.command_line import main
from signaling.domain.projects import new_project
from signaling.storage.folder import DATABASE
from signaling.storage.sqlite import open_sqlite


def project(seed: int):
    return new_project(random_bytes=bytes([seed]) * 44, now_ms=seed)


@pytest.fixture
def shell(capsys, tmp_path):
    def run(*words, data="data"):
        code = main(["storage", *map(str, words), "--json", "--data-dir", str(tmp_path / data)])
        streams = capsys.readouterr()
        return code, json.loads(streams.out or streams.err)

    return run


async def filled(folder, *seeds):
    store = await open_sqlite(folder)
    for seed in seeds:
        await store.add_project(project(seed))
    return store


async def projects_in(folder):
    store = await open_sqlite(folder)
    found = await store.projects()
    await store.close()
    return found


def test_a_backup_taken_while_serving_restores_elsewhere_with_its_secrets(shell, tmp_path):
    async def serving():
        store = await filled(tmp_path / "data", 1, 2)
        code, _ = await asyncio.to_thread(shell, "backup", tmp_path / "copy")
        await store.add_project(project(3))
        await store.close()
        return code

    assert asyncio.run(serving()) == 0
    assert stat.S_IMODE((tmp_path / "copy").stat().st_mode) == 0o600
    assert shell("restore", tmp_path / "copy", data="elsewhere")[0] == 0
    assert asyncio.run(projects_in(tmp_path / "elsewhere")) == (project(1), project(2))


def test_a_restore_takes_back_what_came_after_the_backup(shell, tmp_path):
    async def change(*seeds):
        await (await filled(tmp_path / "data", *seeds)).close()

    asyncio.run(change(1))
    shell("backup", tmp_path / "copy")
    asyncio.run(change(2))
    assert shell("restore", tmp_path / "copy")[0] == 0
    assert asyncio.run(projects_in(tmp_path / "data")) == (project(1),)


def test_a_database_in_use_is_not_replaced(shell, tmp_path):
    async def serving():
        store = await filled(tmp_path / "data", 1)
        await asyncio.to_thread(shell, "backup", tmp_path / "copy")
        await store.add_project(project(2))
        refused = await asyncio.to_thread(shell, "restore", tmp_path / "copy")
        found = await store.projects()
        await store.close()
        return refused, found

    (code, complaint), found = asyncio.run(serving())
    assert code == 1
    assert "stop it first" in complaint["message"]
    assert found == (project(1), project(2))


@pytest.mark.parametrize("kind", ["text", "foreign", "damaged"])
def test_what_is_no_backup_replaces_nothing(shell, tmp_path, kind):
    asyncio.run(_close(filled(tmp_path / "data", 1)))
    file = tmp_path / "file"
    if kind == "text":
        file.write_text("no archive")
    else:
        name = "other" if kind == "foreign" else DATABASE
        with zipfile.ZipFile(file, "w") as archive:
            archive.writestr(name, b"not a database" * 100)
    code, complaint = shell("restore", file)
    assert (code, complaint["error"]) == (1, "invalid_parameter")
    assert asyncio.run(projects_in(tmp_path / "data")) == (project(1),)


@pytest.mark.parametrize("kind", ["missing", "text", "damaged"])
def test_a_restore_that_fails_creates_no_folder(shell, tmp_path, kind):
    file = tmp_path / "file"
    if kind == "text":
        file.write_text("no archive")
    elif kind == "damaged":
        with zipfile.ZipFile(file, "w") as archive:
            archive.writestr(DATABASE, b"not a database" * 100)
    code, complaint = shell("restore", file, data="new/data")
    assert (code, complaint["error"]) == (1, "os" if kind == "missing" else "invalid_parameter")
    assert kind != "missing" or str(file) in complaint["message"]
    assert not (tmp_path / "new").exists()


def test_a_restore_creates_the_folder_for_its_owner_only(shell, tmp_path):
    asyncio.run(_close(filled(tmp_path / "data", 1)))
    assert shell("backup", tmp_path / "copy")[0] == 0
    assert shell("restore", tmp_path / "copy", data="new/data")[0] == 0
    assert stat.S_IMODE((tmp_path / "new" / "data").stat().st_mode) == 0o700
    assert asyncio.run(projects_in(tmp_path / "new" / "data")) == (project(1),)


async def _close(opening):
    await (await opening).close()


def test_without_a_database_there_is_nothing_to_back_up(shell, tmp_path):
    (tmp_path / "data").mkdir()
    code, complaint = shell("backup", tmp_path / "copy")
    assert (code, complaint["error"]) == (1, "storage_unavailable")
    assert not (tmp_path / "copy").exists()


def test_an_operators_token_is_printed_once_and_kept_as_a_hash(shell, tmp_path, capsys):
    words = ["--json", "--data-dir", str(tmp_path / "data")]
    assert main(["operator", "add", "ada", *words]) == 0
    token = json.loads(capsys.readouterr().out)["token"]
    assert main(["operator", "list", *words]) == 0
    listed = capsys.readouterr().out
    assert "ada" in listed
    assert token not in listed
    assert token.encode() not in (tmp_path / "data" / DATABASE).read_bytes()
    assert main(["operator", "remove", "ada", *words]) == 0
    assert main(["operator", "remove", "ada", *words]) == 1
