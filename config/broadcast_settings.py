"""The settings of broadcasts."""

from dataclasses import dataclass

from config.knobs import knob


@dataclass(frozen=True, slots=True)
class BroadcastSettings:
    """Broadcasts of sessions that are not end-to-end encrypted: HLS, and RTMP servers."""

    enabled: bool = knob(True, "Let applications broadcast sessions. Off: starts answer 501.")
    host: str = knob("0.0.0.0", "Address of the HLS server to listen on.")  # noqa: S104 - see above
    port: int = knob(
        8090,
        "TCP port of the HLS server, for viewers or your CDN; 0 selects a free one.",
        0,
        65_535,
    )
    public_url: str = knob(
        "",
        "What the addresses of playlists begin with, such as https://live.example.com. Empty: the"
        " host that the server shows at its start, with the HLS server's port.",
    )
    dir: str = knob(
        "",
        "Folder of playlists and parts, which hold the media in clear (mode 0700); a folder in"
        " memory spares the disk. Empty: broadcasts in data_dir.",
    )
    viewers_max: int = knob(
        4_096, "Connections to the HLS server at a time. Each takes a descriptor.", 16, 100_000
    )
    segment_ms: int = knob(
        2_000,
        "Length of a segment, in whole groups of frames of 2 s. Longer adds delay and saves"
        " requests.",
        2_000,
        10_000,
    )
    part_ms: int = knob(
        500,
        "Length of a part where an application asks for low latency; viewers are about five of"
        " them behind. Shorter costs more requests.",
        200,
        1_000,
    )
    dvr_s: int = knob(
        7_200,
        "How far back viewers can seek where an application asks for it. Longer needs more disk"
        " space: 15 MB a minute at 2 Mbit/s.",
        60,
        43_200,
    )
    keep_dvr_s: int = knob(
        3_600, "How long such a broadcast can be seen after its end.", 60, 604_800
    )
    rtmp_retry_s: int = knob(
        60, "How long an RTMP server that is gone is tried again before it is given up.", 1, 3_600
    )
    empty_s: int = knob(60, "How long a broadcast goes on in a session without clients.", 5, 3_600)
    running_per_project: int = knob(
        8, "Broadcasts of one project at a time on this server, so that others find room.", 1, 1_024
    )
    min_free_mb: int = knob(512, "Free disk space below which no broadcast starts.", 64, 1_048_576)
    hold_ms: int = knob(
        250,
        "How long packets wait for those that were lost and are sent again. Longer mends more and"
        " adds delay.",
        0,
        5_000,
    )
