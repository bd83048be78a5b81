//! The ICE-lite side of one transport (RFC 8445, sections 2.5 and 7.3; RFC 7675).

use crate::stun::{self, StunError};
use std::net::SocketAddr;
use std::num::NonZeroU32;
use std::time::{Duration, Instant};

/// A peer's transport address.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
pub struct PeerAddress {
    /// Source address of its packets.
    pub address: SocketAddr,
    /// The number of its TCP connection, never reused; `None` for UDP.
    pub connection: Option<NonZeroU32>,
}

impl From<SocketAddr> for PeerAddress {
    fn from(address: SocketAddr) -> Self {
        Self {
            address,
            connection: None,
        }
    }
}

/// After this long without a check from the selected address, any check from another address
/// replaces it. A connected browser checks every 2.5 s, and more often before it has nominated a
/// pair.
const SILENCE_TIMEOUT: Duration = Duration::from_secs(3);

/// Why a STUN message was not answered.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
pub enum Ignored {
    /// Not a binding request that this agent understands.
    NotARequest(StunError),
    /// USERNAME is missing or names another transport.
    UnknownUfrag,
    /// MESSAGE-INTEGRITY is missing or wrong.
    Unauthentic,
    /// The sender claims the controlled role, which a lite agent never gives up.
    RoleConflict,
    /// The answer does not fit into the buffer, or would be longer than the request.
    NoRoom,
}

impl Ignored {
    /// A stable name for counters.
    pub const fn name(self) -> &'static str {
        match self {
            Self::NotARequest(reason) => reason.name(),
            Self::UnknownUfrag => "ice_unknown_ufrag",
            Self::Unauthentic => "ice_unauthentic",
            Self::RoleConflict => "ice_role_conflict",
            Self::NoRoom => "ice_no_room",
        }
    }
}

/// The outcome of a STUN message.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum IceOutcome {
    /// Send `out[..length]` to the source of the request.
    Reply {
        /// Length of the answer in bytes.
        length: usize,
        /// This was the first valid check.
        newly_validated: bool,
        /// The remote address changed.
        moved: bool,
        /// The source becomes the remote address as soon as it is proven.
        pending: bool,
    },
    /// Send nothing.
    Ignored(Ignored),
}

/// Answers the connectivity and consent checks of one peer, and selects its remote address.
///
/// The first valid check selects its source as the remote address. Later, a nominating check
/// changes it, and so does any valid check once the selected address has fallen silent (NAT
/// rebinding). Source addresses are easily forged, so only a proven source is selected; another one
/// is pending until it has responded to a probe. Authentic media from a proven address selects it
/// as well. Media from other addresses and checks that do not authenticate never do.
pub struct IceLite {
    local_ufrag: String,
    local_pwd: String,
    consent_timeout: Duration,
    selected: Option<Selected>,
}

#[derive(Clone, Copy)]
struct Selected {
    /// `None` after its connection ended; consent continues.
    remote: Option<PeerAddress>,
    checked: Instant,
    consent_expires: Instant,
    /// Selected by a check with the current credentials.
    is_current: bool,
}

impl IceLite {
    /// A transport without a remote address. Consent lasts for `consent_timeout` after a valid
    /// check.
    pub fn new(local_ufrag: String, local_pwd: String, consent_timeout: Duration) -> Self {
        Self {
            local_ufrag,
            local_pwd,
            consent_timeout,
            selected: None,
        }
    }

    /// The user fragment that identifies this transport in checks.
    pub fn local_ufrag(&self) -> &str {
        &self.local_ufrag
    }

    /// The selected remote address: the only one that media is sent to.
    pub fn remote(&self) -> Option<PeerAddress> {
        self.selected.and_then(|selected| selected.remote)
    }

    /// The connection of the remote address ended; the next valid check selects another address.
    pub fn forget_remote(&mut self) {
        if let Some(selected) = &mut self.selected {
            selected.remote = None;
        }
    }

    /// An ICE restart (RFC 8445, section 9): checks need the new credentials from now on, and the
    /// first valid one selects its source. Until then the current address stays.
    pub fn restart(&mut self, local_ufrag: String, local_pwd: String) {
        self.local_ufrag = local_ufrag;
        self.local_pwd = local_pwd;
        if let Some(selected) = &mut self.selected {
            selected.is_current = false;
        }
    }

