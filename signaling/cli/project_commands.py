"""`sealroute project …`: projects with their secrets, keys, policies and quotas."""

import argparse

from sfu.egress.buckets import Bucket, BucketKind
from signaling import administration
from signaling.cli.shell import Adder, Shell, UsageError, read_pem, read_secret
from signaling.domain import project_changes
from signaling.domain.buckets import checked_bucket, described_bucket
from signaling.domain.errors import BadRequest, ErrorCode
from signaling.domain.project_changes import ProjectChange, changed
from signaling.domain.projects import Project
from signaling.storage.base import ProjectEdit, Store

_HOUR_MS = 3_600_000
_KILO = 1_000


class ProjectCommands:
    """Each method is one command and returns its exit code."""

    def __init__(self, shell: Shell) -> None:
        self._shell = shell

    def create(self, arguments: argparse.Namespace) -> int:
        settings = self._shell.settings_of(arguments)
        by_default: bool = arguments.e2ee_by_default
        enabled = arguments.e2ee or by_default or settings.e2ee.enabled_for_new_projects
        pem = read_pem(arguments.public_key)

        def draft() -> Project:
            project = administration.drafted_project(
                self._shell.clock,
                name=arguments.name or "",
                e2ee_enabled=enabled,
                public_key_pem=pem,
            )
            return changed(project, ProjectChange(e2ee_by_default=by_default or None))

        draft()  # what is wrong with it is said before a folder is created

        async def work(store: Store) -> Project:
            return await administration.add_project(store, draft)

        return self._show_credentials(arguments, self._run(arguments, work))

    def list(self, arguments: argparse.Namespace) -> int:
        found = self._shell.with_store(arguments, lambda store: store.projects())
        projects: tuple[Project, ...] = found  # type: ignore[assignment]
        now_ms = self._shell.now_ms()
        documents = [administration.described(one, now_ms) for one in projects]
        self._shell.show(arguments, documents, "\n".join(map(_line, projects)))
        return 0

    def update(self, arguments: argparse.Namespace) -> int:
        kbps = arguments.max_publish_kbps
        change = ProjectChange(
            name=arguments.name,
            e2ee_enabled=arguments.e2ee,
            e2ee_by_default=arguments.e2ee_by_default,
            allowed_origins=None if arguments.origins is None else arguments.origins.split(),
            max_sessions=arguments.max_sessions,
            max_connections=arguments.max_connections,
            max_publish_bps=None if kbps is None else kbps * _KILO,
        )
        pem = read_pem(arguments.public_key)
        if pem is None and change == ProjectChange():
            raise UsageError(
                "nothing to change: `sealroute project update --help` names what can be"
            )

        def apply(project: Project) -> Project:
            project = changed(project, change)
            return project if pem is None else project_changes.with_key(project, pem)

        return self._change(arguments, apply)

    def rotate(self, arguments: argparse.Namespace) -> int:
        async def work(store: Store) -> Project:
            return await administration.rotate_secret(
                store, self._shell.clock, arguments.api_key, arguments.grace_hours * _HOUR_MS
            )

        return self._show_credentials(arguments, self._run(arguments, work))

    def retire_key(self, arguments: argparse.Namespace) -> int:
        return self._change(
            arguments, lambda one: project_changes.without_key(one, arguments.key_id)
        )

    def storage(self, arguments: argparse.Namespace) -> int:
        """Sets where finished archives go, or shows it."""
        wanted = _bucket(arguments)

        async def work(store: Store) -> dict[str, object]:
            project = await administration.existing_project(store, arguments.api_key)
            if wanted is not None or arguments.local:
                await store.buckets.set_bucket(project.api_key, wanted)
            return described_bucket(await store.buckets.bucket(project.api_key))

        found: dict[str, object] = self._shell.with_store(arguments, work)  # type: ignore[assignment]
        lines = (f"{name} {value}" for name, value in found.items() if value is not None)
        self._shell.show(arguments, found, "\n".join(lines))
        return 0

    def remove(self, arguments: argparse.Namespace) -> int:
        async def work(store: Store) -> Project:
            if arguments.yes:
                return await administration.remove_project(store, arguments.api_key)
            found = await administration.existing_project(store, arguments.api_key)
            raise BadRequest(
                ErrorCode.INVALID_PARAMETER,
                f"This removes the project '{found.name}' ({found.api_key}) with all its sessions "
                "and callbacks. It cannot be undone. If you mean it, add --yes.",
            )

        project = self._run(arguments, work)
        document = administration.described(project, self._shell.now_ms())
        self._shell.show(arguments, document, _line(project))
        return 0

    def _change(self, arguments: argparse.Namespace, change: ProjectEdit) -> int:
        async def work(store: Store) -> Project:
            return await administration.change_project(store, arguments.api_key, change)

        project = self._run(arguments, work)
        document = administration.described(project, self._shell.now_ms())
        self._shell.show(arguments, document, _line(project))
        return 0

    def _run(self, arguments: argparse.Namespace, work: "administration.Work") -> Project:
        project: Project = self._shell.with_store(arguments, work)  # type: ignore[assignment]
        return project

    def _show_credentials(self, arguments: argparse.Namespace, project: Project) -> int:
        document = administration.credentials(project)
        lines = "\n".join(f"{name} {value}" for name, value in document.items())
        self._shell.show(arguments, document, lines)
        return 0


