"""What came of the runs, as a table."""

from pathlib import Path

from bench.switches.run import Result

_HEAD = """# Layer switches, decoded

Written by `make check-switches`. Frames of real encoders (libvpx, x264, libaom) in three
encodings, encrypted with the Python SDK's own code and cut into packets as browsers cut them, go
through the forwarding core in virtual time to twelve subscribers, whose preferences and allocations
change at random (seeded) while encodings fall silent and come back. What each gets is put
together, decrypted and decoded by a real decoder; every decoded frame must be bit for bit the one
that the decoder makes of the same frame without a server between, and carry its encoding's mark.

A run fails when a frame does not open or decode, two encodings or clips are mixed, a number has
two packets, timestamps go back, or VP8 picture ids do. Without loss no sequence number may be
missing. "Loss" is 2 % of the packets on each side of the core, "repaired" with NACK and
retransmissions. "Cut" frames are ones whose rest was not sent because the key frame of another
encoding came in their middle, and the rest not within 25 ms: receivers leave them behind. "In
vain" counts gaps that a subscriber gave up, "left out" the frames from there to the next key
frame, as browsers do.

| run | encoding switches | layer changes | frames | decoded | cut | in vain | left out |
|---|---|---|---|---|---|---|---|
"""


def row(result: Result) -> str:
    share = 100.0 * result.decoded / result.frames if result.frames else 0.0
    return (
        f"| {result.plan.name} | {result.switches:,} | {result.layer_changes:,} "
        f"| {result.frames:,} | {share:.4g} % | {result.cut:,} | {result.gaps:,} "
        f"| {result.skipped:,} |"
    )


def write(path: Path, results: list[Result]) -> None:
    path.write_text(_HEAD + "\n".join(row(result) for result in results) + "\n")
