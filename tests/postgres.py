"""A PostgreSQL server of the tests' own: a cluster in a folder, on a socket, gone afterwards."""

import os
import pwd
import shutil
import subprocess
import tempfile
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from uuid import uuid4

import sqlalchemy as sa

USER = "sealroute"


def programs() -> Path:
    found = sorted(Path("/usr/lib/postgresql").glob("*/bin"))
    if found:
        return found[-1]
    on_path = shutil.which("initdb")
    if on_path is None:
        raise RuntimeError("PostgreSQL is missing: apt-get install postgresql")
    return Path(on_path).parent


def _as_postgres() -> dict[str, object]:
    """The server refuses to run as root."""
    if os.geteuid() != 0:
        return {}
    account = pwd.getpwnam("postgres")
    return {"user": account.pw_uid, "group": account.pw_gid, "extra_groups": []}


@contextmanager
def running() -> Iterator[Path]:
    """The folder of the server's socket."""
    where, account = programs(), _as_postgres()
    with tempfile.TemporaryDirectory(prefix="sealroute-postgres-") as name:
        folder = Path(name)
        if account:
            shutil.chown(folder, "postgres", "postgres")
        cluster = str(folder / "cluster")
        subprocess.run(
            [where / "initdb", "-D", cluster, "-U", USER, "--auth=trust", "--encoding=UTF8"],
            check=True, stdout=subprocess.DEVNULL, cwd=folder, **account,
        )  # fmt: skip
        options = f"-k {folder} -c listen_addresses='' -c fsync=off -c max_connections=200"
        control = [where / "pg_ctl", "-D", cluster, "-w", "-s", "-t", "60"]
        log = str(folder / "log")
        subprocess.run(
            [*control, "-o", options, "-l", log, "start"], check=True, cwd=folder, **account
        )
        try:
            yield folder
        finally:
            subprocess.run([*control, "-m", "immediate", "stop"], check=True, cwd=folder, **account)


def fresh_database(socket_folder: Path, *, like: str | None = None) -> str:
    """The address of a database that is empty, or a copy of another one that nobody uses."""
    name = f"test_{uuid4().hex}"
    template = "" if like is None else f' TEMPLATE "{like}"'
    at = f"{USER}@/{{}}?host={socket_folder}"
    server = sa.create_engine(
        f"postgresql+psycopg://{at.format('postgres')}", isolation_level="AUTOCOMMIT"
    )
    with server.connect() as connection:
        connection.execute(sa.text(f'CREATE DATABASE "{name}"{template}'))
    server.dispose()
    return f"postgresql://{at.format(name)}"


def name_of(address: str) -> str:
    """The database of an address that `fresh_database` gave."""
    return str(sa.make_url(address.partition("?")[0]).database)