def _bucket(arguments: argparse.Namespace) -> Bucket | None:
    """None unless one is named. Errors: `UsageError`, `ConfigurationError`, `invalid_parameter`."""
    kinds = {"s3": arguments.s3, "azure": arguments.azure}
    named = [(kind, name) for kind, name in kinds.items() if name is not None]
    if len(named) + arguments.local > 1:
        raise UsageError("--s3, --azure and --local exclude each other")
    if not named:
        return None
    if arguments.identity is None or arguments.secret_file is None:
        raise UsageError("a bucket needs --identity and --secret-file")
    kind, name = named[0]
    secret = read_secret(arguments.secret_file)
    vendor: BucketKind = "s3" if kind == "s3" else "azure"
    region = arguments.region or "us-east-1"
    bucket = Bucket(vendor, name, arguments.identity, secret, region, arguments.endpoint)
    return checked_bucket(bucket)


def _line(project: Project) -> str:
    e2ee = "e2ee" if project.e2ee_enabled else "-"
    return f"{project.api_key:>10}  {project.application_id}  {e2ee:4}  {project.name}"


def add_commands(add: Adder, shell: Shell) -> None:
    commands = ProjectCommands(shell)
    create = add("create", commands.create, "create a project and print its credentials")
    create.add_argument("--name", help="a display name; one line")
    create.add_argument("--e2ee", action="store_true", help="enable the encryption add-on")
    create.add_argument(
        "--e2ee-by-default",
        action="store_true",
        help="--e2ee, and sessions are end-to-end encrypted unless the request says otherwise",
    )
    create.add_argument("--public-key", help="PEM file of the application's RSA public key")
    add("list", commands.list, "list projects, without secrets")
    update = add("update", commands.update, "change a project")
    rotate = add("rotate", commands.rotate, "give a project a new API secret and print it")
    retire = add("retire-key", commands.retire_key, "remove a public key")
    storage = add("storage", commands.storage, "show or set where finished archives go")
    _add_storage(storage)
    remove = add("remove", commands.remove, "remove a project with its sessions and callbacks")
    remove.add_argument("--yes", action="store_true", help="without it, nothing is removed")
    for parser in (update, rotate, retire, storage, remove):
        parser.add_argument("--api-key", required=True, help="or the application id")
    _add_properties(update)
    rotate.add_argument(
        "--grace-hours", type=int, default=24, help="how long the old one stays valid (default 24)"
    )
    retire.add_argument("--key-id", required=True, help="as `list --json` shows it")


def _add_storage(storage: argparse.ArgumentParser) -> None:
    storage.add_argument("--s3", metavar="BUCKET", help="a bucket of S3, or of what speaks like it")
    storage.add_argument("--azure", metavar="CONTAINER", help="a container of Azure Blob Storage")
    storage.add_argument("--local", action="store_true", help="they stay on the node (the default)")
    storage.add_argument("--identity", help="the id of the access key, or the account of Azure")
    storage.add_argument("--secret-file", help="a file with the access key's secret; - for stdin")
    storage.add_argument("--region", help="of S3 (default us-east-1)")
    storage.add_argument("--endpoint", help="a URL, unless it is the one of AWS or Azure")


def _add_properties(update: argparse.ArgumentParser) -> None:
    switch = argparse.BooleanOptionalAction
    update.add_argument("--name", help="a display name; one line")
    update.add_argument("--e2ee", action=switch, help="the encryption add-on")
    update.add_argument(
        "--e2ee-by-default",
        action=switch,
        help="create sessions as end-to-end encrypted unless the request says otherwise",
    )
    update.add_argument("--public-key", help="PEM file of one more RSA public key")
    update.add_argument("--origins", help="pages that may join, space-separated; '' for all")
    for name, what in (
        ("--max-sessions", "concurrent sessions with clients in them"),
        ("--max-connections", "clients in one session"),
        ("--max-publish-kbps", "kbit/s of each published video"),
    ):
        update.add_argument(name, type=int, help=f"{what}; 0 for no limit")
