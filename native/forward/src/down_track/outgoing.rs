//! The outgoing streams of a down track: the media stream and its retransmission stream (RFC 4588),
//! with the numbers, ids and headers that the subscriber sees.
//!
//! A payload is never copied here. What precedes it is written into a [`Head`]; the outbox puts both
//! together.

use sealroute_rtp::RtpHeader;

use crate::congestion::downlink::{Content, Stamp};
use crate::extensions::{BLOCK_BYTES, Entries, IdTable, Mapped};
use crate::packet_cache::CachedPacket;
use crate::parameters::{DownTrackParameters, Extension};
use crate::rewriter::{Input, Rewriter, RewrittenHeader};

/// The SDP declares the SSRC, so the MID is only needed until the first packets have arrived.
const PACKETS_WITH_MID: u64 = 64;
const ORIGINAL_SEQUENCE_BYTES: usize = 2;
/// The largest VP8 payload descriptor.
const DESCRIPTOR_BYTES: usize = 6;
const PADDING_BIT: u8 = 0x20;
/// The fixed header, the extensions that are forwarded, and a MID and a stamp of our own. An
/// element that does not fit is dropped.
const HEADER_BYTES: usize = 16 + BLOCK_BYTES + 40;
/// Room for a header, an original sequence number and a payload descriptor. Every packet clears it,
/// so it is not larger.
const HEAD_BYTES: usize = HEADER_BYTES + ORIGINAL_SEQUENCE_BYTES + DESCRIPTOR_BYTES;

/// What precedes the payload of a packet.
pub(super) struct Head {
    buffer: [u8; HEAD_BYTES],
    end: usize,
    /// How many bytes of the payload it replaces.
    pub(super) replaced: usize,
}

impl Head {
    pub(super) const fn empty() -> Self {
        Self {
            buffer: [0; HEAD_BYTES],
            end: 0,
            replaced: 0,
        }
    }

    #[inline]
    pub(super) fn bytes(&self) -> &[u8] {
        &self.buffer[..self.end]
    }

    fn mark_padding(&mut self) {
        self.buffer[0] |= PADDING_BIT;
    }

    #[inline]
    fn write_descriptor(&mut self, rewritten: RewrittenHeader, packet: CachedPacket<'_>) {
        let room = &mut self.buffer[self.end..];
        let room = &mut room[..DESCRIPTOR_BYTES];
        self.replaced = rewritten.rewrite_vp8(packet, room);
        self.end += self.replaced;
    }
}

/// The retransmission stream of a down track.
#[derive(Clone, Copy)]
pub(super) struct RtxStream {
    ssrc: u32,
    payload_type: u8,
}

/// The outgoing streams of one down track.
pub(crate) struct Outgoing {
    parameters: DownTrackParameters,
    ids: IdTable,
    clock_rate_hz: u32,
    pub(super) rewriter: Rewriter,
}

impl Outgoing {
    /// `rewriter`: that of the SSRC, whose sequence numbers continue.
    pub(super) fn new(
        parameters: DownTrackParameters,
        clock_rate_hz: u32,
        mut rewriter: Rewriter,
    ) -> Self {
        rewriter.stop();
        Self {
            ids: IdTable::new(&parameters.extensions),
            parameters,
            clock_rate_hz,
            rewriter,
        }
    }

    pub(crate) fn parameters(&self) -> &DownTrackParameters {
        &self.parameters
    }

    pub(crate) fn ssrc(&self) -> u32 {
        self.parameters.ssrc
    }

    pub(crate) fn rewriter(&self) -> &Rewriter {
        &self.rewriter
    }

    /// The rewriter, for the next down track with this SSRC.
    pub(crate) fn into_rewriter(mut self) -> Rewriter {
        self.rewriter.forget();
        self.rewriter
    }

    /// Opens a mapping epoch at the packet.
    pub(super) fn start(&mut self, input: &Input<'_>) {
        self.rewriter.start(input, self.clock_rate_hz);
    }

    /// Whether the subscriber sends transport-wide feedback on it.
    pub(super) fn is_reported(&self) -> bool {
        self.ids.id(Extension::TransportCc) != 0
    }

    /// What its packets count as.
    #[inline]
    pub(super) fn content(&self) -> Content {
        if self.is_reported() {
            Content::Media
        } else if self.ids.id(Extension::AbsSendTime) != 0 {
            Content::Timed
        } else {
            Content::Unreported
        }
    }

