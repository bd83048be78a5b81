"""The documents, and what they are compared with."""

import re
import subprocess
from functools import cache
from pathlib import Path

ROOT = Path(__file__).parents[3]
HISTORY = "CHANGES.md"
"""What it names may be gone."""

_FENCE = re.compile(r"^ *(```|~~~).*?^ *\1", re.MULTILINE | re.DOTALL)
_WORD = re.compile(r"[A-Za-z_][A-Za-z0-9_]*")
_SOURCES = frozenset(
    {".conf", ".html", ".js", ".json", ".mjs", ".py", ".pyi", ".rs", ".sh", ".toml", ".ts", ".tsx"}
    | {".jsx", ".yml", "", ".caddy", ".env", ".nft", ".service", ".sysusers"}
)


def every_page() -> list[Path]:
    return sorted(
        [
            *(page for page in ROOT.glob("*.md") if page.name != HISTORY),
            *(ROOT / "docs").rglob("*.md"),
            *ROOT.glob("sdk/*/README.md"),
        ]
    )


def name_of(page: Path) -> str:
    return str(page.relative_to(ROOT))


def prose(page: Path) -> str:
    """The page without its blocks of code."""
    return _FENCE.sub("", page.read_text(encoding="utf-8"))


def words(text: str) -> list[str]:
    return _WORD.findall(text)


@cache
def tracked() -> frozenset[str]:
    """Paths of all files of the repository, and of their folders (with a slash at the end)."""
    listed = subprocess.run(
        ["git", "ls-files", "--cached", "--others", "--exclude-standard"],
        cwd=ROOT,
        capture_output=True,
        text=True,
        check=True,
    ).stdout.splitlines()
    files = {name for name in listed if (ROOT / name).is_file()}
    folders = {f"{parent}/" for name in files for parent in Path(name).parents if parent.name}
    return frozenset(files | folders)


@cache
def sources() -> dict[str, frozenset[str]]:
    """The words of each source file that is not a document."""
    return {
        name: frozenset(words((ROOT / name).read_text(encoding="utf-8", errors="ignore")))
        for name in tracked()
        if not name.endswith(("/", "package-lock.json", ".md"))
        and not name.startswith(("docs/", "tests/unit/documents/"))
        and Path(name).suffix in _SOURCES
    }


@cache
def words_of_the_code() -> frozenset[str]:
    return frozenset().union(*sources().values())
