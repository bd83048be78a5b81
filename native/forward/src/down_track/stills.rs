//! Still frames: while the downlink has no room for a video, a key frame of its lowest layer passes
//! now and then, so that its receiver shows something instead of nothing.
//!
//! A still frame is awaited (`await_still`), passes (`is_of_still`), and the next one is not due
//! before `STILL_INTERVAL`. The videos of a downlink take turns (`session_router/stills.rs`); their
//! packets leave one by one at a bitrate of their own, because the estimate may leave them none.

use std::time::{Duration, Instant};

use super::{Candidate, DownTrack};
use crate::parameters::MediaKind;

/// Often enough to see who is there; 3 kB each time are 5 kbit/s.
const STILL_INTERVAL: Duration = Duration::from_secs(5);
/// A publisher that was asked twice without an answer sends no key frame.
const STILL_PATIENCE: Duration = Duration::from_secs(4);
/// Of a queued packet: 16 kB at the least bitrate of still frames. Larger key frames would be
/// overwritten in the packet cache before they are sent.
pub(super) const STILL_WAIT: Duration = Duration::from_secs(4);

/// The still frames of one down track while it is paused for lack of bandwidth.
#[derive(Clone, Copy, Debug, Default)]
pub(super) struct Still {
    /// When the next one is due.
    due: Option<Instant>,
    /// Since when a key frame is awaited for it.
    awaited: Option<Instant>,
    /// The RTP timestamp of the last one. Its late packets pass too.
    frame: Option<u32>,
}

impl DownTrack {
    /// When its next still frame is due. `None`: its video is not paused for lack of bandwidth. A
    /// receiver that has got video displays its last frame, so the first one is less urgent.
    pub(crate) fn still_due(&mut self, now: Instant) -> Option<Instant> {
        if !self.lacks_room() || !self.forwarding || self.kind != MediaKind::Video {
            return None;
        }
        let first = match self.packets {
            0 => now,
            _ => now + STILL_INTERVAL,
        };
        Some(*self.still.due.get_or_insert(first))
    }

    /// The next key frame of the lowest layer passes.
    pub(crate) fn await_still(&mut self, now: Instant) {
        self.restart();
        self.still.awaited = Some(now);
    }

    /// Whether a key frame is awaited. After some time without one it is another video's turn.
    pub(crate) fn awaits_still(&mut self, now: Instant) -> bool {
        let Some(since) = self.still.awaited else {
            return false;
        };
        let waits = now.saturating_duration_since(since) < STILL_PATIENCE;
        if !waits {
            self.still.awaited = None;
            self.still.due = Some(now + STILL_INTERVAL);
        }
        waits
    }

    /// Whether the packet of a paused video belongs to a still frame, whose first packet may begin
    /// it.
    pub(super) fn is_of_still(
        &mut self,
        now: Instant,
        Candidate { target, pending }: Candidate,
        timestamp: u32,
    ) -> bool {
        let is_lowest = target == Some(pending.encoding);
        if self.still.awaited.is_some() && pending.key_frame && is_lowest {
            self.still = Still {
                due: Some(now + STILL_INTERVAL),
                awaited: None,
                frame: Some(timestamp),
            };
            return true;
        }
        self.current == Some(pending.encoding) && self.still.frame == Some(timestamp)
    }
}
