//! The plaintext guard of encrypted sessions (docs/architecture.md, decision 6).
//!
//! Every frame must start with the e2ee/2 header and a key id that its publisher declared. The
//! guard cannot decrypt frames; it keeps a client that failed to encrypt from leaking plaintext.

use std::time::{Duration, Instant};

use crate::frame_mark::FrameHeader;
use crate::parameters::Kid;

/// How often a publisher is notified of dropped packets.
const REPORT_INTERVAL: Duration = Duration::from_secs(1);

/// The declared key ids of one up track, and the count of refused packets.
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

    /// Whether a packet may pass. `encrypted` is the verdict on the last frame that started on the
    /// same RtpStream. Continuations inherit it, so reordering does not truncate frames.
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

    /// The number of packets dropped since the last report, when one is due.
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
