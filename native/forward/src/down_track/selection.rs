//! The selection: which packets of its up track a down track forwards.
//!
//! ```text
//!         set_forwards(true)           start               hold
//!   Idle ────────────────────> Waiting ─────> Sending ─────────────> Switching
//!    ↑                            ↑            │   ↑                  │  │
//!    └── set_forwards(false)      └─ restart ──┘   └── release_hold ──┘  │
//!        from any phase           └─ restart, then start with the held ──┘
//! ```
//!
//! Three limits bound the target: the live encodings, the subscriber's preferences, and the grant of
//! the bandwidth allocation ([`Grant`]). Inside an encoding the layer filter applies the same limits
//! to its layers.

use std::time::Instant;

use super::Candidate;
use super::grant::{Fit, Grant};
use super::stills::Still;
use crate::drop_reason::DropReason;
use crate::layer_filter::{LayerFilter, LayerMark, Level, Verdict};
use crate::layer_selector::choose;
use crate::layers::{Allocation, Layer};
use crate::outbox::StreamState;
use crate::parameters::{MediaKind, PreferredLayers};
use crate::up_track::{Encoding, EncodingIndex, Pending, UpTrack};

/// A key frame to switch to once the current frame has ended.
#[derive(Clone, Copy)]
pub(super) struct Held {
    pub(super) first: Pending,
    pub(super) until: Instant,
}

/// What is forwarded at the moment.
#[derive(Clone, Copy)]
enum Phase {
    /// Nothing: paused by the control plane.
    Idle,
    /// Nothing yet: video waits for a key frame.
    Waiting,
    Sending(EncodingIndex),
    /// The current encoding, until its frame has ended.
    Switching {
        from: EncodingIndex,
        held: Held,
    },
}

/// The selection of one down track.
pub(crate) struct Selection {
    phase: Phase,
    preferred: PreferredLayers,
    grant: Grant,
    still: Still,
    filter: LayerFilter,
    /// The layer filter of the previous mapping epoch.
    ended_filter: LayerFilter,
    /// The reason that currently withholds its media.
    waiting: Option<DropReason>,
}

impl Selection {
    pub(super) fn new(allocation: Allocation) -> Self {
        Self {
            phase: Phase::Waiting,
            preferred: PreferredLayers::default(),
            grant: Grant::new(allocation),
            still: Still::default(),
            filter: LayerFilter::default(),
            ended_filter: LayerFilter::default(),
            waiting: None,
        }
    }

    /// False: paused by the control plane.
    pub(crate) fn forwards(&self) -> bool {
        !matches!(self.phase, Phase::Idle)
    }

    /// Pauses or resumes. The epoch must end too.
    pub(super) fn set_forwards(&mut self, forwards: bool) {
        self.phase = if forwards {
            Phase::Waiting
        } else {
            Phase::Idle
        };
    }

    /// The encoding that is forwarded.
    #[inline]
    pub(crate) fn current(&self) -> Option<EncodingIndex> {
        match self.phase {
            Phase::Idle | Phase::Waiting => None,
            Phase::Sending(encoding) | Phase::Switching { from: encoding, .. } => Some(encoding),
        }
    }

    /// The switch that waits for the end of a frame.
    #[inline]
    pub(super) fn held(&self) -> Option<Held> {
        match self.phase {
            Phase::Switching { held, .. } => Some(held),
            _ => None,
        }
    }

    #[inline]
    pub(super) fn is_switching(&self) -> bool {
        matches!(self.phase, Phase::Switching { .. })
    }

    /// Holds the switch to a key frame. Only what is sent can be interrupted.
    pub(super) fn hold(&mut self, held: Held) {
        if let Some(from) = self.current() {
            self.phase = Phase::Switching { from, held };
        }
    }

    /// Gives up the held switch.
    pub(super) fn release_hold(&mut self) {
        if let Phase::Switching { from, .. } = self.phase {
            self.phase = Phase::Sending(from);
        }
    }

    /// The packet that opened a mapping epoch has passed.
    pub(super) fn start(&mut self, encoding: EncodingIndex) {
        self.phase = Phase::Sending(encoding);
    }

    /// The next packet starts a mapping epoch. `ends_epoch`: there was one.
    pub(super) fn restart(&mut self, ends_epoch: bool) {
        if self.forwards() {
            self.phase = Phase::Waiting;
        }
        if ends_epoch {
            self.ended_filter = self.filter.restart();
        }
    }

    pub(crate) fn preferred(&self) -> PreferredLayers {
        self.preferred
    }

    pub(crate) fn set_preferred(&mut self, preferred: PreferredLayers) {
        self.preferred = preferred;
    }

    pub(crate) fn allocation(&self) -> Allocation {
        self.grant.allocation
    }

    /// Whether the downlink has no room for it.
    #[inline]
    pub(crate) fn lacks_room(&self) -> bool {
        self.grant.allocation == Allocation::Paused
    }

