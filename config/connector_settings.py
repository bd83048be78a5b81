"""The settings of Audio Connectors."""

from dataclasses import dataclass

from config.knobs import knob


@dataclass(frozen=True, slots=True)
class ConnectorSettings:
    """Audio Connectors: a session's audio to a WebSocket of the application, and back."""

    enabled: bool = knob(True, "Let applications connect audio. Off: they get 501.")
    connections_max: int = knob(
        32,
        "Audio connections at a time. Each is a process of about 40 MB, and decodes and mixes"
        " what it hears. More are refused.",
        1,
        1_024,
    )
    running_per_project: int = knob(
        16, "Audio connections of one project at a time, so that others find room.", 1, 1_024
    )
    open_s: int = knob(
        6, "How long an application's WebSocket may take to open. The caller waits for it.", 1, 30
    )
    tls_roots: str = knob(
        "",
        "PEM file of the certificates that wss connections trust. Empty: those of the system.",
    )
