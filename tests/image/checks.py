"""The container image, run as an operator runs it (`make test-image`; needs root).

Not found by name: `make test-python` leaves these checks to the target that builds the image.
"""

import asyncio
import json
import os
import re
import stat
import sys
from pathlib import Path

import aiohttp
import pytest

from bench.ports import free_port
from tests.image.engine import DATA, Container, Image, Options, built_image, running

SECRET = "a secret of the two clients"
FS_GROUP = 2_000
OTHER_USER = (20_000, 20_000)


@pytest.fixture(scope="module")
def image():
    with built_image() as found:
        yield found


@pytest.fixture
def volume(image, tmp_path):
    return image.new_volume(tmp_path / "volume")


class Site:
    """Ports of one server, and how to start it on a volume."""

    def __init__(self, image: Image, volume: Path, folder: Path) -> None:
        self.image, self.volume, self.folder = image, volume, folder
        self.port, self.media = free_port(), free_port()
        self.operations = free_port()
        self.url = f"http://127.0.0.1:{self.port}"

    def environment(self, **more: str) -> dict[str, str]:
        return {
            "SEALROUTE_PORT": str(self.port),
            "SEALROUTE_MEDIA_PORT": str(self.media),
            "SEALROUTE_OPERATIONS_PORT": str(self.operations),
            **more,
        }

    def start(self, name="container", *, user=None, groups=(), command=None, **more):
        options = Options(self.environment(**more), command, user, groups)
        return running(self.image, self.volume, self.place(name), options)

    def place(self, name: str) -> Path:
        (self.folder / name).mkdir(exist_ok=True)
        return self.folder / name


@pytest.fixture
def site(image, volume, tmp_path):
    return Site(image, volume, tmp_path)


async def listening(container: Container) -> None:
    await container.until_said('"event": "listening"')


async def asked(container: Container, *words: str) -> dict:
    code, output = await container.execute("sealroute", *words, "--json")
    assert code == 0, output
    return json.loads(output)


def test_the_image_says_how_it_is_to_be_run(image):
    config = image.config
    assert re.fullmatch(r"[1-9]\d*(:[1-9]\d*)?", config["User"]), "an orchestrator reads numbers"
    assert config["StopSignal"] == "SIGTERM"
    assert config["Healthcheck"]["Test"][0] == "CMD"
    assert list(config["Volumes"]) == [DATA]
    folder = (image.rootfs / DATA.lstrip("/")).stat()
    assert (folder.st_uid, stat.S_IMODE(folder.st_mode)) == (10_001, 0o700)


def test_the_image_has_what_it_needs_and_no_more(image):
    page = list(image.rootfs.glob("usr/local/lib/python3*/site-packages/signaling/web/index.html"))
    assert len(page) == 1
    for absent in ("node", "cargo", "cc", "git"):
        assert not list(image.rootfs.glob(f"usr/*bin/{absent}")), absent


async def test_the_first_start_on_an_empty_volume_of_root_serves_and_ends_with_0(site):
    async with site.start() as container:
        await listening(container)
        assert (await container.health())[0] == 0
        async with aiohttp.ClientSession() as http:
            for path in ("/", "/readyz", "/sdk/sealroute.js"):
                async with http.get(site.url + path) as answer:
                    assert answer.status == 200, path
        files = {file.name: stat.S_IMODE(file.stat().st_mode) for file in site.volume.iterdir()}
        assert await container.stop() == 0
        assert "going down" in container.log
    assert "sealroute.sqlite3" in files
    assert not set(files.values()) & {0o644, 0o666}


async def test_it_makes_no_project_by_itself_and_says_how_to_make_one(site):
    async with site.start() as container:
        await listening(container)
        assert await asked(container, "project", "list") == []
        assert "sealroute project create" in container.log


async def test_the_process_has_no_capability_and_writes_to_its_volume_only(site):
    async with site.start() as container:
        await listening(container)
        _, status = await container.execute("/bin/cat", "/proc/1/status")
        for kind in ("CapPrm", "CapEff", "CapBnd", "CapAmb"):
            assert re.search(rf"{kind}:\s+0+\n", status), kind
        assert re.search(r"NoNewPrivs:\s+1\n", status)
        code, _ = await container.execute("/usr/bin/touch", "/var/lib/sealroute/file")
        assert code != 0


async def test_the_doctor_makes_an_encrypted_call_inside(site):
    async with site.start() as container:
        await listening(container)
        code, output = await container.execute(
            "sealroute", "doctor", "--call", "--seconds", "6", "--json"
        )
        assert code == 0, output
        assert await asked(container, "project", "list") == []


async def test_a_restart_keeps_projects_also_after_a_kill(site):
    made = []
    for number in range(3):
        async with site.start() as container:
            await listening(container)
            made.append((await asked(container, "project", "create", "--e2ee"))["apiKey"])
            assert {one["apiKey"] for one in await asked(container, "project", "list")} == set(made)
            if number == 1:
                assert await container.stop() == 0


@pytest.mark.parametrize("tls", [False, True])
async def test_the_health_check_follows_port_address_and_tls(site, tls):
    more = {"SEALROUTE_HOST": "127.0.0.2"}
    if tls:
        pair = [site.volume / name for name in ("certificate.pem", "key.pem")]
        await _self_signed(*pair)
        names = ("SEALROUTE_HTTP_TLS_CERTIFICATE", "SEALROUTE_HTTP_TLS_KEY")
        more |= {name: f"{DATA}/{file.name}" for name, file in zip(names, pair, strict=True)}
    async with site.start(**more) as container:
        await listening(container)
        code, said = await container.health()
        assert (code, f"127.0.0.2:{site.port}" in said) == (0, True), said