    /// Sets the bandwidth limit. Returns whether video must restart: it paused or resumed.
    pub(super) fn allocate(&mut self, allocation: Allocation) -> bool {
        let was_paused = self.lacks_room();
        self.grant.allocation = allocation;
        let turns = self.lacks_room() != was_paused;
        if turns {
            self.still = Still::default();
        }
        turns
    }

    /// The allocation after a round that granted a layer, or not even the `smallest` one.
    pub(super) fn decide(
        &mut self,
        now: Instant,
        granted: Option<Layer>,
        smallest: Layer,
    ) -> Allocation {
        self.grant.decide(now, granted, smallest)
    }

    /// The stream state, if it changed.
    pub(super) fn review(&mut self, fit: Fit) -> Option<StreamState> {
        self.grant.review(fit)
    }

    pub(crate) fn stream_state(&self) -> StreamState {
        self.grant.state()
    }

    /// Notes what the last packet came to.
    #[inline]
    pub(super) fn note_outcome(&mut self, outcome: Result<(), DropReason>) {
        match outcome {
            Ok(()) => self.waiting = self.lacks_room().then_some(DropReason::Bandwidth),
            Err(reason) => {
                let elsewhere = [DropReason::OtherEncoding, DropReason::UpperLayer];
                if !elsewhere.contains(&reason) || self.current().is_none() {
                    self.waiting = Some(reason);
                }
            }
        }
    }

    pub(super) fn clear_waiting(&mut self) {
        self.waiting = None;
    }

    /// The reason that currently withholds its media.
    pub(crate) fn waiting(&self) -> Option<DropReason> {
        self.waiting
    }

    /// The level of the layer filter.
    pub(crate) fn level(&self) -> Level {
        self.filter.level()
    }

    /// The encoding to forward. `None`: not known yet.
    #[inline]
    pub(super) fn target(
        &self,
        now: Instant,
        up_track: &UpTrack,
        is_local: bool,
    ) -> Option<EncodingIndex> {
        if up_track.encodings.len() == 1 {
            return Some(EncodingIndex(0));
        }
        // A local reader that is behind gets no smaller encoding, but nothing for a while.
        let allocation = if is_local {
            Allocation::Unlimited
        } else {
            self.grant.allocation
        };
        choose(
            now,
            up_track.encodings.iter().map(Encoding::view),
            self.preferred,
            allocation,
        )
        .or(self.current())
    }

    /// Whether the packet can start another encoding. An error if its encoding is neither current
    /// nor targeted.
    #[inline]
    pub(super) fn starts(
        &self,
        Candidate { target, pending }: Candidate,
        kind: MediaKind,
    ) -> Result<bool, DropReason> {
        if self.current() == Some(pending.encoding) {
            return Ok(false);
        }
        if Some(pending.encoding) != target {
            return Err(DropReason::OtherEncoding);
        }
        if kind == MediaKind::Video && !pending.key_frame {
            return Err(DropReason::AwaitingKeyFrame);
        }
        Ok(true)
    }

    #[inline]
    pub(super) fn judge(&mut self, pending: Pending, timestamp: u32, stream: &Encoding) -> Verdict {
        let Some(mark) = pending.layer else {
            return Verdict::Pass { ends_frame: false };
        };
        let target = self.target_level(pending.encoding, stream);
        self.filter
            .judge(mark, timestamp, pending.key_frame, target)
    }

    /// As `judge`, for a packet of the previous epoch. A frame of a past epoch keeps its level.
    pub(super) fn judge_late(
        &mut self,
        mark: LayerMark,
        timestamp: u32,
        key_frame: bool,
    ) -> Verdict {
        let level = self.ended_filter.level();
        self.ended_filter.judge(mark, timestamp, key_frame, level)
    }

    /// The highest layers of an encoding that preferences and allocation allow.
    fn target_level(&self, encoding: EncodingIndex, stream: &Encoding) -> Level {
        let preferred = if self.preferred == PreferredLayers::default() {
            Level::TOP
        } else {
            stream.layers.preferred(self.preferred, stream.view().size)
        };
        match self.grant.allocation {
            Allocation::UpTo(layer) if EncodingIndex(layer.encoding) == encoding => {
                preferred.min(Level {
                    spatial: layer.spatial,
                    temporal: layer.temporal,
                })
            }
            Allocation::Paused => Level::default(),
            _ => preferred,
        }
    }

    /// Whether video that is to be sent waits for a key frame: to switch, or for a higher spatial
    /// layer.
    pub(super) fn wants_key_frame(
        &self,
        target: Option<EncodingIndex>,
        up_track: &UpTrack,
    ) -> bool {
        if !self.forwards() || self.lacks_room() {
            return false;
        }
        let current = self.current();
        let switches = current != target && !self.is_switching();
        switches || current.is_some_and(|encoding| self.awaits_size(encoding, up_track))
    }

    /// Whether a higher spatial layer waits for a key frame.
    fn awaits_size(&self, encoding: EncodingIndex, up_track: &UpTrack) -> bool {
        let stream = &up_track.encodings[encoding];
        let top = stream.layers.top();
        let target = self.target_level(encoding, stream).min(top);
        self.filter.level().spatial < target.spatial
    }

