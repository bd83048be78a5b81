//! The peers' transports, found by handle, by ICE user fragment or by validated address.

use std::collections::HashMap;
use std::time::Instant;

use sealroute_forward::TransportHandle;
use sealroute_transport::{
    IceLite, OwnChecks, PeerAddress, Reachability, SrtpError, SrtpKeys, SrtpReceiver, SrtpSender,
    TwccReceiver,
};

use crate::commands::{Direction, RouterHandle, SrtpSecrets};
use crate::handles::HandleMap;
use crate::path::Path;

/// Ways to one peer; more than a browser with several networks tries.
const MAX_VALIDATED: usize = 16;

/// An address that valid checks came from.
#[derive(Clone, Copy, Debug)]
pub(crate) struct Way {
    pub(crate) path: Path,
    pub(crate) checked: Instant,
    /// When the peer, asked there, answered elsewhere.
    pub(crate) failed: Option<Instant>,
}

/// One peer's transport.
pub(crate) struct Transport {
    pub(crate) router: RouterHandle,
    pub(crate) direction: Direction,
    pub(crate) ice: IceLite,
    /// Where the peer is, as long as it consents to be sent to.
    pub(crate) path: Option<Path>,
    /// Where valid checks came from; media may come from there too.
    validated: Vec<Way>,
    /// When authentic packets last came from where `path` leads.
    pub(crate) media_heard: Instant,
    pub(crate) reach: Reachability,
    pub(crate) checks: OwnChecks,
    pub(crate) receiver: Option<SrtpReceiver>,
    pub(crate) sender: Option<SrtpSender>,
    /// Negotiated id of the transport-wide sequence number, once a publisher uses it.
    pub(crate) feedback_extension: Option<u8>,
    pub(crate) feedback: TwccReceiver,
    /// The feedback names a stream of the peer: the last that was received.
    pub(crate) feedback_ssrc: u32,
}

impl Transport {
    pub(crate) fn new(
        now: Instant,
        router: RouterHandle,
        direction: Direction,
        ice: IceLite,
    ) -> Self {
        Self {
            router,
            direction,
            ice,
            path: None,
            validated: Vec::new(),
            media_heard: now,
            reach: Reachability::default(),
            checks: OwnChecks::default(),
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

    pub(crate) fn ways(&self) -> impl Iterator<Item = &Way> {
        self.validated.iter()
    }

    pub(crate) fn has_other_ways(&self) -> bool {
        self.validated.len() > 1
    }

    /// What is sent to the peer goes over `path` from now on.
    pub(crate) fn go(&mut self, now: Instant, path: Path) {
        self.path = Some(path);
        self.media_heard = now;
        self.reach.on_answer(now);
    }

    /// An authentic packet came over `path`; whether that is where the peer is sent to.
    pub(crate) fn hear(&mut self, now: Instant, path: Path) -> bool {
        let there = self.path.is_some_and(|own| own.peer() == path.peer());
        if there {
            self.media_heard = now;
        }
        there
    }

    /// The peer was asked where it is, and answered elsewhere.
    pub(crate) fn distrust_selected(&mut self, now: Instant) {
        let selected = self.path.map(|path| path.peer());
        for way in &mut self.validated {
            if Some(way.path.peer()) == selected {
                way.failed = Some(now);
            }
        }
    }

    /// Whether a packet of unknown origin looks like one of this peer.
    pub(crate) fn expects(&self, datagram: &[u8]) -> bool {
        let receiver = self.receiver.as_ref();
        receiver.is_some_and(|receiver| receiver.expects(datagram))
    }

    /// Whether the peer's keys sealed a packet; it does not count as received.
    pub(crate) fn sealed(&mut self, datagram: &[u8]) -> bool {
        let receiver = self.receiver.as_mut();
        receiver.is_some_and(|receiver| receiver.sealed(datagram))
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
    pub(crate) fn validate(&mut self, now: Instant, handle: TransportHandle, path: Path) {
        let peer = path.peer();
        let way = Way {
            path,
            checked: now,
            failed: None,
        };
        let owner = self.addresses.insert(peer, handle);
        if owner == Some(handle) {
            let known = self.members.get_mut(&handle).into_iter();
            let mut ways = known.flat_map(|transport| &mut transport.validated);
            if let Some(known) = ways.find(|known| known.path.peer() == peer) {
                *known = way;
            }
            return;
        }
        if let Some(before) = owner.and_then(|owner| self.members.get_mut(&owner)) {
            before.validated.retain(|known| known.path.peer() != peer);
        }
        let Some(transport) = self.members.get_mut(&handle) else {
            return;
        };
        if transport.validated.len() >= MAX_VALIDATED {
            let selected = transport.path.map(|path| path.peer());
            let first = transport.validated.first().map(|way| way.path.peer());
            let oldest = usize::from(first == selected);
            let forgotten = transport.validated.remove(oldest);
            self.addresses.remove(&forgotten.path.peer());
        }
        transport.validated.push(way);
    }

    /// Whether what is sent to the transport's peer goes there.
    pub(crate) fn is_at(&self, handle: TransportHandle, peer: PeerAddress) -> bool {
        let path = self.members.get(&handle).and_then(|found| found.path);
        path.is_some_and(|path| path.peer() == peer)
    }

    /// Nothing comes from there any more; whether it was the peer's path.
    pub(crate) fn forget_address(&mut self, handle: TransportHandle, peer: PeerAddress) -> bool {
        self.addresses.remove(&peer);
        let Some(transport) = self.members.get_mut(&handle) else {
            return false;
        };
        transport.validated.retain(|way| way.path.peer() != peer);
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
            for way in transport.validated.drain(..) {
                self.addresses.remove(&way.path.peer());
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
