//! Retransmission, and padding that probes the downlink.

use std::time::{Duration, Instant};

use sealroute_rtp::RtpHeader;

use super::{
    CLEAR, DownTrack, ORIGINAL_SEQUENCE_BYTES, OwnHeader, PADDING, PADDING_BIT, RESEND_BURST_BYTES,
    RESEND_INTERVAL, RESENT_REMEMBERED, SECOND_REPEAT_AFTER, SECOND_REPEATS, cached,
    write_descriptor,
};
use crate::congestion::downlink::{Content, Downlink, Stamp};
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

/// The retransmission stream of a down track (RFC 4588).
#[derive(Clone, Copy)]
struct RtxStream {
    ssrc: u32,
    payload_type: u8,
}

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
        if !self.forwarding {
            return Err(DropReason::ResendPaused);
        }
        if self.keeps_protected() {
            return self.resend_protected(now, sequence, out);
        }
        let stream = self.rtx_stream().ok_or(DropReason::NotCached)?;
        let interval = self.resend_interval();
        let sent = self.rewriter.sent(sequence).ok_or(DropReason::NotCached)?;
        if sent
            .resent
            .is_some_and(|at| now.duration_since(at) < interval)
        {
            return Err(DropReason::ResentRecently);
        }
        let entry = *sent;
        if entry.waits {
            return Err(DropReason::ResentRecently);
        }
        let packet = if entry.rewritten.is_padding {
            NOTHING
        } else {
            cached(up_track, entry.encoding, entry.input).ok_or(DropReason::NotCached)?
        };
        if self.resend_bytes < packet.payload.len() as f64 {
            return Err(DropReason::ResendLimit);
        }
        self.resend_bytes -= packet.payload.len() as f64;
        sent.resent = Some(now);
        self.resent += 1;
        let bytes = packet.payload.len();
        let stamp = self.stamp(now, bytes, downlink);
        self.send_retransmission(packet, entry.rewritten, stream, stamp, out);
        downlink.pacer.spend(now, bytes);
        if downlink.loses_with_room(now) {
            let place = &mut self.second_retransmissions[usize::from(sequence) % SECOND_REPEATS];
            *place = Some((sequence, now + SECOND_REPEAT_AFTER));
            self.repeats_from.get_or_insert(now + SECOND_REPEAT_AFTER);
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
        let Some(stream) = self.rtx_stream() else {
            return;
        };
        let mut waiting = std::mem::take(&mut self.second_retransmissions);
        for place in &mut waiting {
            let Some((sequence, _)) = place.take_if(|(_, at)| *at <= now) else {
                continue;
            };
            let entry = self.rewriter.sent(sequence).map(|sent| *sent);
            let Some(entry) = entry.filter(|sent| !sent.rewritten.is_padding) else {
                continue;
            };
            let Some(packet) = cached(up_track, entry.encoding, entry.input) else {
                continue;
            };
            let bytes = packet.payload.len();
            if self.resend_bytes - (bytes as f64) < RESEND_BURST_BYTES / 2.0 {
                continue;
            }
            self.resend_bytes -= bytes as f64;
            self.resent += 1;
            self.unasked += 1;
            let stamp = self.stamp(now, bytes, downlink);
            self.send_retransmission(packet, entry.rewritten, stream, stamp, out);
            downlink.pacer.spend(now, bytes);
        }
        self.repeats_from = waiting.iter().flatten().map(|(_, at)| *at).min();
        self.second_retransmissions = waiting;
    }

    /// Whether lost packets are retransmitted under their own sequence number, as the same SRTP
    /// packets.
    pub(super) fn keeps_protected(&self) -> bool {
        self.parameters.nack && self.parameters.rtx_ssrc.is_none()
    }

    fn rtx_stream(&self) -> Option<RtxStream> {
        Some(RtxStream {
            ssrc: self.parameters.rtx_ssrc?,
            payload_type: self.parameters.rtx_payload_type?,
        })
    }

    fn resend_interval(&self) -> Duration {
        self.round_trip
            .unwrap_or(RESEND_INTERVAL)
            .max(RESEND_INTERVAL)
    }

    fn resend_protected(
        &mut self,
        now: Instant,
        sequence: u16,
        out: &mut impl Outbox,
    ) -> Result<(), DropReason> {
        let interval = self.resend_interval();
        let place = self.resent_at[usize::from(sequence) % RESENT_REMEMBERED];
        if place.is_some_and(|(number, at)| number == sequence && now < at + interval) {
            return Err(DropReason::ResentRecently);
        }
        let own = self.first.zip(self.rewriter.full(sequence));
        if own.is_none_or(|(first, number)| number < first) {
            return Err(DropReason::NotCached);
        }
        if self.resend_bytes <= 0.0 {
            return Err(DropReason::ResendLimit);
        }
        let length = out
            .rtp_again(self.transport, self.parameters.ssrc, sequence)
            .ok_or(DropReason::NotCached)?;
        self.resend_bytes -= length as f64;
        self.resent += 1;
        self.resent_at[usize::from(sequence) % RESENT_REMEMBERED] = Some((sequence, now));
        if self.kind == MediaKind::Audio {
            self.second_repeats[usize::from(sequence) % SECOND_REPEATS] = Some(sequence);
        }
        Ok(())
    }

    /// Repeats retransmitted audio packets. Audio cannot wait for a second NACK, so each
    /// retransmission is sent twice, the second time with the next packet, when the cause of the
    /// loss has passed.
    pub(super) fn repeat_once_more(&mut self, out: &mut impl Outbox) {
        for sequence in std::mem::take(&mut self.second_repeats)
            .into_iter()
            .flatten()
        {
            if self.resend_bytes > 0.0
                && let Some(length) = out.rtp_again(self.transport, self.parameters.ssrc, sequence)
            {
                self.resend_bytes -= length as f64;
                self.resent += 1;
                self.unasked += 1;
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
        if let Some(sequence) = self.twice.take()
            && let Some(length) = out.rtp_again(self.transport, self.parameters.ssrc, sequence)
        {
            self.resent += 1;
            self.unasked += 1;
            downlink.pacer.spend(now, length);
        }
        if self.keeps_protected() && downlink.loses_with_room(now) {
            self.twice = Some(rewritten.sequence as u16);
        }
    }

    fn send_retransmission(
        &mut self,
        packet: CachedPacket<'_>,
        rewritten: RewrittenHeader,
        stream: RtxStream,
        stamp: Stamp,
        out: &mut impl Outbox,
    ) {
        let mut buffer = CLEAR;
        let header = RtpHeader {
            marker: packet.marker || rewritten.ends_frame,
            payload_type: stream.payload_type,
            sequence: self.rewriter.next_rtx_sequence(),
            timestamp: rewritten.timestamp,
            ssrc: stream.ssrc,
        };
        let own = OwnHeader {
            header,
            with_mid: true,
            stamp,
        };
        // Browsers of encrypted sessions identify this SSRC by the MID alone (docs/e2ee.md).
        let mut end = self.write_header(own, packet.extensions, &mut buffer);
        let original = (rewritten.sequence as u16).to_be_bytes();
        buffer[end..end + ORIGINAL_SEQUENCE_BYTES].copy_from_slice(&original);
        end += ORIGINAL_SEQUENCE_BYTES;
        let replaced = write_descriptor(rewritten, packet, &mut buffer[end..]);
        out.rtp(
            self.transport,
            &buffer[..end + replaced],
            &packet.payload[replaced..],
        );
    }

    /// Whether the down track can send padding that the subscriber reports on.
    pub(crate) fn can_probe(&self) -> bool {
        self.kind == MediaKind::Video && self.is_reported() && self.rtx_stream().is_some()
    }

    /// Sends one packet of padding over the retransmission stream. Returns its size in bytes.
    pub(crate) fn send_padding(
        &mut self,
        now: Instant,
        downlink: &mut Downlink,
        out: &mut impl Outbox,
    ) -> usize {
        let Some(stream) = self.rtx_stream() else {
            return 0;
        };
        let mut buffer = CLEAR;
        let header = RtpHeader {
            marker: false,
            payload_type: stream.payload_type,
            sequence: self.rewriter.next_rtx_sequence(),
            timestamp: self.rewriter.last_timestamp(),
            ssrc: stream.ssrc,
        };
        let own = OwnHeader {
            header,
            with_mid: true,
            stamp: downlink.stamp(now, PADDING.len(), Content::Padding),
        };
        let end = self.write_header(own, &[], &mut buffer);
        buffer[0] |= PADDING_BIT;
        out.rtp(self.transport, &buffer[..end], &PADDING);
        downlink.pacer.spend(now, PADDING.len());
        PADDING.len()
    }
}
