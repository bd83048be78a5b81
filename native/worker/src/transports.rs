//! The peers' transports, found by handle, by ICE user fragment or by validated address.

use std::collections::HashMap;
use std::time::Instant;

use sealroute_forward::TransportHandle;
use sealroute_transport::{
    IceLite, PeerAddress, SrtpError, SrtpKeys, SrtpReceiver, SrtpSender, TwccReceiver,
};

use crate::commands::{Direction, RouterHandle, SrtpSecrets};
use crate::handles::HandleMap;
use crate::path::Path;

/// Ways to one peer; more than a browser with several networks tries.
const MAX_VALIDATED: usize = 16;

/// One peer's transport.
pub(crate) struct Transport {
    pub(crate) router: RouterHandle,
    pub(crate) direction: Direction,
    pub(crate) ice: IceLite,
    /// Where the peer is, as long as it consents to be sent to.
    pub(crate) path: Option<Path>,
    /// Where valid checks came from; media may come from there too.
    validated: Vec<PeerAddress>,
    pub(crate) receiver: Option<SrtpReceiver>,
    pub(crate) sender: Option<SrtpSender>,
    /// Negotiated id of the transport-wide sequence number, once a publisher uses it.
    pub(crate) feedback_extension: Option<u8>,
    pub(crate) feedback: TwccReceiver,
    /// The feedback names a stream of the peer: the last that was received.
    pub(crate) feedback_ssrc: u32,
}

impl Transport {
    pub(crate) fn new(router: RouterHandle, direction: Direction, ice: IceLite) -> Self {
        Self {
            router,
            direction,
            ice,
            path: None,
            validated: Vec::new(),
            receiver: None,
            sender: None,
            feedback_extension: None,
            feedback: TwccReceiver::new(),
            feedback_ssrc: 0,
        }
    }

    /// Takes the keys of a handshake. Once: other keys would be those of another peer.
    pub(crate) fn set_keys(&mut self, secrets: &SrtpSecrets) -> Result<(), SrtpError> {
        let keys = SrtpKeys {
            key: &secrets.receive_key.0,
            salt: &secrets.receive_salt.0,
        };
        let receiver = SrtpReceiver::new(secrets.profile, keys)?;
        let keys = SrtpKeys {
            key: &secrets.send_key.0,
            salt: &secrets.send_salt.0,
        };
        self.sender = Some(SrtpSender::new(secrets.profile, keys)?);
        self.receiver = Some(receiver);
        Ok(())
    }

    pub(crate) fn has_keys(&self) -> bool {
        self.receiver.is_some()
    }

    pub(crate) fn dump(&self, handle: TransportHandle, now: Instant) -> serde_json::Value {
        let expires = self.ice.consent_expires();
        serde_json::json!({
            "transport": handle.0,
            "direction": match self.direction { Direction::Uplink => "uplink", Direction::Downlink => "downlink" },
            "remote": self.path.map(|path| path.remote.to_string()),
            "protocol": self.path.map(|path| if path.connection.is_some() { "tcp" } else { "udp" }),
            "local": self.path.and_then(|path| path.local).map(|ip| ip.to_string()),
            "consent_left_ms": expires.map(|at| at.saturating_duration_since(now).as_millis() as u64),
            "has_keys": self.has_keys(),
            "feedback_extension": self.feedback_extension,
        })
    }
}

/// All transports. An address belongs to one transport: the one that validated it last.
#[derive(Default)]
pub(crate) struct Transports {
    members: HandleMap<TransportHandle, Transport>,
    ufrags: HashMap<String, TransportHandle>,
    addresses: HashMap<PeerAddress, TransportHandle>,
}

impl Transports {
    pub(crate) fn len(&self) -> usize {
        self.members.len()
    }

    pub(crate) fn contains(&self, handle: TransportHandle) -> bool {
        self.members.contains_key(&handle)
    }

    pub(crate) fn get_mut(&mut self, handle: TransportHandle) -> Option<&mut Transport> {
        self.members.get_mut(&handle)
    }

    pub(crate) fn get(&self, handle: TransportHandle) -> Option<&Transport> {
        self.members.get(&handle)
    }

    pub(crate) fn iter(&self) -> impl Iterator<Item = (TransportHandle, &Transport)> {
        self.members
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
        self.members.insert(handle, transport);
    }

    /// A valid check came from there: so may media. A peer sends over the way it prefers before its
    /// check says so (RFC 8445, section 12.2).
    pub(crate) fn validate(&mut self, handle: TransportHandle, peer: PeerAddress) {
        let owner = self.addresses.insert(peer, handle);
        if owner == Some(handle) {
            return;
        }
        if let Some(before) = owner.and_then(|owner| self.members.get_mut(&owner)) {
            before.validated.retain(|known| *known != peer);
        }
        let Some(transport) = self.members.get_mut(&handle) else {
            return;
        };
        if transport.validated.len() >= MAX_VALIDATED {
            let selected = transport.path.map(|path| path.peer());
            let oldest = usize::from(transport.validated.first().copied() == selected);
            self.addresses.remove(&transport.validated.remove(oldest));
        }
        transport.validated.push(peer);
    }

    /// Whether what is sent to the transport's peer goes there.
    pub(crate) fn is_at(&self, handle: TransportHandle, peer: PeerAddress) -> bool {
        let path = self.members.get(&handle).and_then(|found| found.path);
        path.is_some_and(|path| path.peer() == peer)
    }

    /// What is sent to the transport's peer goes over `path` from now on.
    pub(crate) fn set_path(&mut self, handle: TransportHandle, path: Path) {
        if let Some(transport) = self.members.get_mut(&handle) {
            transport.path = Some(path);
        }
    }

    /// Nothing comes from there any more; whether it was the peer's path.
    pub(crate) fn forget_address(&mut self, handle: TransportHandle, peer: PeerAddress) -> bool {
        self.addresses.remove(&peer);
        let Some(transport) = self.members.get_mut(&handle) else {
            return false;
        };
        transport.validated.retain(|known| *known != peer);
        let was_path = transport.path.is_some_and(|path| path.peer() == peer);
        if was_path {
            transport.path = None;
        }
        was_path
    }

    /// Nothing is sent to the transport's peer, or taken from it, until it validates again.
    pub(crate) fn forget_path(&mut self, handle: TransportHandle) {
        if let Some(transport) = self.members.get_mut(&handle) {
            transport.path = None;
            for peer in transport.validated.drain(..) {
                self.addresses.remove(&peer);
            }
        }
    }

    /// An ICE restart: checks find the transport by another fragment.
    pub(crate) fn restart_ice(&mut self, handle: TransportHandle, ufrag: String, pwd: String) {
        if let Some(transport) = self.members.get_mut(&handle) {
            self.ufrags.remove(transport.ice.local_ufrag());
            self.ufrags.insert(ufrag.clone(), handle);
            transport.ice.restart(ufrag, pwd);
        }
    }

    pub(crate) fn remove(&mut self, handle: TransportHandle) -> Option<Transport> {
        self.forget_path(handle);
        let transport = self.members.remove(&handle)?;
        self.ufrags.remove(transport.ice.local_ufrag());
        Some(transport)
    }
}