    /// Whether sent packets are remembered, to be written once more when they are lost.
    #[inline]
    pub(super) fn remembers(&self) -> bool {
        self.parameters.nack && self.parameters.rtx_ssrc.is_some()
    }

    /// Whether lost packets are retransmitted under their own sequence number, as the same SRTP
    /// packets.
    #[inline]
    pub(super) fn keeps_protected(&self) -> bool {
        self.parameters.nack && self.parameters.rtx_ssrc.is_none()
    }

    pub(super) fn rtx_stream(&self) -> Option<RtxStream> {
        Some(RtxStream {
            ssrc: self.parameters.rtx_ssrc?,
            payload_type: self.parameters.rtx_payload_type?,
        })
    }

    /// A packet of the media stream.
    #[inline]
    pub(super) fn write_packet(
        &self,
        packet: CachedPacket<'_>,
        rewritten: RewrittenHeader,
        stamp: Stamp,
        head: &mut Head,
    ) {
        let header = RtpHeader {
            marker: packet.marker || rewritten.ends_frame,
            ..self.media_header(rewritten)
        };
        let with_mid = self.rewriter.age(rewritten) < PACKETS_WITH_MID;
        self.write_header(header, with_mid, stamp, packet.extensions, head);
        head.write_descriptor(rewritten, packet);
    }

    /// Padding under the sequence number of a packet that the receiver expects but must not get.
    pub(super) fn write_padding(&self, rewritten: RewrittenHeader, stamp: Stamp, head: &mut Head) {
        self.write_header(self.media_header(rewritten), false, stamp, &[], head);
        head.mark_padding();
    }

    /// A packet of the retransmission stream. Browsers of encrypted sessions identify this SSRC by
    /// the MID alone (docs/e2ee.md).
    pub(super) fn write_retransmission(
        &mut self,
        stream: RtxStream,
        packet: CachedPacket<'_>,
        rewritten: RewrittenHeader,
        stamp: Stamp,
        head: &mut Head,
    ) {
        let header = RtpHeader {
            marker: packet.marker || rewritten.ends_frame,
            ..self.next_rtx_header(stream, rewritten.timestamp)
        };
        self.write_header(header, true, stamp, packet.extensions, head);
        let original = (rewritten.sequence as u16).to_be_bytes();
        head.buffer[head.end..][..ORIGINAL_SEQUENCE_BYTES].copy_from_slice(&original);
        head.end += ORIGINAL_SEQUENCE_BYTES;
        head.write_descriptor(rewritten, packet);
    }

    /// Padding on the retransmission stream, which has sequence numbers to spare.
    pub(super) fn write_probe(&mut self, stream: RtxStream, stamp: Stamp, head: &mut Head) {
        let header = self.next_rtx_header(stream, self.rewriter.last_timestamp());
        self.write_header(header, true, stamp, &[], head);
        head.mark_padding();
    }

    #[inline]
    fn media_header(&self, rewritten: RewrittenHeader) -> RtpHeader {
        RtpHeader {
            marker: false,
            payload_type: self.parameters.payload_type,
            sequence: rewritten.sequence as u16,
            timestamp: rewritten.timestamp,
            ssrc: self.parameters.ssrc,
        }
    }

    fn next_rtx_header(&mut self, stream: RtxStream, timestamp: u32) -> RtpHeader {
        RtpHeader {
            marker: false,
            payload_type: stream.payload_type,
            sequence: self.rewriter.next_rtx_sequence(),
            timestamp,
            ssrc: stream.ssrc,
        }
    }

    #[inline]
    fn write_header(
        &self,
        header: RtpHeader,
        with_mid: bool,
        stamp: Stamp,
        block: &[u8],
        head: &mut Head,
    ) {
        let Some(buffer) = head.buffer.first_chunk_mut::<HEADER_BYTES>() else {
            return;
        };
        let mid_id = self.ids.id(Extension::Mid);
        let mid = (with_mid && mid_id != 0).then_some((mid_id, self.parameters.mid.as_bytes()));
        let mapped = Mapped {
            entries: Entries(block),
            ids: &self.ids,
        };
        let stamped = match &stamp {
            Stamp::None => None,
            Stamp::TransportSequence(value) => Some((Extension::TransportCc, value.as_slice())),
            Stamp::SendTime(value) => Some((Extension::AbsSendTime, value.as_slice())),
        };
        let stamped = stamped.map(|(kind, value)| (self.ids.id(kind), value));
        head.end = header.write(mid.into_iter().chain(stamped).chain(mapped), buffer);
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::parameters::ExtensionIds;
    use crate::rewriter::DroppedSequences;
    use crate::up_track::EncodingIndex;
    use sealroute_rtp::{FullSequence, RtpPacket};
    use std::time::Instant;

    const MID: u8 = 3;
    const SSRC: u32 = 0x11;
    const RTX_SSRC: u32 = 0x12;
    const PACKET: CachedPacket<'static> = CachedPacket {
        timestamp: 0,
        marker: true,
        extensions: &[],
        payload: &[1, 2, 3],
        vp8: None,
    };

