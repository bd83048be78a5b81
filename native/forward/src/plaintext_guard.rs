//! The plaintext guard of encrypted sessions (docs/architecture.md, decision 6).
//!
//! Every frame must start with the e2ee/2 header and a key id that its publisher declared. The
//! guard cannot decrypt frames; it keeps a client that failed to encrypt from leaking plaintext.

use std::time::{Duration, Instant};

use crate::frame_mark::FrameHeader;
use crate::parameters::Kid;

/// How often a publisher is notified of dropped packets.
const REPORT_INTERVAL: Duration = Duration::from_secs(1);
/// Packets under an undeclared key id are reported only if they still arrive after this time, and
/// none under a declared one meanwhile. At an immediate change of the secret, media overtakes the
/// declaration of its key ids, and packets under the old ones arrive late; neither is a fault of
/// the publisher.
const UNDECLARED_TOLERATED: Duration = Duration::from_secs(1);
/// Without another packet under an undeclared key id for this long, they have stopped.
const UNDECLARED_STOPPED: Duration = Duration::from_millis(500);

/// The declared key ids of one up track, and the count of refused packets.
#[derive(Clone, Debug, Default)]
pub(crate) struct PlaintextGuard {
    kids: Vec<Kid>,
    /// Whatever the key id: another guard has compared it.
    any_kid: bool,
    unreported: u64,
    reported: Option<Instant>,
    undeclared: Option<Undeclared>,
}

/// Refused packets under undeclared key ids, not yet judged.
#[derive(Clone, Copy, Debug)]
struct Undeclared {
    packets: u64,
    first: Instant,
    last: Instant,
}

impl PlaintextGuard {
    pub(crate) fn new(kids: Vec<Kid>) -> Self {
        Self {
            kids,
            ..Self::default()
        }
    }

    /// Accepts every key id, and still no frame without one.
    pub(crate) fn of_form() -> Self {
        Self {
            any_kid: true,
            ..Self::default()
        }
    }

    pub(crate) fn declare(&mut self, kids: Vec<Kid>) {
        self.kids = kids;
    }

    /// Whether a packet may pass. `encrypted` is the verdict on the last frame that started on the
    /// same RtpStream. Continuations inherit it, so reordering does not truncate frames.
    pub(crate) fn admit(
        &mut self,
        now: Instant,
        frame_header: FrameHeader,
        encrypted: &mut bool,
    ) -> bool {
        match frame_header {
            FrameHeader::Continuation => {}
            FrameHeader::ParameterSets => return true,
            FrameHeader::Kid(kid) => {
                *encrypted = self.any_kid || self.kids.contains(&kid);
                if *encrypted {
                    // What was refused before was early or late.
                    self.undeclared = None;
                } else {
                    self.undeclared.get_or_insert(Undeclared {
                        packets: 0,
                        first: now,
                        last: now,
                    });
                }
            }
            FrameHeader::Missing => *encrypted = false,
        }
        if !*encrypted {
            self.count_refused(now, frame_header);
        }
        *encrypted
    }

    fn count_refused(&mut self, now: Instant, frame_header: FrameHeader) {
        match &mut self.undeclared {
            Some(undeclared) if frame_header != FrameHeader::Missing => {
                undeclared.packets += 1;
                undeclared.last = now;
            }
            _ => self.unreported += 1,
        }
    }

    /// When refused packets are judged or reported.
    pub(crate) fn poll_timeout(&self) -> Option<Instant> {
        let judged = self.undeclared.map(|one| one.first + UNDECLARED_TOLERATED);
        let reported = self.reported.filter(|_| self.unreported > 0);
        let next = reported.map(|at| at + REPORT_INTERVAL);
        judged.into_iter().chain(next).min()
    }

    /// The number of packets dropped since the last report, when one is due.
    pub(crate) fn poll_report(&mut self, now: Instant) -> Option<u64> {
        if let Some(undeclared) = self.undeclared
            && now.duration_since(undeclared.first) >= UNDECLARED_TOLERATED
        {
            if now.duration_since(undeclared.last) < UNDECLARED_STOPPED {
                self.unreported += undeclared.packets;
            }
            self.undeclared = None;
        }
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