async def test_the_health_check_fails_where_nobody_answers(site):
    async with site.start(command=("doctor",), name="doctor") as container:
        await container.ended()
    holder = ("sh", "-c", "sleep 60")
    options = Options(site.environment(), holder)
    held = Image(site.image.rootfs, {**site.image.config, "Entrypoint": []})
    async with running(held, site.volume, site.place("idle"), options) as container:
        await asyncio.sleep(0.5)
        assert (await container.health())[0] == 1


async def _self_signed(certificate: Path, key: Path) -> None:
    made = await asyncio.create_subprocess_exec(
        *("openssl", "req", "-x509", "-newkey", "ec", "-pkeyopt", "ec_paramgen_curve:P-256"),
        *("-nodes", "-subj", "/CN=calls.example", "-days", "1"),
        *("-keyout", str(key), "-out", str(certificate)),
        stderr=asyncio.subprocess.DEVNULL,
    )
    assert await made.wait() == 0
    for file in (certificate, key):
        os.chown(file, 10_001, 10_001)


async def test_another_user_serves_on_existing_data_by_its_group(site):
    """Kubernetes: runAsUser differs from what wrote the data, fsGroup makes them one group's."""
    async with site.start() as container:
        await listening(container)
        project = await asked(container, "project", "create")
        assert await container.stop() == 0
    _give_to_group(site.volume)
    async with site.start(user=OTHER_USER, groups=(FS_GROUP,)) as container:
        await listening(container)
        assert (await container.health())[0] == 0
        listed = await asked(container, "project", "list")
        assert [one["apiKey"] for one in listed] == [project["apiKey"]]
        assert await container.stop() == 0


def _give_to_group(volume: Path) -> None:
    """As the kubelet does it for an fsGroup."""
    for path in (volume, *volume.rglob("*")):
        os.chown(path, -1, FS_GROUP)
        mode = stat.S_IMODE(path.stat().st_mode)
        path.chmod(mode | (0o2770 if path.is_dir() else 0o660))


async def test_another_user_without_access_learns_what_to_do_by_start_and_doctor(site):
    os.chown(site.volume, 0, 0)
    site.volume.chmod(0o755)
    async with site.start() as container:
        assert await container.ended() == 1
        assert f"chown -R 10001 {DATA}" in container.log
    async with site.start(command=("doctor",)) as container:
        assert await container.ended() == 1
        assert "chown" in container.log
        assert "backup" not in container.log


async def test_a_kubernetes_service_of_its_name_does_not_stop_it(site):
    service = {
        "SEALROUTE_SERVICE_HOST": "10.96.0.7",
        "SEALROUTE_SERVICE_PORT": "8080",
        "SEALROUTE_PORT_8080_TCP": "tcp://10.96.0.7:8080",
        "SEALROUTE_PORT_8080_TCP_PROTO": "tcp",
        "SEALROUTE_HTTP_PORT": str(site.port),
        "SEALROUTE_PORT": "tcp://10.96.0.7:8080",
    }
    async with site.start(**service) as container:
        await listening(container)
        assert (await container.health())[0] == 0


async def test_a_second_server_on_the_volume_refuses_and_the_first_goes_on(site, tmp_path):
    second = Site(site.image, site.volume, tmp_path)
    async with site.start() as container:
        await listening(container)
        async with second.start("second") as late:
            assert await late.ended() == 1
            assert "already serves" in late.log
        assert (await container.health())[0] == 0


async def test_an_encrypted_call_goes_through_it_and_no_secret_is_in_its_log(site, tmp_path):
    async with site.start(SEALROUTE_LOG_LEVEL="debug") as container:
        await listening(container)
        project = await asked(container, "project", "create", "--e2ee")
        key = ("--api-key", project["apiKey"])
        session = (await asked(container, "session", "create", *key, "--e2ee"))["sessionId"]
        tokens = [
            (await asked(container, "token", "--session", session))["token"] for _ in range(2)
        ]
        words = ("--url", site.url, *key, "--session", session)
        recording = ("--out", str(tmp_path / "out"), "--duration", "16")
        record = await _client("record", *words, "--token", tokens[0], *recording)
        playing = ("--test-pattern", "--duration", "8")
        publish = await _client("publish", *words, "--token", tokens[1], *playing)
        refused, reported = await asyncio.gather(_all_of(publish), _all_of(record))
        assert (publish.returncode, record.returncode) == (0, 0), (refused, reported)
        assert await container.stop() == 0
        recorded = [file.stat().st_size for file in (tmp_path / "out").iterdir()]
        assert max(recorded, default=0) > 50_000, reported
        for secret in (SECRET, project["apiSecret"], *tokens):
            assert secret not in container.log


async def _client(verb: str, *words: str) -> asyncio.subprocess.Process:
    return await asyncio.create_subprocess_exec(
        *(str(Path(sys.executable).parent / "sealroute-client"), verb, *words),
        env={**os.environ, "SEALROUTE_SECRET": SECRET},
        stdin=asyncio.subprocess.PIPE,
        stdout=asyncio.subprocess.PIPE,
        stderr=asyncio.subprocess.STDOUT,
    )


async def _all_of(client: asyncio.subprocess.Process) -> str:
    """What it said to its end."""
    assert client.stdout is not None
    async with asyncio.timeout(45):
        said = await client.stdout.read()
        await client.wait()
    return said.decode()
