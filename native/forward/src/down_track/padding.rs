//! Packets without media: in the place of one that the receiver must not get, and as a probe.

use std::time::Instant;

use super::DownTrack;
use super::outgoing::Head;
use crate::congestion::downlink::{Content, Downlink};
use crate::outbox::Outbox;
use crate::parameters::MediaKind;
use crate::rewriter::RewrittenHeader;

/// One byte of padding: a packet without media.
const EMPTY_PACKET: [u8; 1] = [1];
/// RFC 3550 section 5.1: the last byte holds the padding length.
const PADDING: [u8; 255] = {
    let mut padding = [0; 255];
    padding[254] = 255;
    padding
};

impl DownTrack {
    /// Sends padding under the sequence number of a packet that the receiver expects but must not
    /// get.
    pub(super) fn send_padding_for(
        &mut self,
        now: Instant,
        rewritten: RewrittenHeader,
        downlink: &mut Downlink,
        out: &mut impl Outbox,
    ) {
        let stamp = downlink.stamp(now, EMPTY_PACKET.len(), self.outgoing.content());
        let mut head = Head::empty();
        self.outgoing.write_padding(rewritten, stamp, &mut head);
        if self.outgoing.keeps_protected() {
            self.repair.note_assigned(rewritten.sequence);
            out.rtp_kept(self.route.transport, head.bytes(), &EMPTY_PACKET);
        } else {
            out.rtp(self.route.transport, head.bytes(), &EMPTY_PACKET);
        }
        self.outgoing.rewriter.count_sent(rewritten);
        self.delivery.count_padding();
    }

    /// Whether the down track can send padding that the subscriber reports on.
    pub(crate) fn can_probe(&self) -> bool {
        self.route.kind == MediaKind::Video
            && self.is_reported()
            && self.outgoing.rtx_stream().is_some()
    }

    /// Sends one packet of padding over the retransmission stream. Returns its size in bytes.
    pub(crate) fn send_padding(
        &mut self,
        now: Instant,
        downlink: &mut Downlink,
        out: &mut impl Outbox,
    ) -> usize {
        let Some(stream) = self.outgoing.rtx_stream() else {
            return 0;
        };
        let stamp = downlink.stamp(now, PADDING.len(), Content::Padding);
        let mut head = Head::empty();
        self.outgoing.write_probe(stream, stamp, &mut head);
        out.rtp(self.route.transport, head.bytes(), &PADDING);
        downlink.pacer.spend(now, PADDING.len());
        PADDING.len()
    }
}
