"""Settings of renders (Experience Composer)."""

from dataclasses import dataclass

from config.knobs import knob


@dataclass(frozen=True, slots=True)
class RenderSettings:
    """Renders: web pages as streams of sessions that are not end-to-end encrypted."""

    enabled: bool = knob(True, "Let applications publish web pages. Off: they get 501.")
    chromium: str = knob(
        "chromium",
        "The browser: a path, or a name that is looked for in PATH. Chromium or Chrome; without it"
        " applications get 501.",
    )
    bwrap: str = knob("bwrap", "The program of its jail (bubblewrap): a path, or a name in PATH.")
    max: int = knob(
        2,
        "Renders at a time. Each is a browser of 1 to 1.5 GB that takes about a core. More are"
        " refused.",
        1,
        64,
    )
    running_per_project: int = knob(
        2, "Renders of one project at a time, so that others find room.", 1, 64
    )
    load_s: int = knob(20, "How long a page may take to load.", 2, 120)
    hang_s: int = knob(
        20,
        "How long a page that is shown may not answer, as in an endless loop; then its render"
        " fails.",
        2,
        600,
    )
    memory_mb: int = knob(
        2_048,
        "What the processes of a render's browser may take; more fails the render. The page takes"
        " most of it.",
        512,
        65_536,
    )
    spare: bool = knob(
        True,
        "Keep another browser ready for each render, which shows the page when the first crashes:"
        " the stream is back some seconds earlier.",
    )
