//! The plaintext guard of sealed sessions (docs/architecture.md, decision 6).
//!
//! Every frame must begin with the e2ee/2 header and a key id that its publisher declared. The
//! guard can not open frames; it keeps a client that forgot to seal from leaking.

use std::time::{Duration, Instant};

use crate::frame_mark::Seal;
use crate::parameters::Kid;

/// How often a publisher is told of dropped packets.
const REPORT_INTERVAL: Duration = Duration::from_secs(1);

/// The key ids of one up track and what was dropped for want of them.
#[derive(Clone, Debug, Default)]
pub(crate) struct SealGuard {
    kids: Vec<Kid>,
    unreported: u64,
    reported: Option<Instant>,
}

impl SealGuard {
    pub(crate) fn new(kids: Vec<Kid>) -> Self {
        Self {
            kids,
            ..Self::default()
        }
    }

    pub(crate) fn declare(&mut self, kids: Vec<Kid>) {
        self.kids = kids;
    }

    /// Whether a packet may pass. `sealed` is the verdict on the last frame that began on the
    /// same RtpStream: continuations follow it, so that reordering does not tear frames.
    pub(crate) fn admit(&mut self, seal: Seal, sealed: &mut bool) -> bool {
        let passes = match seal {
            Seal::Continuation => *sealed,
            Seal::Hints => true,
            Seal::Kid(kid) => {
                *sealed = self.kids.contains(&kid);
                *sealed
            }
            Seal::Missing => {
                *sealed = false;
                false
            }
        };
        self.unreported += u64::from(!passes);
        passes
    }

    /// How many packets were dropped since the last report, when one is due.
    pub(crate) fn poll_report(&mut self, now: Instant) -> Option<u64> {
        let due = self
            .reported
            .is_none_or(|at| now.duration_since(at) >= REPORT_INTERVAL);
        if self.unreported == 0 || !due {
            return None;
        }
        self.reported = Some(now);
        Some(std::mem::take(&mut self.unreported))
    }
}
