//! Datagrams of DTLS handshakes, between the peers and the control plane, which terminates them.
//!
//! A client may start its handshake before its description arrives. The server cannot probe the
//! address without the credentials in it, so the address has a small budget until then
//! ([`sealroute_transport::PathProof`]); what exceeds the budget is queued.

use std::time::Instant;

use sealroute_forward::TransportHandle;
use sealroute_transport::{DtlsRefusal, PeerAddress, SharedDtlsGate};

use crate::api::Event;
use crate::core::Core;
use crate::drop_reason::NetworkDrop;
use crate::egress::{MessageSocket, SLOT_BYTES};
use crate::path::Path;
use crate::transport::Transport;

impl<S: MessageSocket> Core<S> {
    pub(crate) fn handle_dtls(
        &mut self,
        now: Instant,
        from: PeerAddress,
        datagram: &[u8],
    ) -> Result<(), NetworkDrop> {
        let transport = self
            .transports
            .by_address(from)
            .ok_or(NetworkDrop::UnknownAddress)?;
        let found = self
            .transports
            .get_mut(transport)
            .ok_or(NetworkDrop::UnknownAddress)?;
        let shared = self.dtls.get_or_insert_with(|| SharedDtlsGate::new(now));
        let passed = found.dtls.pass(now, datagram, shared);
        passed.map_err(refusal_of)?;
        let known = found.validated_mut(from);
        if let Some(path) = known.and_then(|known| known.on_handshake(now, datagram.len())) {
            self.probe_and_arm(now, transport, path);
        }
        self.counters.dtls_records += 1;
        let event = Event::DtlsDatagram {
            transport,
            datagram: datagram.to_vec().into(),
        };
        if self.events.push(event) {
            Ok(())
        } else {
            Err(NetworkDrop::EventRingFull)
        }
    }

    /// Sends a DTLS datagram, which needs no SRTP keys; queues it if the path is not proven yet.
    pub(crate) fn send_plain(&mut self, now: Instant, handle: TransportHandle, datagram: &[u8]) {
        let outcome = match self.plain_path(now, handle, datagram.len()) {
            Err(reason) => Err(reason),
            Ok(_) if datagram.len() > SLOT_BYTES => Err(NetworkDrop::SendTooLarge),
            Ok(path) => {
                self.egress.slot(&mut self.counters)[..datagram.len()].copy_from_slice(datagram);
                self.egress.commit(path, datagram.len());
                Ok(())
            }
        };
        let Err(reason) = outcome else { return };
        let can_queue = reason == NetworkDrop::SendPathUnproven && datagram.len() <= SLOT_BYTES;
        let transport = self.transports.get_mut(handle).filter(|_| can_queue);
        if !transport.is_some_and(|transport| transport.queue_handshake(datagram)) {
            self.counters.drop_packets(reason, 1);
        }
    }

    /// Sends the queued handshake once a path is proven.
    pub(crate) fn send_queued_handshake(&mut self, now: Instant, handle: TransportHandle) {
        let transport = self.transports.get_mut(handle);
        let ready = transport.filter(|transport| transport.path.is_some());
        for datagram in ready
            .map(Transport::take_queued_handshake)
            .unwrap_or_default()
        {
            self.send_plain(now, handle, &datagram);
        }
    }

    /// The path for this many handshake bytes. A client may start DTLS before its description
    /// arrives; the server cannot probe it without the credentials in it, so the address has a
    /// small budget.
    fn plain_path(
        &mut self,
        now: Instant,
        handle: TransportHandle,
        bytes: usize,
    ) -> Result<Path, NetworkDrop> {
        let transport = self
            .transports
            .get_mut(handle)
            .ok_or(NetworkDrop::SendNoAddress)?;
        if let Some(path) = transport.path {
            return Ok(path);
        }
        let candidate = transport.provisional().ok_or(NetworkDrop::SendNoAddress)?;
        if candidate.proof.spend(now, bytes) {
            Ok(candidate.path)
        } else {
            Err(NetworkDrop::SendPathUnproven)
        }
    }
}

fn refusal_of(refusal: DtlsRefusal) -> NetworkDrop {
    match refusal {
        DtlsRefusal::Malformed => NetworkDrop::DtlsMalformed,
        DtlsRefusal::ClearAlert => NetworkDrop::DtlsClearAlert,
        DtlsRefusal::ApplicationData => NetworkDrop::DtlsApplicationData,
        DtlsRefusal::Flood => NetworkDrop::DtlsFlood,
    }
}
