//! What a session knows of each transport that publishes: the SSRCs that were bound without a
//! declaration, and the transport-wide feedback on its packets.

use std::collections::{BTreeSet, HashMap};
use std::time::Instant;

use sealroute_rtp::RtpPacket;

use crate::parameters::TransportHandle;
use crate::reports::OWN_SSRC;
use crate::twcc::TwccReceiver;

/// SSRCs of one transport that may be bound without a declaration.
const MAX_LATCHES: u8 = 16;

/// One uplink.
#[derive(Default)]
struct Uplink {
    /// SSRCs bound without a declaration.
    latched: u8,
    /// The id of the transport-wide sequence number on any of its m-lines; 0: none has it.
    transport_cc: u8,
    feedback: TwccReceiver,
    /// The SSRC that feedback names: the last one received.
    ssrc: u32,
    /// When feedback is due, as listed.
    due: Option<Instant>,
}

/// All uplinks of a session, with the times of their feedback in order.
#[derive(Default)]
pub(super) struct Uplinks {
    of: HashMap<TransportHandle, Uplink, foldhash::fast::RandomState>,
    order: BTreeSet<(Instant, TransportHandle)>,
}

impl Uplinks {
    /// The up tracks of the transport changed. `transport_cc`: the id of the transport-wide sequence
    /// number on any of them; 0: none has it.
    pub(super) fn renew(&mut self, transport: TransportHandle, transport_cc: u8) {
        self.of.entry(transport).or_default().transport_cc = transport_cc;
    }

    pub(super) fn close(&mut self, transport: TransportHandle) {
        let closed = self.of.remove(&transport);
        if let Some(due) = closed.and_then(|uplink| uplink.due) {
            self.order.remove(&(due, transport));
        }
    }

    /// Whether one more SSRC may be bound without a declaration.
    pub(super) fn may_latch(&self, transport: TransportHandle) -> bool {
        let uplink = self.of.get(&transport);
        uplink.is_some_and(|uplink| uplink.latched < MAX_LATCHES)
    }

    pub(super) fn count_latch(&mut self, transport: TransportHandle) {
        if let Some(uplink) = self.of.get_mut(&transport) {
            uplink.latched += 1;
        }
    }

    /// Records the transport-wide sequence number of an authentic packet. `id`: that of its header
    /// extension, or 0 if it was not negotiated; `None`: the packet belongs to no up track.
    pub(super) fn record(
        &mut self,
        now: Instant,
        transport: TransportHandle,
        packet: &RtpPacket<'_>,
        id: Option<u8>,
    ) {
        if id == Some(0) {
            return;
        }
        let Some(uplink) = self.of.get_mut(&transport) else {
            return;
        };
        let id = id.unwrap_or(uplink.transport_cc);
        if id == 0 {
            return;
        }
        let Some(&sequence) = packet.extensions().get(id).and_then(<[u8]>::first_chunk) else {
            return;
        };
        uplink.feedback.record(now, u16::from_be_bytes(sequence));
        uplink.ssrc = packet.ssrc();
        let due = uplink.feedback.poll_timeout();
        if due != uplink.due {
            list(&mut self.order, transport, uplink);
        }
    }

    /// When feedback is due.
    pub(super) fn poll_timeout(&self) -> Option<Instant> {
        self.order.first().map(|&(due, _)| due)
    }

    /// Writes one feedback that is due into the empty `out`. Returns whom it is for. Call it until it
    /// returns `None`.
    pub(super) fn poll_feedback(
        &mut self,
        now: Instant,
        out: &mut Vec<u8>,
    ) -> Option<TransportHandle> {
        while let Some(&(due, transport)) = self.order.first() {
            if due > now {
                return None;
            }
            let Some(uplink) = self.of.get_mut(&transport) else {
                self.order.pop_first();
                continue;
            };
            let is_due = uplink
                .feedback
                .poll_feedback(now, OWN_SSRC, uplink.ssrc, out);
            list(&mut self.order, transport, uplink);
            if is_due {
                return Some(transport);
            }
        }
        None
    }
}

