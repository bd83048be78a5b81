//! A down track: one m-line of a Subscriber. It admits packets of its up track, rewrites and paces
//! them, and retransmits lost ones.
//!
//! # State
//!
//! Five parts, each in the file of its name and with private fields: who wants to change a part's
//! state finds every place that does so in its file.
//!
//! | part | what it holds |
//! |---|---|
//! | [`Route`] | from whom to whom; never changes |
//! | [`Selection`] | which packets of the up track: phase, preferences, grant, layer filter, still frames |
//! | [`Outgoing`] | how they look: SSRCs, numbers, extension ids, headers |
//! | [`Repair`] | what was sent again, and what may be |
//! | [`Delivery`] | what has left, and what the subscriber reports of it |
//!
//! # Verbs
//!
//! What takes several parts is a method of [`DownTrack`], in the file of the verb:
//!
//! ```text
//! forward ─> admit ─────────────> pace ─────────> send ─> Outbox     admission.rs
//!               └> hold, catch up    └> queue ─> release              switching.rs, pacing.rs
//! NACK ────> resend                                                   resending.rs
//! probe ───> send padding                                             padding.rs
//! ```

mod admission;
mod delivery;
mod grant;
mod outgoing;
mod pacing;
mod padding;
mod repair;
mod resending;
mod route;
mod selection;
mod stills;
mod switching;

use std::time::Instant;

use sealroute_rtp::FullSequence;

use crate::congestion::downlink::{Downlink, Stamp};
use crate::congestion::pacer::Pace;
use crate::counters::ForwardCounters;
use crate::drop_reason::DropReason;
use crate::layers::{Allocation, Layer};
use crate::outbox::{Outbox, StreamState};
use crate::packet_cache::CachedPacket;
use crate::parameters::{DownTrackParameters, MediaKind};
use crate::rewriter::{Rewriter, RewrittenHeader};
use crate::up_track::{EncodingIndex, Pending, UpTrack};

pub(crate) use delivery::{Delivery, SentReport};
pub(crate) use grant::Fit;
pub(crate) use outgoing::Outgoing;
pub(crate) use repair::Repair;
pub(crate) use route::Route;
pub(crate) use selection::Selection;

use outgoing::Head;
use switching::Progress;

/// One m-line of a Subscriber.
pub(crate) struct DownTrack {
    pub(crate) route: Route,
    pub(crate) selection: Selection,
    pub(crate) outgoing: Outgoing,
    pub(crate) repair: Repair,
    pub(crate) delivery: Delivery,
}

/// A packet that may be forwarded.
#[derive(Clone, Copy)]
struct Candidate {
    /// The encoding to forward.
    target: Option<EncodingIndex>,
    pending: Pending,
}

impl DownTrack {
    /// `allocation`: the one to start with. `rewriter`: that of its SSRC.
    pub(crate) fn new(
        route: Route,
        allocation: Allocation,
        parameters: DownTrackParameters,
        clock_rate_hz: u32,
        rewriter: Rewriter,
    ) -> Self {
        Self {
            route,
            selection: Selection::new(allocation),
            outgoing: Outgoing::new(parameters, clock_rate_hz, rewriter),
            repair: Repair::new(),
            delivery: Delivery::default(),
        }
    }

    /// Pauses or resumes it; resumed video waits for a key frame. Returns whether that changed
    /// anything.
    pub(crate) fn set_forwards(&mut self, forwards: bool) -> bool {
        let changes = self.selection.forwards() != forwards;
        if changes {
            self.selection.set_forwards(forwards);
            self.restart();
        }
        changes
    }

    /// The highest layer that the downlink has room for. `None`: not even the smallest. Resumed
    /// video starts at a key frame, which is requested with the up track's next packet.
    pub(crate) fn set_allocation(&mut self, layer: Option<Layer>) {
        self.allocate(layer.into());
    }

    pub(crate) fn allocate(&mut self, allocation: Allocation) {
        if self.selection.allocate(allocation) {
            self.restart();
        }
    }

    /// Applies a grant of the allocator, or that not even the `smallest` layer fits. Returns the
    /// stream state if it changed.
    pub(crate) fn apply_grant(
        &mut self,
        now: Instant,
        granted: Option<Layer>,
        smallest: Layer,
        fit: Fit,
    ) -> Option<StreamState> {
        let allocation = self.selection.decide(now, granted, smallest);
        self.allocate(allocation);
        self.selection.review(fit)
    }

    /// The encoding to forward. `None`: not known yet.
    #[inline]
    pub(crate) fn target(&self, now: Instant, up_track: &UpTrack) -> Option<EncodingIndex> {
        self.selection.target(now, up_track, self.route.is_local)
    }

    /// Whether the subscriber sends transport-wide feedback on it.
    pub(crate) fn is_reported(&self) -> bool {
        self.outgoing.is_reported()
    }

