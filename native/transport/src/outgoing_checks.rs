//! Probes: connectivity checks that this side sends to a peer to locate it. A lite agent need not
//! send any (RFC 8445, section 2.5), but they find a migrated peer sooner.

use std::net::IpAddr;
use std::time::{Duration, Instant};

use aws_lc_rs::{hmac, rand};

use crate::ice_lite::PeerAddress;
use crate::stun::{self, BindingRequest, TransactionId};

/// Responses that take longer are ignored.
const RESPONSE_TIMEOUT: Duration = Duration::from_secs(3);
/// Accepted responses that are remembered, so that none counts twice; more than arrive within
/// `RESPONSE_TIMEOUT`.
const MAX_ACCEPTED: usize = 64;
/// Type preference 110 of a peer-reflexive candidate (RFC 8445, section 5.1.2.2).
const PRIORITY: u32 = (110 << 24) | (65_535 << 8) | 255;
/// The part of a transaction id that holds the time of the check, in milliseconds.
const TIMESTAMP_BYTES: usize = 4;

/// The peer's ICE credentials.
#[derive(Clone)]
pub struct PeerCredentials {
    /// Its user fragment.
    pub ufrag: String,
    /// Authenticates checks to the peer, and its responses.
    pub pwd: String,
}

/// The outgoing checks of one transport.
///
/// No state is kept per check: the transaction id is a time and a MAC of that time and the
/// destination address. So checks to forged addresses use no memory, and only the receiver of a
/// check can respond to it, even though the peer chose the password.
#[derive(Default)]
pub struct OutgoingChecks {
    peer: Option<PeerCredentials>,
    key: Option<(hmac::Key, Instant)>,
    accepted: Vec<(TransactionId, Instant)>,
}

impl OutgoingChecks {
    /// Sets the credentials from the peer's description. Without them no checks are sent.
    pub fn set_peer(&mut self, peer: PeerCredentials) {
        self.peer = Some(peer);
        // Checks with the earlier credentials are not answered any more.
        self.key = None;
        self.accepted.clear();
    }

    /// Writes a check to `to`. Returns its length, or 0 if none can be sent.
    pub fn write(
        &mut self,
        now: Instant,
        local_ufrag: &str,
        to: PeerAddress,
        out: &mut [u8],
    ) -> usize {
        let Some(peer) = &self.peer else { return 0 };
        if self.key.is_none() {
            let mut secret = [0; 32];
            if rand::fill(&mut secret).is_err() {
                return 0;
            }
            self.key = Some((hmac::Key::new(hmac::HMAC_SHA256, &secret), now));
        }
        let Some((key, start)) = &self.key else {
            return 0;
        };
        let mut tie_breaker = [0; 8];
        if rand::fill(&mut tie_breaker).is_err() {
            return 0;
        }
        let elapsed = now.saturating_duration_since(*start).as_millis() as u32;
        let request = BindingRequest {
            transaction_id: transaction_id(key, elapsed, to),
            username: &format!("{}:{local_ufrag}", peer.ufrag),
            priority: PRIORITY,
            controlling: u64::from_be_bytes(tie_breaker),
            use_candidate: false,
        };
        stun::write_controlled_request(&request, peer.pwd.as_bytes(), out)
    }

    /// Whether the datagram from `from` is the first response to a check that was sent there.
    pub fn accept_response(&mut self, now: Instant, from: PeerAddress, datagram: &[u8]) -> bool {
        let (Some(peer), Some((key, start))) = (&self.peer, &self.key) else {
            return false;
        };
        let Ok(response) = stun::parse_response(datagram) else {
            return false;
        };
        let id = response.transaction_id;
        let Some(timestamp) = id.first_chunk::<TIMESTAMP_BYTES>() else {
            return false;
        };
        let timestamp = u32::from_be_bytes(*timestamp);
        let elapsed = now.saturating_duration_since(*start).as_millis() as u32;
        let in_time = u128::from(elapsed.wrapping_sub(timestamp)) < RESPONSE_TIMEOUT.as_millis();
        let ours = in_time && is_same(&id, &transaction_id(key, timestamp, from));
        if !response.success || !ours || self.accepted.iter().any(|(accepted, _)| *accepted == id) {
            return false;
        }
        if stun::verify_integrity(datagram, peer.pwd.as_bytes()).is_err() {
            return false;
        }
        self.accepted
            .retain(|(_, at)| now.saturating_duration_since(*at) < RESPONSE_TIMEOUT);
        if self.accepted.len() >= MAX_ACCEPTED {
            self.accepted.remove(0);
        }
        self.accepted.push((id, now));
        true
    }
}

