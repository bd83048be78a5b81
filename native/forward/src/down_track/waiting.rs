//! Packets queued in the pacer: release, expiry, withdrawal.

use std::time::Instant;

use super::{DownTrack, cached};
use crate::congestion::downlink::Downlink;
use crate::congestion::pacer::Queued;
use crate::counters::ForwardCounters;
use crate::drop_reason::DropReason;
use crate::outbox::Outbox;
use crate::rewriter::RewrittenHeader;
use crate::up_track::UpTrack;

impl DownTrack {
    /// Sends a packet whose time has come.
    pub(crate) fn release(
        &mut self,
        now: Instant,
        queued: Queued,
        up_track: &UpTrack,
        downlink: &mut Downlink,
        out: &mut impl Outbox,
    ) -> Result<(), DropReason> {
        if !self.forwarding || !up_track.forwarding {
            self.rewriter.forget_waiting(queued.rewritten);
            return Err(DropReason::Paused);
        }
        let packet = cached(up_track, queued.encoding, queued.sequence);
        let Some(packet) = packet.filter(|_| !queued.is_late(now)) else {
            self.fall_behind(now, queued.rewritten, downlink, out);
            return Err(DropReason::PacerLate);
        };
        if self.repeats_from.is_some_and(|at| at <= now) {
            self.retransmit_once_more(now, up_track, downlink, out);
        }
        let stamp = self.stamp(now, packet.payload.len(), downlink);
        self.send(packet, queued.rewritten, stamp, out);
        self.rewriter.note_sent(queued.rewritten);
        Ok(())
    }

    /// The pacer has no room for a packet. The packets after it depend on it, so they are dropped
    /// too and video restarts at a key frame, which is requested: otherwise the receiver would send
    /// NACKs first and request the key frame only after they fail. A packet of a past epoch
    /// precedes sequence numbers that were sent already, so padding takes its place.
    #[cold]
    pub(super) fn fall_behind(
        &mut self,
        now: Instant,
        lost: RewrittenHeader,
        downlink: &mut Downlink,
        out: &mut impl Outbox,
    ) {
        self.rewriter.forget_waiting(lost);
        if self.rewriter.is_of_epoch(lost) {
            self.give_up(downlink, false);
            self.restart();
        } else {
            self.send_padding_for(now, lost, downlink, out);
        }
    }

    /// Drops queued packets that a new start or a pause makes useless. The rest of a frame that is
    /// partly sent stays queued, because receivers drop incomplete frames. Used together with
    /// `restart`.
    pub(crate) fn withdraw(&mut self, downlink: &mut Downlink) {
        if downlink.queued() > 0 {
            self.give_up(downlink, true);
        }
    }

    fn give_up(&mut self, downlink: &mut Downlink, keeps_begun: bool) {
        let of_this = |queued: &Queued| {
            (queued.subscriber, queued.ssrc) == (self.subscriber, self.parameters.ssrc)
        };
        let mut kept = None;
        downlink.retain(|queued| {
            if !of_this(queued) {
                return true;
            }
            if keeps_begun && self.rewriter.has_begun(queued.rewritten) {
                kept = kept.max(Some(queued.rewritten.sequence));
                return true;
            }
            self.rewriter.forget_waiting(queued.rewritten);
            self.overtaken += 1;
            false
        });
        self.rewriter.take_back(kept);
    }

    /// Moves pending counts into the counters.
    pub(crate) fn settle(&mut self, counters: &mut ForwardCounters) {
        let overtaken = std::mem::take(&mut self.overtaken);
        counters.drop_packets(DropReason::PacerOvertaken, overtaken);
        counters.repeated_unasked += std::mem::take(&mut self.unasked);
    }
}
