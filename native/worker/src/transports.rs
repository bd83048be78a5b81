//! The peers' transports, indexed by handle, ICE user fragment and validated address.

use std::collections::HashMap;
use std::time::Instant;

use sealroute_forward::TransportHandle;
use sealroute_transport::PeerAddress;

use crate::handles::HandleMap;
use crate::path::Path;
use crate::transport::Transport;

/// All transports. An address belongs to the transport that validated it last.
#[derive(Default)]
pub(crate) struct Transports {
    by_handle: HandleMap<TransportHandle, Transport>,
    ufrags: HashMap<String, TransportHandle>,
    addresses: HashMap<PeerAddress, TransportHandle>,
}

impl Transports {
    pub(crate) fn len(&self) -> usize {
        self.by_handle.len()
    }

    pub(crate) fn contains(&self, handle: TransportHandle) -> bool {
        self.by_handle.contains_key(&handle)
    }

    pub(crate) fn get_mut(&mut self, handle: TransportHandle) -> Option<&mut Transport> {
        self.by_handle.get_mut(&handle)
    }

    pub(crate) fn get(&self, handle: TransportHandle) -> Option<&Transport> {
        self.by_handle.get(&handle)
    }

    pub(crate) fn iter(&self) -> impl Iterator<Item = (TransportHandle, &Transport)> {
        self.by_handle
            .iter()
            .map(|(handle, transport)| (*handle, transport))
    }

    pub(crate) fn by_ufrag(&self, ufrag: &str) -> Option<TransportHandle> {
        self.ufrags.get(ufrag).copied()
    }

    pub(crate) fn by_address(&self, address: PeerAddress) -> Option<TransportHandle> {
        self.addresses.get(&address).copied()
    }

    pub(crate) fn insert(&mut self, handle: TransportHandle, ufrag: String, transport: Transport) {
        self.ufrags.insert(ufrag, handle);
        self.by_handle.insert(handle, transport);
    }

    /// A valid check arrived over the path, so media is accepted from it: a peer may send over a
    /// pair before it nominates the pair (RFC 8445, section 12.2).
    pub(crate) fn validate(&mut self, now: Instant, handle: TransportHandle, path: Path) {
        let peer = path.peer();
        let owner = self.addresses.insert(peer, handle);
        if owner == Some(handle) {
            if let Some(transport) = self.by_handle.get_mut(&handle) {
                transport.renew_validated(now, path);
            }
            return;
        }
        if let Some(before) = owner.and_then(|owner| self.by_handle.get_mut(&owner)) {
            before.forget_validated(peer);
        }
        let Some(transport) = self.by_handle.get_mut(&handle) else {
            return;
        };
        if let Some(evicted) = transport.add_validated(now, path) {
            self.addresses.remove(&evicted);
        }
    }

    /// Whether the transport's peer has proven the address.
    pub(crate) fn has_proven(
        &self,
        now: Instant,
        handle: TransportHandle,
        peer: PeerAddress,
    ) -> bool {
        let transport = self.by_handle.get(&handle);
        transport.is_some_and(|transport| transport.has_proven(now, peer))
    }

    /// Forgets an address whose connection ended. Returns whether it was the selected path.
    pub(crate) fn forget_address(&mut self, handle: TransportHandle, peer: PeerAddress) -> bool {
        self.addresses.remove(&peer);
        let Some(transport) = self.by_handle.get_mut(&handle) else {
            return false;
        };
        transport.forget_validated(peer);
        let was_path = transport.path.is_some_and(|path| path.peer() == peer);
        if was_path {
            transport.path = None;
        }
        was_path
    }

    /// Forgets every path: nothing is sent to the peer or accepted from it until it validates
    /// again.
    pub(crate) fn forget_path(&mut self, handle: TransportHandle) {
        if let Some(transport) = self.by_handle.get_mut(&handle) {
            transport.ice.forget_remote();
            for peer in transport.forget_paths() {
                self.addresses.remove(&peer);
            }
        }
    }

    /// An ICE restart: checks identify the transport by the new fragment.
    pub(crate) fn restart_ice(&mut self, handle: TransportHandle, ufrag: String, pwd: String) {
        if let Some(transport) = self.by_handle.get_mut(&handle) {
            self.ufrags.remove(transport.ice.local_ufrag());
            self.ufrags.insert(ufrag.clone(), handle);
            transport.ice.restart(ufrag, pwd);
            transport.clear_requests();
        }
    }

    pub(crate) fn remove(&mut self, handle: TransportHandle) -> Option<Transport> {
        self.forget_path(handle);
        let transport = self.by_handle.remove(&handle)?;
        self.ufrags.remove(transport.ice.local_ufrag());
        Some(transport)
    }
}