    /// When its next still frame is due. `None`: its video is not paused for lack of bandwidth.
    pub(crate) fn still_due(&mut self, now: Instant) -> Option<Instant> {
        if self.route.kind != MediaKind::Video {
            return None;
        }
        let has_video = self.delivery.packets() > 0;
        self.selection.still_due(now, has_video)
    }

    /// The next key frame of the lowest layer passes.
    pub(crate) fn await_still(&mut self, now: Instant) {
        self.restart();
        self.selection.await_still(now);
    }

    /// Forwards the packets that the up track received since the last flush.
    #[inline]
    pub(crate) fn forward(
        &mut self,
        now: Instant,
        up_track: &mut UpTrack,
        downlink: &mut Downlink,
        counters: &mut ForwardCounters,
        out: &mut impl Outbox,
    ) {
        let target = self.target(now, up_track);
        for (place, &pending) in up_track.pending.iter().enumerate() {
            let before = self.selection.current();
            let outcome =
                self.forward_one(now, Candidate { target, pending }, up_track, downlink, out);
            match outcome {
                Ok(pace) => counters.rtp_forwarded += u64::from(pace == Pace::Now),
                Err(reason) => counters.drop_packet(reason),
            }
            self.selection.note_outcome(outcome.map(|_| ()));
            let current = self.selection.current();
            if current == before && !self.selection.is_switching() {
                continue;
            }
            let has_started = current.is_some() && current != before;
            counters.still_frames += u64::from(has_started && self.selection.lacks_room());
            let progress = Progress {
                target,
                started: has_started.then_some(pending),
                later: &up_track.pending[place + 1..],
            };
            let (sent, queued) = self.go_on(now, progress, up_track, downlink, out);
            counters.rtp_forwarded += sent;
            counters.rtp_caught_up += sent + queued;
        }
        self.settle(counters);
        let is_video = self.route.kind == MediaKind::Video;
        if is_video && self.selection.wants_key_frame(target, up_track) {
            up_track.want_key_frame(target);
        }
    }

    #[inline]
    fn forward_one(
        &mut self,
        now: Instant,
        candidate: Candidate,
        up_track: &UpTrack,
        downlink: &mut Downlink,
        out: &mut impl Outbox,
    ) -> Result<Pace, DropReason> {
        let (packet, rewritten) = self.admit(now, candidate, up_track, downlink)?;
        let pending = candidate.pending;
        if pending.layer.is_some() && rewritten.is_padding {
            self.send_padding_for(now, rewritten, downlink, out);
            self.remember(pending, rewritten, false);
            return Err(DropReason::UpperLayer);
        }
        let pace = self.pace(now, pending, rewritten, packet, downlink);
        match pace {
            Pace::Now => {
                if self.route.kind == MediaKind::Audio {
                    self.send_twice(now, rewritten, downlink, out);
                }
                if self.repair.has_due_repeats(now) {
                    self.retransmit_once_more(now, up_track, downlink, out);
                }
                let stamp = downlink.stamp(now, packet.payload.len(), self.outgoing.content());
                self.send(packet, rewritten, stamp, out);
            }
            Pace::Later => {}
            Pace::Full => {
                self.fall_behind(now, rewritten, downlink, out);
                return Err(DropReason::PacerFull);
            }
        }
        self.remember(pending, rewritten, pace == Pace::Later);
        Ok(pace)
    }

    #[inline]
    fn remember(&mut self, pending: Pending, rewritten: RewrittenHeader, waits: bool) {
        if self.outgoing.remembers() {
            let (encoding, input) = (pending.encoding, pending.sequence);
            self.outgoing
                .rewriter
                .remember(encoding, input, rewritten, waits);
        }
    }

    #[inline]
    fn send(
        &mut self,
        packet: CachedPacket<'_>,
        rewritten: RewrittenHeader,
        stamp: Stamp,
        out: &mut impl Outbox,
    ) {
        let mut head = Head::empty();
        self.outgoing
            .write_packet(packet, rewritten, stamp, &mut head);
        let payload = &packet.payload[head.replaced..];
        if self.outgoing.keeps_protected() {
            self.repeat_once_more(out);
            self.repair.note_assigned(rewritten.sequence);
            out.rtp_kept(self.route.transport, head.bytes(), payload);
        } else {
            out.rtp(self.route.transport, head.bytes(), payload);
        }
        self.outgoing.rewriter.count_sent(rewritten);
        self.delivery.count_sent(packet.payload.len());
        self.repair.earn(packet.payload.len());
    }
}

fn cached(
    up_track: &UpTrack,
    encoding: EncodingIndex,
    sequence: FullSequence,
) -> Option<CachedPacket<'_>> {
    up_track.encodings.get(encoding)?.packet(sequence)
}