    /// The peer responded to a probe at `from`, which is consent too (RFC 7675) and selects the
    /// address. `requested`: a check with the current credentials requested it. Returns whether the
    /// remote address changed.
    pub fn handle_response(&mut self, now: Instant, from: PeerAddress, requested: bool) -> bool {
        let moved = self.remote() != Some(from);
        self.selected = Some(Selected {
            remote: Some(from),
            checked: now,
            consent_expires: now + self.consent_timeout,
            is_current: requested || self.selected.is_none_or(|selected| selected.is_current),
        });
        moved
    }

    /// Selects an address because the peer sends its media from there. Consent is unchanged.
    pub fn select_by_media(&mut self, from: PeerAddress) {
        if let Some(selected) = &mut self.selected {
            selected.remote = Some(from);
        }
    }

    /// When consent to send expires, unless a valid check from the remote address arrives before.
    pub fn consent_expires(&self) -> Option<Instant> {
        self.selected.map(|selected| selected.consent_expires)
    }

    /// Handles a STUN message that arrived from `from`, and writes the answer to a valid check. An
    /// answer is never longer than its request. Addresses of dual-stack sockets must be in
    /// canonical form, because they are part of the answer. `proven`: the peer has proven the
    /// address.
    pub fn handle_request(
        &mut self,
        now: Instant,
        from: impl Into<PeerAddress>,
        proven: bool,
        datagram: &[u8],
        out: &mut [u8],
    ) -> IceOutcome {
        match self.answer(now, (from.into(), proven), datagram, out) {
            Ok(reply) => reply,
            Err(reason) => IceOutcome::Ignored(reason),
        }
    }

    fn answer(
        &mut self,
        now: Instant,
        (from, proven): (PeerAddress, bool),
        datagram: &[u8],
        out: &mut [u8],
    ) -> Result<IceOutcome, Ignored> {
        let request = stun::parse_request(datagram).map_err(Ignored::NotARequest)?;
        if request.local_ufrag() != Some(self.local_ufrag.as_bytes()) {
            return Err(Ignored::UnknownUfrag);
        }
        stun::verify_integrity(datagram, self.local_pwd.as_bytes())
            .map_err(|_| Ignored::Unauthentic)?;
        if request.unknown_attribute.is_some() {
            return Err(Ignored::NotARequest(StunError::UnknownAttribute));
        }
        if request.controlled.is_some() {
            return Err(Ignored::RoleConflict);
        }
        let password = self.local_pwd.as_bytes();
        let length = stun::write_success(request.transaction_id, from.address, password, out);
        if length == 0 || length > datagram.len() {
            return Err(Ignored::NoRoom);
        }
        let newly_validated = self.selected.is_none();
        let before = self.remote();
        let selects = self.selects_source(now, from, request.use_candidate);
        if selects && proven {
            self.selected = Some(Selected {
                remote: Some(from),
                checked: now,
                consent_expires: now + self.consent_timeout,
                is_current: true,
            });
        } else if before.is_none() {
            // Nothing is sent to this peer yet, so it may take its time to prove its address.
            self.selected = Some(Selected {
                remote: None,
                checked: now,
                consent_expires: now + self.consent_timeout,
                is_current: self.selected.is_none_or(|selected| selected.is_current),
            });
        }
        Ok(IceOutcome::Reply {
            length,
            newly_validated,
            moved: !newly_validated && before != self.remote(),
            pending: selects && !proven,
        })
    }

    /// Whether a valid check selects its source.
    fn selects_source(&self, now: Instant, from: PeerAddress, nominated: bool) -> bool {
        self.selected.is_none_or(|selected| {
            let silent = now.saturating_duration_since(selected.checked) >= SILENCE_TIMEOUT;
            let replaceable = selected.remote.is_none_or(|remote| remote == from) || silent;
            replaceable || nominated || !selected.is_current
        })
    }
}

#[cfg(test)]
#[path = "ice_lite_tests.rs"]
mod tests;
