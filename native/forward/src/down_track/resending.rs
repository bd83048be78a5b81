//! Resending: answers to NACKs, and repetitions that nobody requested.

use std::time::{Duration, Instant};

use super::outgoing::{Head, RtxStream};
use super::repair::RESEND_INTERVAL;
use super::{DownTrack, cached};
use crate::congestion::downlink::{Downlink, Stamp};
use crate::drop_reason::DropReason;
use crate::outbox::Outbox;
use crate::packet_cache::CachedPacket;
use crate::parameters::MediaKind;
use crate::rewriter::RewrittenHeader;
use crate::up_track::UpTrack;

/// Answers a NACK for a sequence number that carried padding.
const NOTHING: CachedPacket<'static> = CachedPacket {
    timestamp: 0,
    marker: false,
    extensions: &[],
    payload: &[],
    vp8: None,
};

impl DownTrack {
    /// Retransmits a lost packet, over the retransmission stream if the subscriber has one.
    pub(crate) fn resend(
        &mut self,
        now: Instant,
        sequence: u16,
        up_track: &UpTrack,
        downlink: &mut Downlink,
        out: &mut impl Outbox,
    ) -> Result<(), DropReason> {
        if !self.selection.forwards() {
            return Err(DropReason::ResendPaused);
        }
        if self.outgoing.keeps_protected() {
            return self.resend_protected(now, sequence, out);
        }
        let stream = self.outgoing.rtx_stream().ok_or(DropReason::NotCached)?;
        let interval = self.resend_interval();
        let sent = self.outgoing.rewriter.sent(sequence);
        let sent = sent.ok_or(DropReason::NotCached)?;
        let is_recent = |at| now.duration_since(at) < interval;
        if sent.waits || sent.resent.is_some_and(is_recent) {
            return Err(DropReason::ResentRecently);
        }
        let entry = *sent;
        let packet = if entry.rewritten.is_padding {
            NOTHING
        } else {
            cached(up_track, entry.encoding, entry.input).ok_or(DropReason::NotCached)?
        };
        let bytes = packet.payload.len();
        if !self.repair.affords(bytes) {
            return Err(DropReason::ResendLimit);
        }
        sent.resent = Some(now);
        self.repair.spend(bytes);
        let stamp = downlink.stamp(now, bytes, self.outgoing.content());
        self.send_retransmission(packet, entry.rewritten, stream, stamp, out);
        downlink.pacer.spend(now, bytes);
        if downlink.loses_with_room(now) {
            self.repair.repeat_later(now, sequence);
        }
        Ok(())
    }

    /// On lossy paths retransmissions are lost too, and another round trip would delay the frame.
    /// So a retransmission is repeated with a later packet, as long as half of the retransmission
    /// budget remains for requested ones.
    #[cold]
    pub(super) fn retransmit_once_more(
        &mut self,
        now: Instant,
        up_track: &UpTrack,
        downlink: &mut Downlink,
        out: &mut impl Outbox,
    ) {
        let Some(stream) = self.outgoing.rtx_stream() else {
            return;
        };
        while let Some(sequence) = self.repair.take_due_repeat(now) {
            let entry = self.outgoing.rewriter.sent(sequence).map(|sent| *sent);
            let Some(entry) = entry.filter(|sent| !sent.rewritten.is_padding) else {
                continue;
            };
            let Some(packet) = cached(up_track, entry.encoding, entry.input) else {
                continue;
            };
            let bytes = packet.payload.len();
            if !self.repair.affords_unasked(bytes) {
                continue;
            }
            self.repair.spend_unasked(bytes);
            let stamp = downlink.stamp(now, bytes, self.outgoing.content());
            self.send_retransmission(packet, entry.rewritten, stream, stamp, out);
            downlink.pacer.spend(now, bytes);
        }
    }

    fn resend_interval(&self) -> Duration {
        let round_trip = self.delivery.round_trip();
        round_trip.unwrap_or_default().max(RESEND_INTERVAL)
    }

    fn resend_protected(
        &mut self,
        now: Instant,
        sequence: u16,
        out: &mut impl Outbox,
    ) -> Result<(), DropReason> {
        if self
            .repair
            .was_resent(now, sequence, self.resend_interval())
        {
            return Err(DropReason::ResentRecently);
        }
        let number = self.outgoing.rewriter.full(sequence);
        if !number.is_some_and(|number| self.repair.is_own(number)) {
            return Err(DropReason::NotCached);
        }
        if !self.repair.affords_any() {
            return Err(DropReason::ResendLimit);
        }
        let length = self.repeat(sequence, out).ok_or(DropReason::NotCached)?;
        self.repair.spend(length);
        self.repair.note_resent(now, sequence);
        if self.route.kind == MediaKind::Audio {
            self.repair.repeat_with_next(sequence);
        }
        Ok(())
    }

    /// Repeats retransmitted audio packets. Audio cannot wait for a second NACK, so each
    /// retransmission is sent twice, the second time with the next packet, when the cause of the
    /// loss has passed.
    pub(super) fn repeat_once_more(&mut self, out: &mut impl Outbox) {
        for sequence in self.repair.take_repeats() {
            if self.repair.affords_any()
                && let Some(length) = self.repeat(sequence, out)
            {
                self.repair.spend_unasked(length);
            }
        }
    }

    /// On lossy paths audio is sent twice without a NACK: requests are lost too, and the answer may
    /// be late. The repetition precedes the next packet.
    pub(super) fn send_twice(
        &mut self,
        now: Instant,
        rewritten: RewrittenHeader,
        downlink: &mut Downlink,
        out: &mut impl Outbox,
    ) {
        let twice = self.outgoing.keeps_protected() && downlink.loses_with_room(now);
        let next = twice.then_some(rewritten.sequence as u16);
        if let Some(sequence) = self.repair.send_twice(next)
            && let Some(length) = self.repeat(sequence, out)
        {
            self.repair.count_unasked();
            downlink.pacer.spend(now, length);
        }
    }

    /// Sends the same SRTP packet again. Returns its length if it is still kept.
    fn repeat(&self, sequence: u16, out: &mut impl Outbox) -> Option<usize> {
        out.rtp_again(self.route.transport, self.outgoing.ssrc(), sequence)
    }

    fn send_retransmission(
        &mut self,
        packet: CachedPacket<'_>,
        rewritten: RewrittenHeader,
        stream: RtxStream,
        stamp: Stamp,
        out: &mut impl Outbox,
    ) {
        let mut head = Head::empty();
        self.outgoing
            .write_retransmission(stream, packet, rewritten, stamp, &mut head);
        let payload = &packet.payload[head.replaced..];
        out.rtp(self.route.transport, head.bytes(), payload);
    }
}
