//! STUN binding messages (RFC 8489) as an ICE client needs them (RFC 8445, RFC 7675).

use aws_lc_rs::hmac;
use std::net::SocketAddr;

const COOKIE: u32 = 0x2112_a442;
const HEADER_BYTES: usize = 20;
const USERNAME: u16 = 0x0006;
const MESSAGE_INTEGRITY: u16 = 0x0008;
const XOR_MAPPED_ADDRESS: u16 = 0x0020;
const PRIORITY: u16 = 0x0024;
const USE_CANDIDATE: u16 = 0x0025;
const ICE_CONTROLLING: u16 = 0x802a;
const FINGERPRINT: u16 = 0x8028;

/// What arrived, as far as this client cares.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Incoming {
    /// A check to answer, with its transaction id.
    Request([u8; 12]),
    /// Consent.
    Success,
    /// A refusal, or something else.
    Other,
}

/// Sorts a STUN message by type. `None`: no STUN message.
pub fn classify(message: &[u8]) -> Option<Incoming> {
    let head: [u8; HEADER_BYTES] = message.get(..HEADER_BYTES)?.try_into().ok()?;
    if head[4..8] != COOKIE.to_be_bytes() {
        return None;
    }
    let mut transaction = [0; 12];
    transaction.copy_from_slice(&head[8..]);
    Some(match [head[0], head[1]] {
        [0, 1] => Incoming::Request(transaction),
        [1, 1] => Incoming::Success,
        _ => Incoming::Other,
    })
}

fn crc32(bytes: &[u8]) -> u32 {
    !bytes.iter().fold(!0_u32, |crc, byte| {
        (0..8).fold(crc ^ u32::from(*byte), |crc, _| {
            if crc & 1 == 1 {
                (crc >> 1) ^ 0xedb8_8320
            } else {
                crc >> 1
            }
        })
    })
}

struct Builder(Vec<u8>);

impl Builder {
    fn new(kind: u16, transaction: [u8; 12]) -> Self {
        let mut bytes = Vec::with_capacity(128);
        bytes.extend_from_slice(&kind.to_be_bytes());
        bytes.extend_from_slice(&[0, 0]);
        bytes.extend_from_slice(&COOKIE.to_be_bytes());
        bytes.extend_from_slice(&transaction);
        Self(bytes)
    }

    fn set_length(&mut self, upcoming: usize) {
        let length = (self.0.len() - HEADER_BYTES + upcoming) as u16;
        self.0[2..4].copy_from_slice(&length.to_be_bytes());
    }

    fn attribute(&mut self, kind: u16, value: &[u8]) {
        self.0.extend_from_slice(&kind.to_be_bytes());
        self.0
            .extend_from_slice(&(value.len() as u16).to_be_bytes());
        self.0.extend_from_slice(value);
        self.0.resize(self.0.len().next_multiple_of(4), 0);
    }

    fn finish(mut self, password: &str) -> Vec<u8> {
        self.set_length(24);
        let key = hmac::Key::new(hmac::HMAC_SHA1_FOR_LEGACY_USE_ONLY, password.as_bytes());
        let tag = hmac::sign(&key, &self.0);
        self.attribute(MESSAGE_INTEGRITY, tag.as_ref());
        self.set_length(8);
        let sum = crc32(&self.0) ^ 0x5354_554e;
        self.attribute(FINGERPRINT, &sum.to_be_bytes());
        self.0
    }
}

/// A connectivity or consent check of the controlling side.
pub fn request(
    transaction: [u8; 12],
    remote_ufrag: &str,
    local_ufrag: &str,
    password: &str,
) -> Vec<u8> {
    let mut builder = Builder::new(1, transaction);
    builder.attribute(USERNAME, format!("{remote_ufrag}:{local_ufrag}").as_bytes());
    builder.attribute(PRIORITY, &0x7eff_ffff_u32.to_be_bytes());
    builder.attribute(ICE_CONTROLLING, &transaction[..8]);
    builder.attribute(USE_CANDIDATE, &[]);
    builder.finish(password)
}

/// The answer to a full ICE agent's check.
pub fn success(transaction: [u8; 12], peer: SocketAddr, password: &str) -> Vec<u8> {
    let mut builder = Builder::new(0x0101, transaction);
    let port = peer.port() ^ (COOKIE >> 16) as u16;
    let mut value = vec![0, if peer.is_ipv4() { 1 } else { 2 }];
    value.extend_from_slice(&port.to_be_bytes());
    let mask: Vec<u8> = COOKIE
        .to_be_bytes()
        .iter()
        .chain(&transaction)
        .copied()
        .collect();
    let xor = |octets: &[u8]| {
        octets
            .iter()
            .zip(&mask)
            .map(|(a, b)| a ^ b)
            .collect::<Vec<u8>>()
    };
    match peer {
        SocketAddr::V4(peer) => value.extend(xor(&peer.ip().octets())),
        SocketAddr::V6(peer) => value.extend(xor(&peer.ip().octets())),
    }
    builder.attribute(XOR_MAPPED_ADDRESS, &value);
    builder.finish(password)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_checksum_is_the_ieee_one() {
        assert_eq!(crc32(b"123456789"), 0xcbf4_3926);
    }

    #[test]
    fn a_request_has_a_true_length_and_a_fingerprint_over_all_before() {
        let message = request([7; 12], "remote", "local", "password");
        assert_eq!(
            usize::from(u16::from_be_bytes([message[2], message[3]])) + 20,
            message.len()
        );
        let at = message.len() - 4;
        let sum = crc32(&message[..at - 4]) ^ 0x5354_554e;
        assert_eq!(message[at..], sum.to_be_bytes());
        assert_eq!(classify(&message), Some(Incoming::Request([7; 12])));
    }

    #[test]
    fn an_answer_is_a_success_with_the_same_transaction() {
        let message = success([9; 12], "127.0.0.1:4660".parse().unwrap(), "password");
        assert_eq!(classify(&message), Some(Incoming::Success));
        assert_eq!(message[8..20], [9; 12]);
        assert_eq!(message[26..28], (0x1234_u16 ^ 0x2112).to_be_bytes());
    }

    #[test]
    fn short_or_foreign_bytes_are_no_stun() {
        assert_eq!(classify(&[0; 19]), None);
        assert_eq!(classify(&[0; 40]), None);
    }
}
