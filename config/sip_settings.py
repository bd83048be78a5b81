"""Settings of SIP calls."""

from dataclasses import dataclass

from config.knobs import knob


@dataclass(frozen=True, slots=True)
class SipSettings:
    """SIP calls: telephones in sessions that are not end-to-end encrypted."""

    enabled: bool = knob(True, "Let applications call SIP addresses. Off: they get 501.")
    calls_max: int = knob(
        32,
        "Calls at a time. Each is a process of about 40 MB, and decodes and mixes what it hears."
        " More are refused.",
        1,
        1_024,
    )
    running_per_project: int = knob(
        16, "Calls of one project at a time, so that others find room.", 1, 1_024
    )
    host: str = knob(
        "",
        "Address of this machine for SIP and RTP. Empty: the one that the system takes for each"
        " call.",
    )
    public_ip: str = knob(
        "", "Address that telephones are told to send to, behind a NAT. Empty: that of the socket."
    )
    first_port: int = knob(
        30_000, "First UDP port for RTP. Two are taken for each call.", 1_024, 65_000
    )
    last_port: int = knob(30_999, "Last UDP port for RTP.", 1_025, 65_535)
    open_s: int = knob(
        6,
        "How long the name of a SIP server may take to resolve, and its connection to open.",
        1,
        30,
    )
    no_media_s: int = knob(
        300, "Silence of a telephone's packets that ends its call, unless it is held.", 5, 86_400
    )
    max_s: int = knob(21_600, "How long a call may take.", 60, 86_400)
    tls_roots: str = knob(
        "",
        "PEM file of the certificates that TLS connections trust. Empty: those of the system.",
    )
