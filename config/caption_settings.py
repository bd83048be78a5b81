"""Settings of live captions."""

from dataclasses import dataclass

from config.knobs import knob


@dataclass(frozen=True, slots=True)
class CaptionSettings:
    """Live captions: what is said in sessions that are not end-to-end encrypted, as text."""

    enabled: bool = knob(True, "Let applications start captions. Off: they get 501.")
    sessions_max: int = knob(
        4,
        "Captioned sessions at a time. Each is a process that takes up to one core while people"
        " speak. More are refused.",
        1,
        256,
    )
    running_per_project: int = knob(
        4, "Captioned sessions of one project at a time, so that others find room.", 1, 256
    )
    engines: int = knob(
        2,
        "People of one session whose speech is recognized at the same time; others wait some"
        " seconds for their turn. Each more takes a fifth of a core while it is used, and 100 MB"
        " once for all sessions.",
        1,
        4,
    )
    preload: bool = knob(
        False,
        "Load the recognizers with the server. Off: they are loaded when a client first wants to"
        " read captions, or with the first captions, which are late by what is left of that: about"
        " two seconds of a core. On: the memory of 'engines' is taken from the start.",
    )
    empty_s: int = knob(60, "Captions end when nobody has been connected for this long.", 1, 86_400)
