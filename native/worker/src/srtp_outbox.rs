//! The outbox of forwarding: packets are protected in send slots and addressed to the peer.
//!
//! A transport that is no peer's may be a tap or a trunk. Only then are they looked for, so that
//! forwarding to peers costs the same with and without them.

use sealroute_forward::{ForwardEvent, Outbox, TransportHandle};
use sealroute_transport::{SrtpError, SrtpSender};

use crate::api::Event;
use crate::drop_reason::NetworkDrop;
use crate::egress::{Egress, MessageSocket};
use crate::event_ring::EventRing;
use crate::network_counters::NetworkCounters;
use crate::not_sent::ssrc_of_rtp;
use crate::taps::Taps;
use crate::transports::Transports;
use crate::trunk_ring::Kind;
use crate::trunks::Trunks;

/// Borrows the parts of the core that sending needs, for one call into a session.
pub(crate) struct SrtpOutbox<'a, S> {
    pub(crate) transports: &'a mut Transports,
    pub(crate) taps: &'a mut Taps,
    pub(crate) trunks: &'a mut Trunks,
    pub(crate) egress: &'a mut Egress<S>,
    pub(crate) counters: &'a mut NetworkCounters,
    pub(crate) events: &'a EventRing,
}

impl<S: MessageSocket> SrtpOutbox<'_, S> {
    fn send<F>(&mut self, transport: TransportHandle, protect: F) -> Result<usize, NetworkDrop>
    where
        F: FnOnce(&mut SrtpSender, &mut [u8]) -> Result<usize, SrtpError>,
    {
        let transport = self
            .transports
            .get_mut(transport)
            .ok_or(NetworkDrop::SendNoAddress)?;
        let path = transport.path.ok_or_else(|| transport.why_no_path())?;
        let sender = transport.sender.as_mut().ok_or(NetworkDrop::SendNoKeys)?;
        let slot = self.egress.slot(self.counters);
        let length = protect(sender, slot).map_err(|_| NetworkDrop::SendNotProtected)?;
        self.egress.commit(path, length);
        transport.reach.on_sent();
        Ok(length)
    }

    fn count_rtp(
        &mut self,
        transport: TransportHandle,
        packet: [&[u8]; 2],
        outcome: Result<usize, NetworkDrop>,
    ) {
        if let Err(reason) = outcome {
            self.pass_elsewhere(transport, packet, reason);
        }
    }

    /// The transport is a tap or a trunk, or the packet is not sent. Apart from what peers get, so
    /// that this stays as short as it is.
    #[cold]
    #[inline(never)]
    fn pass_elsewhere(
        &mut self,
        transport: TransportHandle,
        packet: [&[u8]; 2],
        reason: NetworkDrop,
    ) {
        let (taps, trunks) = (&mut self.taps, &mut self.trunks);
        if taps.rtp(transport, packet, self.counters)
            || trunks.send(transport, Kind::Rtp, packet, self.counters)
        {
            return;
        }
        let [header, _] = packet;
        self.counters.drop_packets(reason, 1);
        let ssrc = ssrc_of_rtp(header);
        if let (Some(ssrc), Some(transport)) = (ssrc, self.transports.get_mut(transport)) {
            transport.not_sent.note(ssrc, reason, 1);
        }
    }
}

impl<S: MessageSocket> Outbox for SrtpOutbox<'_, S> {
    fn rtp(&mut self, transport: TransportHandle, header: &[u8], payload: &[u8]) {
        let outcome = self.send(transport, |sender, slot| {
            sender.protect_rtp(header, payload, slot)
        });
        self.count_rtp(transport, [header, payload], outcome);
    }

    fn rtp_kept(&mut self, transport: TransportHandle, header: &[u8], payload: &[u8]) {
        let outcome = self.send(transport, |sender, slot| {
            sender.protect_rtp_and_keep(header, payload, slot)
        });
        self.count_rtp(transport, [header, payload], outcome);
    }

    fn rtp_again(&mut self, transport: TransportHandle, ssrc: u32, sequence: u16) -> Option<usize> {
        self.send(transport, |sender, slot| {
            sender.copy_kept(ssrc, sequence, slot)
        })
        .ok()
    }

    fn rtcp(&mut self, transport: TransportHandle, compound: &[u8]) {
        let outcome = self.send(transport, |sender, slot| {
            sender.protect_rtcp(compound, slot)
        });
        if let Err(reason) = outcome
            && !self.taps.rtcp(transport, compound, self.counters)
            && !(self.trunks).send(transport, Kind::Rtcp, [compound, &[]], self.counters)
        {
            self.counters.drop_packets(reason, 1);
        }
    }

    fn lost(&mut self, transport: TransportHandle, ssrc: u32, packets: u32) {
        self.taps.lose(transport, ssrc, packets);
    }

    fn event(&mut self, event: ForwardEvent) {
        if !self.events.push(Event::Forward(event)) {
            self.counters.events_dropped += 1;
        }
    }
}
