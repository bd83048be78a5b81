//! Packets that wait for their time in the pacer, and those for which it will not come.

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

    /// A packet will not be sent for want of room: nor are those behind it, which need it, and
    /// video begins anew with a key frame that is asked for. The receiver would only ask for what
    /// is missing, and for a key frame when it has asked in vain. What is left of a run before has
    /// numbers behind it that were sent: a packet without media takes its place.
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

    /// What waits is not sent, for something else begins or nothing goes on: it would only be late.
    /// But the rest of a picture that has begun to leave is: receivers drop torn ones. Goes with a
    /// `restart`.
    pub(crate) fn withdraw(&mut self, downlink: &mut Downlink) {
        if downlink.pacer.queued() > 0 {
            self.give_up(downlink, true);
        }
    }

    fn give_up(&mut self, downlink: &mut Downlink, keeps_begun: bool) {
        let of_this = |queued: &Queued| {
            (queued.subscriber, queued.ssrc) == (self.subscriber, self.parameters.ssrc)
        };
        let mut kept = None;
        downlink.pacer.retain(|queued| {
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

    /// Adds what it has not counted yet.
    pub(crate) fn settle(&mut self, counters: &mut ForwardCounters) {
        let overtaken = std::mem::take(&mut self.overtaken);
        counters.drop_packets(DropReason::PacerOvertaken, overtaken);
        counters.repeated_unasked += std::mem::take(&mut self.unasked);
    }
}