/// Lists an uplink under the time at which its feedback is due.
fn list(
    order: &mut BTreeSet<(Instant, TransportHandle)>,
    transport: TransportHandle,
    uplink: &mut Uplink,
) {
    let due = uplink.feedback.poll_timeout();
    if let Some(before) = std::mem::replace(&mut uplink.due, due) {
        order.remove(&(before, transport));
    }
    if let Some(due) = due {
        order.insert((due, transport));
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use sealroute_rtp::RtpHeader;
    use std::time::Duration;

    const ID: u8 = 5;
    const ANN: TransportHandle = TransportHandle(1);
    const BEN: TransportHandle = TransportHandle(2);

    fn packet(sequence: u16) -> Vec<u8> {
        let header = RtpHeader {
            marker: false,
            payload_type: 96,
            sequence,
            timestamp: 0,
            ssrc: 7,
        };
        let mut out = [0; 64];
        let value = sequence.to_be_bytes();
        let length = header.write(std::iter::once((ID, &value[..])), &mut out);
        out[..length].to_vec()
    }

    fn record(uplinks: &mut Uplinks, now: Instant, transport: TransportHandle, id: Option<u8>) {
        let bytes = packet(9);
        uplinks.record(now, transport, &RtpPacket::parse(&bytes).unwrap(), id);
    }

    fn feedback(uplinks: &mut Uplinks, now: Instant) -> Vec<TransportHandle> {
        let mut out = Vec::new();
        let due = std::iter::from_fn(|| uplinks.poll_feedback(now, &mut out));
        due.collect()
    }

    #[test]
    fn feedback_is_due_for_each_uplink_that_received_and_then_for_none() {
        let (mut uplinks, now) = (Uplinks::default(), Instant::now());
        for transport in [ANN, BEN] {
            uplinks.renew(transport, ID);
        }
        record(&mut uplinks, now, BEN, Some(ID));
        record(&mut uplinks, now + Duration::from_millis(1), ANN, None);
        let due = uplinks.poll_timeout().unwrap();
        assert_eq!(feedback(&mut uplinks, now), []);
        assert_eq!(feedback(&mut uplinks, due), [BEN]);
        let later = due + Duration::from_secs(1);
        assert_eq!(feedback(&mut uplinks, later), [ANN]);
        assert_eq!(feedback(&mut uplinks, later), []);
        assert_eq!(uplinks.poll_timeout(), None);
    }

    #[test]
    fn what_was_not_negotiated_is_not_recorded() {
        let (mut uplinks, now) = (Uplinks::default(), Instant::now());
        record(&mut uplinks, now, ANN, Some(ID));
        uplinks.renew(ANN, 0);
        record(&mut uplinks, now, ANN, Some(0));
        record(&mut uplinks, now, ANN, None);
        assert_eq!(uplinks.poll_timeout(), None);
    }

    #[test]
    fn a_closed_uplink_is_due_for_nothing() {
        let (mut uplinks, now) = (Uplinks::default(), Instant::now());
        uplinks.renew(ANN, ID);
        record(&mut uplinks, now, ANN, Some(ID));
        uplinks.close(ANN);
        assert_eq!(uplinks.poll_timeout(), None);
        assert_eq!(feedback(&mut uplinks, now + Duration::from_secs(9)), []);
    }

    #[test]
    fn few_ssrcs_are_bound_without_a_declaration() {
        let mut uplinks = Uplinks::default();
        assert!(!uplinks.may_latch(ANN));
        uplinks.renew(ANN, 0);
        for _ in 0..MAX_LATCHES {
            assert!(uplinks.may_latch(ANN));
            uplinks.count_latch(ANN);
        }
        assert!(!uplinks.may_latch(ANN));
    }
}