/// The time of a check, and a MAC of the time and the destination.
fn transaction_id(key: &hmac::Key, timestamp: u32, to: PeerAddress) -> TransactionId {
    let mut context = hmac::Context::with_key(key);
    context.update(&timestamp.to_be_bytes());
    match to.address.ip() {
        IpAddr::V4(ip) => context.update(&ip.octets()),
        IpAddr::V6(ip) => context.update(&ip.octets()),
    }
    context.update(&to.address.port().to_be_bytes());
    let connection = to.connection.map_or(0, std::num::NonZeroU32::get);
    context.update(&connection.to_be_bytes());
    let code = context.sign();
    let mut id = TransactionId::default();
    let (head, tail) = id.split_at_mut(TIMESTAMP_BYTES);
    head.copy_from_slice(&timestamp.to_be_bytes());
    for (byte, code) in tail.iter_mut().zip(code.as_ref()) {
        *byte = *code;
    }
    id
}

/// Compares in constant time.
fn is_same(a: &TransactionId, b: &TransactionId) -> bool {
    let differing = a.iter().zip(b).fold(0, |found, (a, b)| found | (a ^ b));
    differing == 0
}

#[cfg(test)]
mod tests {
    use super::*;
    use std::net::SocketAddr;

    fn address(port: u16) -> PeerAddress {
        SocketAddr::from(([192, 0, 2, 1], port)).into()
    }

    fn checks() -> OutgoingChecks {
        let mut checks = OutgoingChecks::default();
        checks.set_peer(PeerCredentials {
            ufrag: "peer".into(),
            pwd: "the peer's password".into(),
        });
        checks
    }

    fn response_to(request: &[u8], password: &[u8]) -> Vec<u8> {
        let id = stun::parse_request(request).unwrap().transaction_id;
        let mut out = vec![0; 128];
        let length = stun::write_success(id, address(1).address, password, &mut out);
        out.truncate(length);
        out
    }

    #[test]
    fn a_check_carries_what_a_controlling_peer_requires() {
        let (mut checks, mut out) = (checks(), [0; 256]);
        let length = checks.write(Instant::now(), "server", address(1), &mut out);
        let request = stun::parse_request(&out[..length]).unwrap();
        assert_eq!(request.username, Some(&b"peer:server"[..]));
        assert!(request.controlled.is_some() && request.controlling.is_none());
        assert!(!request.use_candidate && request.priority.is_some());
        stun::verify_integrity(&out[..length], b"the peer's password").unwrap();
    }

    #[test]
    fn only_the_peers_response_from_the_probed_address_counts_and_only_once() {
        let (mut checks, now, mut out) = (checks(), Instant::now(), [0; 256]);
        let length = checks.write(now, "server", address(1), &mut out);
        let right = response_to(&out[..length], b"the peer's password");
        let forged = response_to(&out[..length], b"a guess");
        assert!(!checks.accept_response(now, address(1), &forged));
        assert!(!checks.accept_response(now, address(2), &right));
        assert!(!checks.accept_response(now, address(1), &out[..length]));
        assert!(!checks.accept_response(now + RESPONSE_TIMEOUT, address(1), &right));
        assert!(checks.accept_response(now, address(1), &right));
        assert!(!checks.accept_response(now, address(1), &right));
    }

    #[test]
    fn no_check_is_sent_without_the_peers_credentials() {
        let (now, mut out) = (Instant::now(), [0; 256]);
        let mut checks = OutgoingChecks::default();
        assert_eq!(checks.write(now, "server", address(1), &mut out), 0);
        assert!(!checks.accept_response(now, address(1), &[0; 20]));
    }

    #[test]
    fn checks_to_a_thousand_addresses_do_not_evict_one_that_responds() {
        let (mut checks, now, mut out) = (checks(), Instant::now(), [0; 256]);
        let length = checks.write(now, "server", address(1), &mut out);
        let right = response_to(&out[..length], b"the peer's password");
        for port in 2..1_002 {
            assert!(checks.write(now, "server", address(port), &mut out) > 0);
        }
        assert!(checks.accept_response(now, address(1), &right));
    }

    #[test]
    fn a_response_cannot_be_forged_with_the_password_alone() {
        let (mut checks, now, mut out) = (checks(), Instant::now(), [0; 256]);
        let length = checks.write(now, "server", address(1), &mut out);
        let right = response_to(&out[..length], b"the peer's password");
        for byte in 8..20 {
            let mut id: TransactionId = right[8..20].try_into().unwrap();
            id[byte - 8] ^= 1;
            let mut forged = vec![0; 128];
            let to = address(9).address;
            let length = stun::write_success(id, to, b"the peer's password", &mut forged);
            assert!(
                !checks.accept_response(now, address(1), &forged[..length]),
                "{byte}"
            );
        }
        assert!(checks.accept_response(now, address(1), &right));
    }
}
