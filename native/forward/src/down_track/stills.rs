//! Still frames: while the downlink has no room for a video, a key frame of its lowest layer passes
//! now and then, so that its receiver shows something instead of nothing.
//!
//! A still frame is awaited (`await_frame`), passes (`begin`, `covers`), and the next one is not due
//! before `STILL_INTERVAL`. The videos of a downlink take turns (`session_router/stills.rs`); their
//! packets leave one by one at a bitrate of their own, because the estimate may leave them none.

use std::time::{Duration, Instant};

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

impl Still {
    /// When the next one is due. A receiver that has got video displays its last frame, so the
    /// first still frame is less urgent.
    pub(super) fn due(&mut self, now: Instant, has_video: bool) -> Instant {
        let first = if has_video { now + STILL_INTERVAL } else { now };
        *self.due.get_or_insert(first)
    }

    /// The next key frame of the lowest layer passes.
    pub(super) fn await_frame(&mut self, now: Instant) {
        self.awaited = Some(now);
    }

    /// Whether a key frame is awaited. After some time without one it is another video's turn.
    pub(super) fn is_awaited(&mut self, now: Instant) -> bool {
        let Some(since) = self.awaited else {
            return false;
        };
        let waits = now.saturating_duration_since(since) < STILL_PATIENCE;
        if !waits {
            self.awaited = None;
            self.due = Some(now + STILL_INTERVAL);
        }
        waits
    }

    /// A key frame of the lowest layer arrived. Returns whether it is the awaited one.
    pub(super) fn begin(&mut self, now: Instant, timestamp: u32) -> bool {
        if self.awaited.is_none() {
            return false;
        }
        *self = Self {
            due: Some(now + STILL_INTERVAL),
            awaited: None,
            frame: Some(timestamp),
        };
        true
    }

    /// Whether the last still frame has this RTP timestamp.
    pub(super) fn covers(&self, timestamp: u32) -> bool {
        self.frame == Some(timestamp)
    }
}

#[cfg(test)]
mod tests {
    use super::{STILL_INTERVAL, STILL_PATIENCE, Still};
    use std::time::Instant;

    #[test]
    fn the_first_one_is_due_at_once_only_if_nothing_was_shown() {
        let now = Instant::now();
        assert_eq!(Still::default().due(now, false), now);
        assert_eq!(Still::default().due(now, true), now + STILL_INTERVAL);
    }

    #[test]
    fn only_an_awaited_key_frame_begins_one_and_its_packets_pass() {
        let (mut still, now) = (Still::default(), Instant::now());
        assert!(!still.begin(now, 7));
        still.await_frame(now);
        assert!(still.begin(now, 7));
        assert!(still.covers(7) && !still.covers(8));
        assert!(!still.begin(now, 8), "one was awaited");
        assert_eq!(still.due(now, true), now + STILL_INTERVAL);
    }

    #[test]
    fn a_publisher_without_key_frames_loses_its_turn() {
        let (mut still, now) = (Still::default(), Instant::now());
        still.await_frame(now);
        assert!(still.is_awaited(now));
        let late = now + STILL_PATIENCE;
        assert!(!still.is_awaited(late));
        assert_eq!(still.due(late, false), late + STILL_INTERVAL);
    }
}
