//! The plaintext guard of sealed sessions (docs/architecture.md, decision 6).
//!
//! Every frame must begin with the e2ee/2 header and a key id that its publisher declared. The
//! guard can not open frames; it keeps a client that forgot to seal from leaking.

use std::time::{Duration, Instant};

use crate::frame_mark::FrameHeader;
use crate::parameters::Kid;

/// How often a publisher is told of dropped packets.
const REPORT_INTERVAL: Duration = Duration::from_secs(1);

/// The key ids of one up track and what was dropped for want of them.
#[derive(Clone, Debug, Default)]
pub(crate) struct PlaintextGuard {
    kids: Vec<Kid>,
    unreported: u64,
    reported: Option<Instant>,
}

impl PlaintextGuard {
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
    pub(crate) fn admit(&mut self, frame_header: FrameHeader, encrypted: &mut bool) -> bool {
        let passes = match frame_header {
            FrameHeader::Continuation => *encrypted,
            FrameHeader::ParameterSets => true,
            FrameHeader::Kid(kid) => {
                *encrypted = self.kids.contains(&kid);
                *encrypted
            }
            FrameHeader::Missing => {
                *encrypted = false;
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
