//! Pacing: what is sent at once, what is queued, and what becomes of queued packets.

use std::time::Instant;

use super::stills::STILL_WAIT;
use super::{DownTrack, cached};
use crate::congestion::downlink::Downlink;
use crate::congestion::pacer::{MAX_WAIT, Pace, Queued};
use crate::counters::ForwardCounters;
use crate::drop_reason::DropReason;
use crate::outbox::Outbox;
use crate::packet_cache::CachedPacket;
use crate::parameters::MediaKind;
use crate::rewriter::RewrittenHeader;
use crate::up_track::{Pending, UpTrack};

impl DownTrack {
    #[inline]
    pub(super) fn pace(
        &self,
        now: Instant,
        pending: Pending,
        rewritten: RewrittenHeader,
        packet: CachedPacket<'_>,
        downlink: &mut Downlink,
    ) -> Pace {
        let bytes = packet.payload.len();
        if self.route.kind == MediaKind::Audio {
            downlink.pacer.spend(now, bytes);
            return Pace::Now;
        }
        let is_still = self.selection.lacks_room();
        let (pacer, wait) = if is_still {
            (&mut downlink.stills, STILL_WAIT)
        } else {
            (&mut downlink.pacer, MAX_WAIT)
        };
        let pace = pacer.take(now, bytes);
        if pace == Pace::Later {
            pacer.push(Queued {
                subscriber: self.route.subscriber,
                ssrc: self.outgoing.ssrc(),
                encoding: pending.encoding,
                sequence: pending.sequence,
                rewritten,
                bytes,
                expires: now + wait,
            });
            downlink.wake_for_queue(now);
        } else if is_still {
            downlink.pacer.spend(now, bytes);
        }
        pace
    }

    /// Sends a packet whose time has come.
    pub(crate) fn release(
        &mut self,
        now: Instant,
        queued: Queued,
        up_track: &UpTrack,
        downlink: &mut Downlink,
        out: &mut impl Outbox,
    ) -> Result<(), DropReason> {
        if !self.selection.forwards() || !up_track.forwarding {
            self.outgoing.rewriter.forget_waiting(queued.rewritten);
            return Err(DropReason::Paused);
        }
        let packet = cached(up_track, queued.encoding, queued.sequence);
        let Some(packet) = packet.filter(|_| !queued.is_late(now)) else {
            self.fall_behind(now, queued.rewritten, downlink, out);
            return Err(DropReason::PacerLate);
        };
        if self.repair.has_due_repeats(now) {
            self.retransmit_once_more(now, up_track, downlink, out);
        }
        let stamp = downlink.stamp(now, packet.payload.len(), self.outgoing.content());
        self.send(packet, queued.rewritten, stamp, out);
        self.outgoing.rewriter.note_sent(queued.rewritten);
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
        self.outgoing.rewriter.forget_waiting(lost);
        if self.outgoing.rewriter.is_of_epoch(lost) {
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
        let own = (self.route.subscriber, self.outgoing.ssrc());
        let (rewriter, delivery) = (&mut self.outgoing.rewriter, &mut self.delivery);
        let mut kept = None;
        downlink.retain(|queued| {
            if (queued.subscriber, queued.ssrc) != own {
                return true;
            }
            if keeps_begun && rewriter.has_begun(queued.rewritten) {
                kept = kept.max(Some(queued.rewritten.sequence));
                return true;
            }
            rewriter.forget_waiting(queued.rewritten);
            delivery.count_overtaken();
            false
        });
        rewriter.take_back(kept);
    }

    /// Moves pending counts into the counters.
    #[inline]
    pub(crate) fn settle(&mut self, counters: &mut ForwardCounters) {
        let overtaken = self.delivery.take_overtaken();
        counters.drop_packets(DropReason::PacerOvertaken, overtaken);
        counters.repeated_unasked += self.repair.take_unasked();
    }
}
