"""The traces that every SDK runs: three pure machines of docs/e2ee.md, sections 7 to 9."""

from tests.vectors.mismatch_traces import MISMATCH
from tests.vectors.replay_traces import REPLAY
from tests.vectors.switch_traces import SWITCH

TRACES = {
    "format": "e2ee/2",
    "about": [
        "Written by tests/vectors/make.py. Times are virtual milliseconds; steps are in order.",
        "switch (section 9): the senders use `hint` at first. `set`: the application sets the",
        "  secret that this hint names. `announced`, `left`: of another connection. Between steps",
        "  and up to end_ms the machine's own deadline passes at its own time. `switches`: all.",
        "replay (section 7): `subscribe` makes a subscription of a stream (of a connection's",
        "  signals for kind signal). `frame` arrives on it; `verifies`: whether its tag would",
        "  verify; `kid` is hexadecimal; `expect` is its result. `server`: what the server says;",
        "  the runner does what its SDK does then. A context is newer than another when the",
        "  difference modulo 65,536 is 1 to 32,767. The sender part is looked at first, then",
        "  contexts and windows, then the tag.",
        "mismatch (section 8): one subscription. `result` of a frame on `track`, or `set`: the",
        "  application set another secret, which starts all counts again. `events` go to the",
        "  application, `reports` to the server (e2eeState).",
    ],
    "switch": SWITCH,
    "replay": REPLAY,
    "mismatch": MISMATCH,
}
