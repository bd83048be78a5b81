//! Switching between encodings, without truncated frames or lost parts of the key frame.

use std::time::{Duration, Instant};

use sealroute_rtp::FullSequence;

use super::selection::Held;
use super::{Candidate, DownTrack, cached};
use crate::congestion::downlink::Downlink;
use crate::congestion::pacer::Pace;
use crate::outbox::Outbox;
use crate::parameters::MediaKind;
use crate::up_track::{EncodingIndex, Pending, UpTrack};

/// More packets than arrive within a round trip to the publisher.
const MAX_CATCH_UP: usize = 256;
/// Senders interleave the packets of their encodings, so the rest of a frame arrives soon. A longer
/// hold would save few more frames and delay the relief of a congested downlink.
const HOLD: Duration = Duration::from_millis(25);

/// What a flush has come to when a down track has started or holds a switch.
#[derive(Clone, Copy)]
pub(super) struct Progress<'p> {
    pub(super) target: Option<EncodingIndex>,
    /// The packet that it started with.
    pub(super) started: Option<Pending>,
    /// The rest of the flush.
    pub(super) later: &'p [Pending],
}

/// Packets of an encoding that arrived before they were usable.
#[derive(Clone, Copy)]
struct Missed<'p> {
    /// The first packet of the key frame.
    first: Pending,
    /// Sent from this sequence number on.
    from: u64,
    /// These follow by themselves.
    later: &'p [Pending],
}

impl DownTrack {
    /// Whether the switch that this packet allows must wait: receivers drop incomplete frames.
    #[cold]
    pub(super) fn holds(&mut self, now: Instant, first: Pending, up_track: &UpTrack) -> bool {
        let is_of_it = |held: Held| held.first.encoding == first.encoding;
        if self.selection.held().is_some_and(is_of_it) {
            return true;
        }
        if self.route.kind != MediaKind::Video || self.has_ended_frame(now, up_track) {
            return false;
        }
        let until = now + HOLD;
        self.selection.hold(Held { first, until });
        true
    }

    /// Whether the newest frame of the current encoding has ended, or never will.
    fn has_ended_frame(&self, now: Instant, up_track: &UpTrack) -> bool {
        let Some(encoding) = self.selection.current() else {
            return true;
        };
        let last_packet = up_track.encodings[encoding].view().last_packet;
        let silent = last_packet.is_none_or(|at| now.saturating_duration_since(at) >= HOLD);
        let newest = self.outgoing.rewriter.newest();
        let newest = newest.and_then(|newest| cached(up_track, encoding, newest));
        silent || newest.is_none_or(|packet| packet.marker)
    }

    /// Continues an encoding that `started`, or makes the pending switch when it is due and still
    /// wanted. `later`: the rest of this flush. Returns how many packets were sent at once and how
    /// many were queued.
    #[cold]
    pub(super) fn go_on(
        &mut self,
        now: Instant,
        progress: Progress<'_>,
        up_track: &UpTrack,
        downlink: &mut Downlink,
        out: &mut impl Outbox,
    ) -> (u64, u64) {
        let Progress {
            target,
            started,
            later,
        } = progress;
        if let Some(first) = started {
            let from = first.sequence.0 + 1;
            let missed = Missed { first, from, later };
            return self.catch_up(now, missed, up_track, downlink, out);
        }
        let is_wanted = |held: &Held| target == Some(held.first.encoding);
        let held = self.selection.held().filter(is_wanted);
        let Some(Held { first, until }) = held else {
            self.selection.release_hold();
            return (0, 0);
        };
        if now < until && !self.has_ended_frame(now, up_track) {
            return (0, 0);
        }
        if cached(up_track, first.encoding, first.sequence).is_none() {
            // Another key frame will be requested.
            self.selection.release_hold();
            return (0, 0);
        }
        self.restart();
        self.selection.clear_waiting();
        let from = first.sequence.0;
        let missed = Missed { first, from, later };
        self.catch_up(now, missed, up_track, downlink, out)
    }

    /// Sends packets of and after the key frame that arrived before they were usable, because its
    /// first packet was lost or held. Packets in `later` follow by themselves.
    fn catch_up(
        &mut self,
        now: Instant,
        Missed { first, from, later }: Missed<'_>,
        up_track: &UpTrack,
        downlink: &mut Downlink,
        out: &mut impl Outbox,
    ) -> (u64, u64) {
        let (mut sent, mut queued) = (0, 0);
        let newest = up_track.encodings[first.encoding].highest();
        let newest = newest.map_or(0, |newest| newest.0);
        for number in (from..=newest).take(MAX_CATCH_UP) {
            let sequence = FullSequence(number);
            let behind = Pending {
                sequence,
                key_frame: false,
                layer: cached(up_track, first.encoding, sequence)
                    .and_then(|packet| up_track.layer_of(first.encoding, packet)),
                ..first
            };
            let pending = if sequence == first.sequence {
                first
            } else {
                behind
            };
            let comes = |other: &Pending| {
                (other.encoding, other.sequence) == (pending.encoding, pending.sequence)
            };
            if later.iter().any(comes) {
                continue;
            }
            // A packet missing from the cache leaves a gap.
            let candidate = Candidate {
                target: Some(pending.encoding),
                pending,
            };
            match self.forward_one(now, candidate, up_track, downlink, out) {
                Ok(Pace::Now) => sent += 1,
                Ok(_) => queued += 1,
                Err(_) => {}
            }
        }
        (sent, queued)
    }
}
