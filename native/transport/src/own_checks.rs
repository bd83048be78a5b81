//! Checks that this side sends to a peer, to learn where it is. A lite agent need not send any
//! (RFC 8445, section 2.5); a peer that moved is found sooner by them.

use std::time::{Duration, Instant};

use aws_lc_rs::rand;

use crate::ice_lite::PeerAddress;
use crate::stun::{self, BindingRequest, TransactionId};

/// An answer that takes longer is none.
const ANSWER_WITHIN: Duration = Duration::from_secs(3);
/// Waiting for answers at a time: some rounds to every address of one peer.
const MAX_OPEN: usize = 64;
/// Type preference 110 of a peer-reflexive candidate (RFC 8445, section 5.1.2.2).
const PRIORITY: u32 = (110 << 24) | (65_535 << 8) | 255;

/// The peer's side of ICE, which checks to it need.
#[derive(Clone)]
pub struct PeerCredentials {
    /// Names it.
    pub ufrag: String,
    /// Authenticates checks to it, and its answers.
    pub pwd: String,
}

/// The checks of one transport that wait for an answer.
#[derive(Default)]
pub struct OwnChecks {
    peer: Option<PeerCredentials>,
    open: Vec<(TransactionId, PeerAddress, Instant)>,
}

impl OwnChecks {
    /// What its description says of the peer; without it no checks are sent.
    pub fn set_peer(&mut self, peer: PeerCredentials) {
        self.peer = Some(peer);
        self.open.clear();
    }

    /// Writes a check to `to`; its length, 0 when none can be sent.
    pub fn write(
        &mut self,
        now: Instant,
        local_ufrag: &str,
        to: PeerAddress,
        out: &mut [u8],
    ) -> usize {
        let Some(peer) = &self.peer else { return 0 };
        self.open
            .retain(|(.., at)| now.saturating_duration_since(*at) < ANSWER_WITHIN);
        let (mut transaction_id, mut tie_breaker) = (TransactionId::default(), [0; 8]);
        let random = rand::fill(&mut transaction_id).and_then(|()| rand::fill(&mut tie_breaker));
        if random.is_err() || self.open.len() >= MAX_OPEN {
            return 0;
        }
        let request = BindingRequest {
            transaction_id,
            username: &format!("{}:{local_ufrag}", peer.ufrag),
            priority: PRIORITY,
            controlling: u64::from_be_bytes(tie_breaker),
            use_candidate: false,
        };
        let length = stun::write_controlled_request(&request, peer.pwd.as_bytes(), out);
        if length > 0 {
            self.open.push((transaction_id, to, now));
        }
        length
    }

    /// Whether the datagram that came `from` answers one of the checks that were sent there.
    /// Each is answered once.
    pub fn take_answer(&mut self, now: Instant, from: PeerAddress, datagram: &[u8]) -> bool {
        let (Some(peer), Ok(response)) = (&self.peer, stun::parse_response(datagram)) else {
            return false;
        };
        let asked = self.open.iter().position(|(id, to, at)| {
            *id == response.transaction_id
                && *to == from
                && now.saturating_duration_since(*at) < ANSWER_WITHIN
        });
        let Some(asked) = asked.filter(|_| response.success) else {
            return false;
        };
        let authentic = stun::verify_integrity(datagram, peer.pwd.as_bytes()).is_ok();
        if authentic {
            self.open.swap_remove(asked);
        }
        authentic
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use std::net::SocketAddr;

    fn address(port: u16) -> PeerAddress {
        SocketAddr::from(([192, 0, 2, 1], port)).into()
    }

    fn checks() -> OwnChecks {
        let mut checks = OwnChecks::default();
        checks.set_peer(PeerCredentials {
            ufrag: "peer".into(),
            pwd: "the peer's password".into(),
        });
        checks
    }

    fn answer(request: &[u8], password: &[u8]) -> Vec<u8> {
        let id = stun::parse_request(request).unwrap().transaction_id;
        let mut out = vec![0; 128];
        let length = stun::write_success(id, address(1).address, password, &mut out);
        out.truncate(length);
        out
    }

    #[test]
    fn a_check_has_what_a_controlling_peer_wants_of_it() {
        let (mut checks, mut out) = (checks(), [0; 256]);
        let length = checks.write(Instant::now(), "server", address(1), &mut out);
        let request = stun::parse_request(&out[..length]).unwrap();
        assert_eq!(request.username, Some(&b"peer:server"[..]));
        assert!(request.controlled.is_some() && request.controlling.is_none());
        assert!(!request.use_candidate && request.priority.is_some());
        stun::verify_integrity(&out[..length], b"the peer's password").unwrap();
    }

    #[test]
    fn only_the_peers_own_answer_from_where_it_was_asked_counts_and_once() {
        let (mut checks, now, mut out) = (checks(), Instant::now(), [0; 256]);
        let length = checks.write(now, "server", address(1), &mut out);
        let right = answer(&out[..length], b"the peer's password");
        let forged = answer(&out[..length], b"a guess");
        assert!(!checks.take_answer(now, address(1), &forged));
        assert!(!checks.take_answer(now, address(2), &right));
        assert!(!checks.take_answer(now, address(1), &out[..length]));
        assert!(!checks.take_answer(now + ANSWER_WITHIN, address(1), &right));
        assert!(checks.take_answer(now, address(1), &right));
        assert!(!checks.take_answer(now, address(1), &right));
    }

    #[test]
    fn without_the_peers_credentials_or_with_many_unanswered_none_is_sent() {
        let (mut checks, now, mut out) = (checks(), Instant::now(), [0; 256]);
        assert_eq!(
            OwnChecks::default().write(now, "server", address(1), &mut out),
            0
        );
        for _ in 0..MAX_OPEN {
            assert!(checks.write(now, "server", address(1), &mut out) > 0);
        }
        assert_eq!(checks.write(now, "server", address(1), &mut out), 0);
        assert!(checks.write(now + ANSWER_WITHIN, "server", address(1), &mut out) > 0);
    }
}
