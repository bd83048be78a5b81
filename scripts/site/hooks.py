"""What MkDocs is told beyond docs/: pages from elsewhere in the repository, and the references.

`scripts/site/build` calls MkDocs; the reference of the browser SDK lies in `.cache/site/web` then.
"""

import posixpath
import re
from pathlib import Path
from typing import Any

from mkdocs.config.defaults import MkDocsConfig
from mkdocs.structure.files import File, Files
from mkdocs.structure.pages import Page

ROOT = Path(__file__).resolve().parents[2]
WEB = ROOT / ".cache/site/web"

# A file of the repository → its page and title on the site.
PROJECT = {
    "bench/RESULTS.md": ("project/benchmark-results.md", "Benchmark results"),
    "bench/NETWORK.md": ("project/bad-networks.md", "Calls on bad networks"),
    "bench/SWITCHES.md": ("project/layer-switches.md", "Layer switches"),
    "bench/ATTACKS.md": ("project/attacks.md", "A call under attack"),
    "bench/compare.svg": ("project/compare.svg", ""),
    "sdk/react/README.md": ("project/react.md", "React components"),
    "CONTRIBUTING.md": ("project/contributing.md", "Contributing"),
    "SECURITY.md": ("project/security.md", "Security"),
    "CHANGES.md": ("project/changes.md", "Changes"),
}
# A page of the Python SDK's reference → what it describes.
PYTHON = {
    "session": ("Session", ["sealroute_client.Session"]),
    "publisher": ("Publisher", ["sealroute_client.Publisher"]),
    "subscriber": ("Subscriber", ["sealroute_client.Subscriber"]),
    "events": ("Events", ["sealroute_client.events"]),
    "errors": ("Errors", ["sealroute_client.errors"]),
    "functions": (
        "Functions",
        ["sealroute_client.generate_encryption_secret", "sealroute_client.read_counter"],
    ),
}
_LINK = re.compile(r"(\]\()([^)#\s:]+)((?:#[^)\s]*)?\))")


def on_config(config: MkDocsConfig) -> MkDocsConfig:
    """The generated pages stand in the navigation behind those that are written."""
    nav: list[Any] = config.nav or []
    python = [{title: f"reference/python/{page}.md"} for page, (title, _) in PYTHON.items()]
    web: list[Any] = [{"Overview": "reference/web/index.md"}]
    for kind in ("classes", "interfaces", "functions", "variables", "modules"):
        pages = sorted((WEB / kind).glob("*.md"))
        web.append({kind.capitalize(): [{p.stem: f"reference/web/{kind}/{p.name}"} for p in pages]})
    project = [{title: page} for page, title in PROJECT.values() if title]
    config.nav = [
        *nav,
        {"Reference": [{"Python SDK": python}, {"Browser SDK": web}]},
        {"Project": project},
    ]
    return config


def on_files(files: Files, config: MkDocsConfig) -> Files:
    """Adds what the navigation above names."""
    for source, (page, _) in PROJECT.items():
        files.append(File.generated(config, page, abs_src_path=str(ROOT / source)))
    for page, (title, names) in PYTHON.items():
        text = f"# {title}\n\n" + "".join(f"::: {name}\n\n" for name in names)
        files.append(File.generated(config, f"reference/python/{page}.md", content=text))
    for path in sorted(WEB.rglob("*.md")):
        page = f"reference/web/{path.relative_to(WEB).as_posix()}"
        files.append(File.generated(config, page, abs_src_path=str(path)))
    return files


def on_page_markdown(markdown: str, page: Page, **_: Any) -> str:  # noqa: ANN401 - MkDocs' own
    """Links between files of the repository become links between pages of the site."""
    here = _in_repository(page.file.src_uri)
    if here is None:
        return markdown

    def moved(link: re.Match[str]) -> str:
        target = posixpath.normpath(posixpath.join(posixpath.dirname(here), link[2]))
        uri = _on_site(target)
        if uri is None:
            return link[0]
        return (
            link[1] + posixpath.relpath(uri, posixpath.dirname(page.file.src_uri) or ".") + link[3]
        )

    return _LINK.sub(moved, markdown)


def _in_repository(uri: str) -> str | None:
    """The file that a page was made of; None for what is generated."""
    if uri.startswith("reference/"):
        return None
    return next((source for source, (page, _) in PROJECT.items() if page == uri), f"docs/{uri}")


def _on_site(path: str) -> str | None:
    if path in {"README.md", "docs"}:
        return "index.md"
    if path.startswith("docs/"):
        return path.removeprefix("docs/")
    return PROJECT[path][0] if path in PROJECT else None
