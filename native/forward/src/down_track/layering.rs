//! Layers inside an encoding: the target level, and padding in place of packets above it.

use std::time::Instant;

use sealroute_rtp::RtpHeader;

use super::{CLEAR, DownTrack, OwnHeader, PADDING_BIT};
use crate::congestion::downlink::Downlink;
use crate::layer_filter::{Level, Verdict};
use crate::layers::Allocation;
use crate::outbox::Outbox;
use crate::parameters::PreferredLayers;
use crate::rewriter::RewrittenHeader;
use crate::up_track::{Encoding, EncodingIndex, Pending, UpTrack};

/// One byte of padding: a packet without media.
const EMPTY_PACKET: [u8; 1] = [1];

impl DownTrack {
    pub(super) fn judge(&mut self, pending: Pending, timestamp: u32, stream: &Encoding) -> Verdict {
        let Some(mark) = pending.layer else {
            return Verdict::Pass { ends_frame: false };
        };
        let target = self.target_level(pending.encoding, stream);
        self.filter
            .judge(mark, timestamp, pending.key_frame, target)
    }

    /// The highest layers of an encoding that preferences and allocation allow.
    pub(super) fn target_level(&self, encoding: EncodingIndex, stream: &Encoding) -> Level {
        let preferred = if self.preferred == PreferredLayers::default() {
            Level::TOP
        } else {
            stream.layers.preferred(self.preferred, stream.view().size)
        };
        match self.allocation {
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

    /// Whether a higher spatial layer waits for a key frame.
    pub(super) fn awaits_size(&self, up_track: &UpTrack) -> bool {
        let Some(encoding) = self.current else {
            return false;
        };
        let stream = &up_track.encodings[encoding];
        let top = stream.layers.top();
        let target = self.target_level(encoding, stream).min(top);
        self.filter.level().spatial < target.spatial
    }

    /// Sends padding under the sequence number of a packet that the receiver expects but must not
    /// get.
    pub(super) fn send_padding_for(
        &mut self,
        now: Instant,
        rewritten: RewrittenHeader,
        downlink: &mut Downlink,
        out: &mut impl Outbox,
    ) {
        let mut buffer = CLEAR;
        let header = RtpHeader {
            marker: false,
            payload_type: self.parameters.payload_type,
            sequence: rewritten.sequence as u16,
            timestamp: rewritten.timestamp,
            ssrc: self.parameters.ssrc,
        };
        let own = OwnHeader {
            header,
            with_mid: false,
            stamp: self.stamp(now, EMPTY_PACKET.len(), downlink),
        };
        let end = self.write_header(own, &[], &mut buffer);
        buffer[0] |= PADDING_BIT;
        if self.keeps_protected() {
            self.first.get_or_insert(rewritten.sequence);
            out.rtp_kept(self.transport, &buffer[..end], &EMPTY_PACKET);
        } else {
            out.rtp(self.transport, &buffer[..end], &EMPTY_PACKET);
        }
        self.rewriter.count_sent(rewritten);
        self.padding_packets += 1;
    }
}
