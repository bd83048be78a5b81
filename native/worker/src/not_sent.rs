//! Packets that could not be sent to a peer, by stream, so that diagnosis can name the cause.

use std::collections::HashMap;

use crate::api::NotSent;
use crate::drop_reason::NetworkDrop;
use crate::egress::Refused;
use crate::transports::Transports;

/// A peer receives few streams at a time; rows beyond this are in the counters only.
const MAX_ROWS: usize = 1_024;
const SSRC_AT: std::ops::Range<usize> = 8..12;

/// RTP packets by SSRC and reason. Allocates nothing as long as everything is sent.
#[derive(Debug, Default)]
pub(crate) struct NotSentPackets {
    rows: HashMap<(u32, NetworkDrop), u64>,
}

impl NotSentPackets {
    pub(crate) fn note(&mut self, ssrc: u32, reason: NetworkDrop, packets: u64) {
        let key = (ssrc, reason);
        if self.rows.len() < MAX_ROWS || self.rows.contains_key(&key) {
            *self.rows.entry(key).or_default() += packets;
        }
    }

    pub(crate) fn snapshot(&self) -> Vec<NotSent> {
        let mut rows: Vec<_> = self.rows.iter().collect();
        rows.sort_unstable();
        rows.into_iter()
            .map(|((ssrc, reason), packets)| NotSent {
                ssrc: *ssrc,
                reason: reason.name(),
                packets: *packets,
            })
            .collect()
    }
}

/// Attributes the packets that the kernel refused to their peers.
pub(crate) fn note_refused(transports: &mut Transports, refused: impl Iterator<Item = Refused>) {
    for row in refused {
        let handle = transports.by_address(row.peer);
        if let Some(transport) = handle.and_then(|handle| transports.get_mut(handle)) {
            transport.not_sent.note(row.ssrc, row.reason, row.packets);
        }
    }
}

/// The SSRC of an RTP or SRTP packet; `None` for anything else.
pub(crate) fn ssrc_of_rtp(packet: &[u8]) -> Option<u32> {
    let is_rtp = matches!(packet, [first, second, ..]
        if first >> 6 == 2 && !(192..=223).contains(second));
    let bytes = packet.get(SSRC_AT).filter(|_| is_rtp)?;
    Some(u32::from_be_bytes(bytes.try_into().ok()?))
}

#[cfg(test)]
#[path = "not_sent_tests.rs"]
mod tests;
