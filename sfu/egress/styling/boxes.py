"""The boxes of streams as a stylesheet places them: WeasyPrint lays them out, and nothing is drawn.

It runs in a process that has given up all else (`sfu/egress/styling/process.py`): a stylesheet can
take time and memory, and reach nothing.
"""

import html
import logging
import math
from collections.abc import Iterator
from typing import Any, cast

import cssselect2
import tinycss2
import weasyprint
from weasyprint.text.fonts import FontConfiguration
from weasyprint.urls import URLFetcher

from sfu.egress.composition import Fit, Placed
from sfu.egress.style_lines import Fault, StyledStream, StyleLine

logging.getLogger("weasyprint").disabled = True  # what a stylesheet can provoke is no line of a log

_TIMES = 2
"""A box that is larger than the image by more than this is not shown: scaling to it costs."""
_FITS = ("contain", "cover", "fill")
_WARM = StyleLine("stream { display: inline-block }", "archive", 640, 480, (StyledStream("a"),))
_BASE = """
@page {{ size: {width}px {height}px; margin: 0 }}
html, body {{ margin: 0; padding: 0 }}
{root} {{ display: block; position: relative; width: {width}px; height: {height}px;
  overflow: hidden }}
stream {{ display: block; object-fit: contain }}
"""


class StyleError(Exception):
    """A stylesheet that is not CSS at this line."""

    def __init__(self, at: int, fault: Fault) -> None:
        super().__init__(f"line {at}: {fault}")
        self.at = at
        self.fault = fault


class _NoFetcher(URLFetcher):  # type: ignore[misc] # it has no types
    """Nothing is fetched, whatever the scheme: an import or an image is as if it were not there."""

    def fetch(self, url: str, headers: Any = None) -> Any:  # noqa: ANN401, ARG002 - its signature
        raise ValueError("nothing is fetched for a stylesheet")


class Engine:
    """Made before a process gives up files: it has opened the fonts that lines of text take."""

    def __init__(self) -> None:
        self._fonts = FontConfiguration()
        self._fetcher = _NoFetcher()
        self.boxes(_WARM)
        self._layout(_WARM, "stream::before { content: 'a' }")

    def boxes(self, wanted: StyleLine) -> tuple[Placed, ...]:
        """In the order of painting. Streams that the stylesheet does not show are left out.

        Errors: `StyleError`. Anything else that is raised means that the stylesheet is too much for
        the engine: nesting, numbers, memory."""
        check(wanted.stylesheet)
        return self._layout(wanted, wanted.stylesheet)

    def _layout(self, wanted: StyleLine, stylesheet: str) -> tuple[Placed, ...]:
        base = _BASE.format(root=wanted.root, width=wanted.width, height=wanted.height)
        sheets = [
            weasyprint.CSS(string=text, font_config=self._fonts, url_fetcher=self._fetcher)
            for text in (base, stylesheet)
        ]
        document = weasyprint.HTML(string=_document(wanted), url_fetcher=self._fetcher).render(
            stylesheets=sheets, font_config=self._fonts
        )
        found: dict[str, tuple[tuple[int, bool], Placed]] = {}
        for box in _stream_boxes(document.pages[0]._page_box):  # noqa: SLF001 - there is no other way
            name = str(box.element.get("id"))
            placed = _placed(name, box, _TIMES * max(wanted.width, wanted.height))
            if placed is not None and name not in found:
                found[name] = (_layer(box), placed)
        return tuple(placed for _, placed in sorted(found.values(), key=lambda one: one[0]))


def check(stylesheet: str) -> None:
    """Errors: `StyleError` at the first line that CSS would leave out without a word."""
    rules = tinycss2.parse_stylesheet(stylesheet, skip_comments=True, skip_whitespace=True)
    for rule in rules:
        if rule.type == "error":
            raise StyleError(rule.source_line, "rule")
        if rule.type != "qualified-rule":
            continue
        try:
            cssselect2.compile_selector_list(rule.prelude)
        except cssselect2.SelectorError as cause:
            raise StyleError(rule.source_line, "selector") from cause
        for one in tinycss2.parse_blocks_contents(rule.content):
            if one.type == "error":
                raise StyleError(one.source_line, "declaration")


def _document(wanted: StyleLine) -> str:
    streams = "".join(
        f'<stream id="{html.escape(one.stream)}" class="{html.escape(" ".join(one.classes))}">'
        "</stream>"
        for one in wanted.streams
    )
    return f"<!doctype html><body><{wanted.root}>{streams}</{wanted.root}>"


def _stream_boxes(box: Any) -> Iterator[Any]:  # noqa: ANN401 - it has no types
    """The boxes of the elements, not those of what is generated in them."""
    waiting = [box]
    while waiting:
        one = waiting.pop()
        if getattr(one, "element_tag", None) == "stream" and hasattr(one, "width"):
            yield one
        elif hasattr(one, "all_children"):
            waiting.extend(reversed(list(one.all_children())))


def _placed(name: str, box: Any, most: int) -> Placed | None:  # noqa: ANN401 - as above
    """Where its video is: its content box. The edges are at even pixels, less than one away."""
    if box.style["visibility"] != "visible":
        return None
    edges = (box.content_box_x(), box.content_box_y(), box.width, box.height)
    if not all(isinstance(one, int | float) and math.isfinite(one) for one in edges):
        return None
    left, top, width, height = edges
    x, y = _even(left), _even(top)
    size = (_even(left + width) - x, _even(top + height) - y)
    if min(size) <= 0 or max(*size, abs(x), abs(y)) > most:
        return None
    fit = box.style["object_fit"]
    return Placed(name, x, y, *size, cast("Fit", fit if fit in _FITS else "contain"))


def _layer(box: Any) -> tuple[int, bool]:  # noqa: ANN401 - as above
    """CSS paints by `z-index`, and what is positioned above what is not."""
    z_index, is_positioned = box.style["z_index"], box.style["position"] != "static"
    return (z_index if isinstance(z_index, int) else 0, is_positioned)


def _even(length: float) -> int:
    return round(length / 2) * 2