    /// When the next still frame of a paused video is due. `has_video`: its receiver shows a frame
    /// already.
    pub(super) fn still_due(&mut self, now: Instant, has_video: bool) -> Option<Instant> {
        let is_paused = self.lacks_room() && self.forwards();
        is_paused.then(|| self.still.due(now, has_video))
    }

    /// The next key frame of the lowest layer passes. The epoch must end.
    pub(super) fn await_still(&mut self, now: Instant) {
        self.still.await_frame(now);
    }

    /// Whether a key frame is awaited for a still frame.
    pub(crate) fn awaits_still(&mut self, now: Instant) -> bool {
        self.still.is_awaited(now)
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
        if pending.key_frame && is_lowest && self.still.begin(now, timestamp) {
            return true;
        }
        self.current() == Some(pending.encoding) && self.still.covers(timestamp)
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use sealroute_rtp::FullSequence;
    use std::time::Duration;

    const LOW: EncodingIndex = EncodingIndex(0);
    const HIGH: EncodingIndex = EncodingIndex(1);

    fn candidate(target: EncodingIndex, encoding: EncodingIndex, key_frame: bool) -> Candidate {
        Candidate {
            target: Some(target),
            pending: Pending {
                encoding,
                sequence: FullSequence(1),
                key_frame,
                layer: None,
            },
        }
    }

    fn held(now: Instant) -> Held {
        Held {
            first: candidate(HIGH, HIGH, true).pending,
            until: now + Duration::from_millis(25),
        }
    }

    #[test]
    fn video_starts_at_a_key_frame_of_the_target_and_audio_at_any_packet() {
        let selection = Selection::new(Allocation::Unlimited);
        let video = |of| selection.starts(of, MediaKind::Video);
        assert_eq!(video(candidate(HIGH, HIGH, true)), Ok(true));
        let other = video(candidate(HIGH, LOW, true));
        assert_eq!(other, Err(DropReason::OtherEncoding));
        let inside = video(candidate(HIGH, HIGH, false));
        assert_eq!(inside, Err(DropReason::AwaitingKeyFrame));
        let audio = selection.starts(candidate(LOW, LOW, false), MediaKind::Audio);
        assert_eq!(audio, Ok(true));
    }

    #[test]
    fn a_held_switch_still_sends_the_encoding_before_it() {
        let mut selection = Selection::new(Allocation::Unlimited);
        selection.start(LOW);
        selection.hold(held(Instant::now()));
        assert!(selection.is_switching());
        assert_eq!(selection.current(), Some(LOW));
        selection.release_hold();
        assert!(!selection.is_switching() && selection.held().is_none());
        assert_eq!(selection.current(), Some(LOW));
    }

    #[test]
    fn nothing_is_held_before_anything_is_sent() {
        let mut selection = Selection::new(Allocation::Unlimited);
        selection.hold(held(Instant::now()));
        assert!(!selection.is_switching());
    }

    #[test]
    fn a_restart_does_not_resume_what_the_control_plane_paused() {
        let mut selection = Selection::new(Allocation::Unlimited);
        selection.start(LOW);
        selection.set_forwards(false);
        selection.restart(true);
        assert!(!selection.forwards() && selection.current().is_none());
        selection.set_forwards(true);
        assert!(selection.forwards() && selection.current().is_none());
    }

    #[test]
    fn only_a_pause_and_its_end_make_video_restart() {
        let layer = |encoding| Allocation::UpTo(Layer::whole(encoding));
        let mut selection = Selection::new(Allocation::Unlimited);
        assert!(!selection.allocate(layer(1)));
        assert!(!selection.allocate(layer(0)));
        assert!(selection.allocate(Allocation::Paused));
        assert!(!selection.allocate(Allocation::Paused));
        assert!(selection.allocate(layer(0)));
    }

    #[test]
    fn packets_of_other_encodings_hide_no_reason_while_something_is_sent() {
        let mut selection = Selection::new(Allocation::Unlimited);
        selection.note_outcome(Err(DropReason::OtherEncoding));
        assert_eq!(selection.waiting(), Some(DropReason::OtherEncoding));
        selection.start(LOW);
        selection.note_outcome(Ok(()));
        selection.note_outcome(Err(DropReason::OtherEncoding));
        assert_eq!(selection.waiting(), None);
        selection.note_outcome(Err(DropReason::PacerFull));
        assert_eq!(selection.waiting(), Some(DropReason::PacerFull));
    }

    #[test]
    fn paused_video_passes_the_packets_of_its_still_frame_only() {
        let (mut selection, now) = (Selection::new(Allocation::Paused), Instant::now());
        let key_frame = candidate(LOW, LOW, true);
        assert!(!selection.is_of_still(now, key_frame, 9), "none is awaited");
        selection.await_still(now);
        assert!(!selection.is_of_still(now, candidate(LOW, HIGH, true), 9));
        assert!(selection.is_of_still(now, key_frame, 9));
        selection.start(LOW);
        assert!(selection.is_of_still(now, candidate(LOW, LOW, false), 9));
        assert!(!selection.is_of_still(now, candidate(LOW, LOW, false), 10));
    }
}
