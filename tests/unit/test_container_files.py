"""The Dockerfile copies what its steps read, and compiles the core before the Python files come.

That it builds and runs is shown by `make test-image`.
"""

import re
import shlex
import tomllib
from pathlib import Path

import pytest
import yaml

ROOT = Path(__file__).parents[2]
DOCKERFILE = (ROOT / "Dockerfile").read_text().replace("\\\n", " ")


def stages() -> dict[str, list[list[str]]]:
    """The instructions of each stage, as words."""
    found: dict[str, list[list[str]]] = {}
    for line in DOCKERFILE.splitlines():
        words = shlex.split(line, comments=True)
        if not words:
            continue
        if words[0] == "FROM":
            current = found.setdefault(words[3] if len(words) > 3 else "", [])
        current.append(words)
    return found


def lines_of(stage: str) -> list[str]:
    """What makes an image: a stage goes on where the one that it is made from ended."""
    own = stages()[stage]
    base = own[0][1]
    before = lines_of(base) if base in stages() else []
    return before + [" ".join(words) for words in own]


IMAGES = ("", "egress")


def copied(stage: str) -> list[str]:
    """What of the repository is in a stage."""
    return [
        path.rstrip("/")
        for instruction, *words in stages()[stage]
        if instruction == "COPY" and not words[0].startswith("--from")
        for path in words[:-1]
    ]


def covers(paths: list[str], wanted: str) -> bool:
    return any(wanted == path or wanted.startswith(f"{path}/") for path in paths)


@pytest.mark.parametrize("stage", list(stages()))
def test_everything_that_is_copied_is_in_the_repository_and_not_ignored(stage):
    patterns = (ROOT / ".dockerignore").read_text().split()
    for path in copied(stage):
        assert (ROOT / path).exists(), path
        parts = Path(path).parts
        above = {"/".join(parts[:count]) for count in range(1, len(parts) + 1)}
        assert not above & set(patterns), path


def test_the_web_stage_has_all_that_its_script_builds():
    script = (ROOT / "scripts" / "web").read_text()
    (packages,) = re.findall(r"for package in (.+); do", script)
    folders = [*packages.split(), *re.findall(r"cd (web/\S+) &&", script)]
    folders += re.findall(r"(?:cp|page.mjs) (?:-r )?(web/[a-z]+/)", script)
    assert len(folders) >= 5
    for folder in [*folders, "scripts/web"]:
        assert covers(copied("web"), folder), folder


def test_the_core_stage_has_all_that_the_build_backend_packs():
    tool = tomllib.loads((ROOT / "pyproject.toml").read_text())
    maturin, project = tool["tool"]["maturin"], tool["project"]
    wanted = [maturin["manifest-path"], *maturin["python-packages"], project["readme"], "LICENSE"]
    for path in [*wanted, "pyproject.toml"]:
        assert covers(copied("core"), path), path


def test_the_core_is_compiled_before_anything_is_copied_that_changes_with_python():
    lines = [" ".join(words) for words in stages()["core"]]
    compiled = next(number for number, line in enumerate(lines) if "maturin build" in line)
    assert covers([word for line in lines[:compiled] for word in line.split()], "native")
    for package in ("config", "member", "sfu", "signaling", "README.md"):
        copies = [number for number, line in enumerate(lines) if line.endswith(f" {package}")]
        for number in copies:
            assert number > compiled or not lines[number].startswith("COPY"), lines[number]


@pytest.mark.parametrize("image", IMAGES)
def test_the_dependencies_are_installed_before_the_package(image):
    lines = lines_of(image)
    installs = [number for number, line in enumerate(lines) if "pip install" in line]
    assert len(installs) == (4 if image == "egress" else 3)
    between = lines[installs[0] + 1 : installs[-1]]
    assert [line for line in between if line.startswith("COPY")] == [
        "COPY sdk/python sdk/python",
        "COPY --from=wheel / wheels/",
    ]
    assert "--no-deps" in lines[installs[-1]]


@pytest.mark.parametrize("image", IMAGES)
def test_the_user_is_a_number_and_owns_the_data_folder(image):
    lines = lines_of(image)
    (user,) = [line.split()[1] for line in lines if line.startswith("USER ")]
    number = user.split(":")[0]
    assert number.isdecimal()
    assert int(number) > 0
    (volume,) = [line.split()[1] for line in lines if line.startswith("VOLUME ")]
    assert re.search(rf"install -d -o {number} .*{re.escape(volume)}", " ".join(lines))


def test_the_base_images_of_the_test_are_those_of_the_dockerfile():
    made = re.findall(
        r"^\s*base (\S+:\S+) ", (ROOT / "scripts" / "image").read_text(), re.MULTILINE
    )
    named = {words[1] for stage in stages().values() for words in stage if words[0] == "FROM"}
    assert set(made) == named - {"scratch", *stages()}


@pytest.mark.parametrize("image", IMAGES)
def test_the_image_is_asked_for_its_health_and_stopped_as_the_server_expects(image):
    lines = lines_of(image)
    assert any(line.startswith("HEALTHCHECK") and "signaling.cli.health" in line for line in lines)
    assert "STOPSIGNAL SIGTERM" in lines


@pytest.mark.parametrize(
    "name",
    ["docker-compose.yml", "deploy/turn.yml", "deploy/caddy.yml", "deploy/monitoring.yml"],
)
def test_the_logs_of_every_container_are_bounded(name):
    services = yaml.safe_load((ROOT / name).read_text())["services"]
    # A service without an image only adds to that of another file.
    own = {key: one for key, one in services.items() if "image" in one or "build" in one}
    assert own
    for key, one in own.items():
        assert {"max-size", "max-file"} <= set(one["logging"]["options"]), key