    fn parameters(rtx_ssrc: Option<u32>) -> DownTrackParameters {
        DownTrackParameters {
            mid: "v".into(),
            up_track_mid: "0".into(),
            ssrc: SSRC,
            rtx_ssrc,
            payload_type: 100,
            rtx_payload_type: rtx_ssrc.map(|_| 101),
            extensions: ExtensionIds(vec![(Extension::Mid, MID)]),
            nack: true,
        }
    }

    fn outgoing() -> Outgoing {
        Outgoing::new(parameters(Some(RTX_SSRC)), 90_000, Rewriter::default())
    }

    /// The rewritten header of the packet `number` of an encoding.
    fn mapped(outgoing: &mut Outgoing, number: u64) -> RewrittenHeader {
        let input = Input {
            now: Instant::now(),
            encoding: EncodingIndex(0),
            sequence: FullSequence(number),
            timestamp: 3_000,
            dropped: &DroppedSequences::default(),
            vp8: None,
        };
        if outgoing.rewriter.newest().is_none() {
            outgoing.start(&input);
        }
        outgoing.rewriter.map(&input).unwrap()
    }

    fn joined(head: &Head, payload: &[u8]) -> Vec<u8> {
        [head.bytes(), &payload[head.replaced..]].concat()
    }

    #[test]
    fn the_first_packets_carry_the_mid() {
        let mut outgoing = outgoing();
        for (number, with_mid) in [(500, true), (563, true), (564, false)] {
            let rewritten = mapped(&mut outgoing, number);
            let mut head = Head::empty();
            outgoing.write_packet(PACKET, rewritten, Stamp::None, &mut head);
            let packet = joined(&head, PACKET.payload);
            let packet = RtpPacket::parse(&packet).unwrap();
            let mid = packet.extensions().get(MID);
            assert_eq!(mid, with_mid.then_some(&b"v"[..]), "{number}");
            assert_eq!((packet.ssrc(), packet.payload_type()), (SSRC, 100));
            assert!(packet.marker());
        }
    }

    #[test]
    fn a_retransmission_carries_the_original_sequence_number_and_always_the_mid() {
        let mut outgoing = outgoing();
        let rewritten = mapped(&mut outgoing, 500);
        let stream = outgoing.rtx_stream().unwrap();
        for sequence in 1..=200 {
            let mut head = Head::empty();
            outgoing.write_retransmission(stream, PACKET, rewritten, Stamp::None, &mut head);
            let packet = joined(&head, PACKET.payload);
            let packet = RtpPacket::parse(&packet).unwrap();
            assert_eq!((packet.ssrc(), packet.payload_type()), (RTX_SSRC, 101));
            assert_eq!(packet.sequence().0, sequence);
            assert_eq!(packet.extensions().get(MID), Some(&b"v"[..]));
            assert_eq!(packet.payload(), [1, 244, 1, 2, 3]);
        }
    }

    #[test]
    fn padding_keeps_the_place_of_a_packet_and_has_no_payload() {
        let mut outgoing = outgoing();
        let rewritten = mapped(&mut outgoing, 500);
        let mut head = Head::empty();
        outgoing.write_padding(rewritten, Stamp::None, &mut head);
        let packet = joined(&head, &[1]);
        let packet = RtpPacket::parse(&packet).unwrap();
        assert_eq!(packet.sequence().0, 500);
        assert!(packet.payload().is_empty());
    }

    #[test]
    fn sent_packets_are_remembered_or_kept_but_never_both() {
        for (nack, rtx_ssrc) in [(true, Some(RTX_SSRC)), (true, None), (false, None)] {
            let parameters = DownTrackParameters {
                nack,
                ..parameters(rtx_ssrc)
            };
            let outgoing = Outgoing::new(parameters, 90_000, Rewriter::default());
            assert_eq!(outgoing.remembers(), nack && rtx_ssrc.is_some());
            assert_eq!(outgoing.keeps_protected(), nack && rtx_ssrc.is_none());
        }
    }
}
