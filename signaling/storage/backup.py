"""Backup and restore of the embedded database.

A backup is one file of mode 0600: a ZIP archive of a consistent copy of the database and of the key
that wraps its secrets (if the key is a file), because neither is of use without the other.
"""

import os
import secrets
import sqlite3
import tempfile
import zipfile
from contextlib import closing
from pathlib import Path

from signaling.domain.errors import BadRequest, Conflict, ErrorCode, Unavailable
from signaling.storage.folder import DATABASE, KEY_FILE, made_for, require_data

_MAX_BYTES = 1 << 40
_INTACT = "ok"


def back_up(data_dir: Path, target: Path) -> None:
    """Copies the database while others write to it. The file appears when it is complete.

    Errors: `storage_unavailable` when there is no database, `OSError` for the file.
    """
    source = data_dir / DATABASE
    require_data(data_dir)
    with tempfile.TemporaryDirectory(dir=data_dir, prefix=".backup-") as folder:
        copy = Path(folder) / DATABASE
        try:
            with closing(sqlite3.connect(source)) as live, closing(sqlite3.connect(copy)) as to:
                live.backup(to)
        except sqlite3.Error as cause:
            raise Unavailable(ErrorCode.STORAGE_UNAVAILABLE, f"{source} cannot be read.") from cause
        fresh = target.with_name(f".{target.name}.{secrets.token_hex(4)}")
        descriptor = os.open(fresh, os.O_WRONLY | os.O_CREAT | os.O_EXCL, 0o600)
        try:
            with os.fdopen(descriptor, "wb") as file:
                with zipfile.ZipFile(file, "w", zipfile.ZIP_DEFLATED) as archive:
                    archive.write(copy, DATABASE)
                    if (data_dir / KEY_FILE).exists():
                        archive.write(data_dir / KEY_FILE, KEY_FILE)
                file.flush()
                os.fsync(file.fileno())
            fresh.replace(target)
        except BaseException:
            fresh.unlink(missing_ok=True)
            raise


def restore(backup: Path, data_dir: Path) -> None:
    """Replaces the database with the backup, completely or not at all; a missing folder is created.

    Errors: `invalid_parameter` when the file is not a backup or is damaged; `storage_unavailable`
    while a server uses the database; `OSError` for the files.
    """
    with (
        made_for(data_dir),
        tempfile.TemporaryDirectory(dir=data_dir, prefix=".restore-") as name,
    ):
        folder = Path(name)
        _unpack(backup, folder)
        _check(folder / DATABASE)
        _refuse_while_used(data_dir / DATABASE)
        for rest in (f"{DATABASE}-wal", f"{DATABASE}-shm"):
            (data_dir / rest).unlink(missing_ok=True)
        for file in (KEY_FILE, DATABASE):
            if (folder / file).exists():
                (folder / file).chmod(0o600)
                (folder / file).replace(data_dir / file)


def _unpack(backup: Path, folder: Path) -> None:
    try:
        with zipfile.ZipFile(backup) as archive:
            names = {info.filename: info.file_size for info in archive.infolist()}
            if DATABASE not in names or names.keys() - {DATABASE, KEY_FILE}:
                raise BadRequest(ErrorCode.INVALID_PARAMETER, f"{backup} is not a backup.")
            if sum(names.values()) > _MAX_BYTES:
                raise BadRequest(ErrorCode.INVALID_PARAMETER, f"{backup} is too large.")
            for each in names:
                archive.extract(each, folder)
    except zipfile.BadZipFile as cause:
        raise BadRequest(
            ErrorCode.INVALID_PARAMETER, f"{backup} is not a backup, or it is damaged."
        ) from cause


def _check(database: Path) -> None:
    try:
        with closing(sqlite3.connect(database)) as opened:
            (verdict,) = opened.execute("PRAGMA integrity_check").fetchone()
    except sqlite3.Error as cause:
        raise BadRequest(
            ErrorCode.INVALID_PARAMETER, "The database in the backup is damaged."
        ) from cause
    if verdict != _INTACT:
        raise BadRequest(ErrorCode.INVALID_PARAMETER, "The database in the backup is damaged.")


def _refuse_while_used(database: Path) -> None:
    """In WAL mode each user of the database holds a shared lock, so the exclusive lock is available
    only if there are none."""
    if not database.exists():
        return
    try:
        with closing(sqlite3.connect(database, timeout=0)) as opened:
            opened.execute("PRAGMA locking_mode=EXCLUSIVE")
            opened.execute("BEGIN EXCLUSIVE")
            opened.rollback()
    except sqlite3.OperationalError as cause:
        raise Conflict(
            ErrorCode.STORAGE_UNAVAILABLE, "A server uses the database; stop it first."
        ) from cause
    except sqlite3.DatabaseError:
        return  # the file is not a database: nothing can be lost
