//! Writes STUN messages into the caller's buffers.

use super::{
    COOKIE, FINGERPRINT_MASK, HEADER_BYTES, INTEGRITY_BYTES, TransactionId, address_mask,
    attribute, crc32, integrity_tag, kind,
};
use std::net::{IpAddr, SocketAddr};

/// Enough bytes for every success response: header, IPv6 address, integrity, fingerprint.
pub const MAX_SUCCESS_BYTES: usize = HEADER_BYTES + 24 + 4 + INTEGRITY_BYTES + 8;

/// The fields of an ICE check.
#[derive(Clone, Copy, Debug)]
pub struct BindingRequest<'a> {
    /// Unpredictable, and unique to this request.
    pub transaction_id: TransactionId,
    /// The receiver's user fragment, a colon, the sender's user fragment.
    pub username: &'a str,
    /// Priority of the peer-reflexive candidate that a success would reveal.
    pub priority: u32,
    /// The sender's tie-breaker.
    pub controlling: u64,
    /// Whether the pair is nominated.
    pub use_candidate: bool,
}

/// Writes the success response to a request. Returns its length, or 0 if `out` is shorter than
/// [`MAX_SUCCESS_BYTES`].
pub fn write_success(
    transaction_id: TransactionId,
    mapped: SocketAddr,
    password: &[u8],
    out: &mut [u8],
) -> usize {
    if out.len() < MAX_SUCCESS_BYTES {
        return 0;
    }
    let mut writer = Writer::start(out, kind::BINDING_SUCCESS, transaction_id);
    let mask = address_mask(&transaction_id);
    let mut value = [0; 20];
    value[2..4].copy_from_slice(&(mapped.port() ^ (COOKIE >> 16) as u16).to_be_bytes());
    let length = match mapped.ip() {
        IpAddr::V4(ip) => {
            value[1] = 1;
            value[4..8].copy_from_slice(&ip.octets());
            8
        }
        IpAddr::V6(ip) => {
            value[1] = 2;
            value[4..].copy_from_slice(&ip.octets());
            20
        }
    };
    for (byte, mask) in value[4..length].iter_mut().zip(mask) {
        *byte ^= mask;
    }
    writer.attribute(attribute::XOR_MAPPED_ADDRESS, &value[..length]);
    writer.finish(password)
}

/// Writes the check of a controlling agent. Returns its length, or 0 if `out` is too short.
pub fn write_binding_request(
    request: &BindingRequest<'_>,
    password: &[u8],
    out: &mut [u8],
) -> usize {
    write_request(request, attribute::ICE_CONTROLLING, password, out)
}

/// Writes the check of a controlled agent: `controlling` is its tie-breaker, and it nominates
/// nothing. Returns its length, or 0 if `out` is too short.
pub fn write_controlled_request(
    request: &BindingRequest<'_>,
    password: &[u8],
    out: &mut [u8],
) -> usize {
    write_request(request, attribute::ICE_CONTROLLED, password, out)
}

fn write_request(
    request: &BindingRequest<'_>,
    role: u16,
    password: &[u8],
    out: &mut [u8],
) -> usize {
    let needed = HEADER_BYTES + 4 + request.username.len().next_multiple_of(4) + 8 + 12 + 4 + 32;
    if out.len() < needed {
        return 0;
    }
    let mut writer = Writer::start(out, kind::BINDING_REQUEST, request.transaction_id);
    writer.attribute(attribute::USERNAME, request.username.as_bytes());
    writer.attribute(attribute::PRIORITY, &request.priority.to_be_bytes());
    writer.attribute(role, &request.controlling.to_be_bytes());
    if request.use_candidate && role == attribute::ICE_CONTROLLING {
        writer.attribute(attribute::USE_CANDIDATE, &[]);
    }
    writer.finish(password)
}

/// The caller ensures that everything fits.
struct Writer<'a> {
    out: &'a mut [u8],
    length: usize,
}

impl<'a> Writer<'a> {
    fn start(out: &'a mut [u8], kind: u16, transaction_id: TransactionId) -> Self {
        out[..2].copy_from_slice(&kind.to_be_bytes());
        out[4..8].copy_from_slice(&COOKIE.to_be_bytes());
        out[8..HEADER_BYTES].copy_from_slice(&transaction_id);
        Self {
            out,
            length: HEADER_BYTES,
        }
    }

    /// Sets the header's length as if `upcoming` more bytes followed.
    fn set_length(&mut self, upcoming: usize) -> u16 {
        let length = (self.length - HEADER_BYTES + upcoming) as u16;
        self.out[2..4].copy_from_slice(&length.to_be_bytes());
        length
    }

    fn attribute(&mut self, kind: u16, value: &[u8]) {
        let end = self.length + 4 + value.len().next_multiple_of(4);
        let place = &mut self.out[self.length..end];
        place.fill(0);
        place[..2].copy_from_slice(&kind.to_be_bytes());
        place[2..4].copy_from_slice(&(value.len() as u16).to_be_bytes());
        place[4..4 + value.len()].copy_from_slice(value);
        self.length = end;
    }

    fn finish(mut self, password: &[u8]) -> usize {
        let covered = self.set_length(4 + INTEGRITY_BYTES);
        let tag = integrity_tag(password, covered, &self.out[..self.length]);
        self.attribute(attribute::MESSAGE_INTEGRITY, tag.as_ref());
        self.set_length(8);
        let sum = crc32(&self.out[..self.length]) ^ FINGERPRINT_MASK;
        self.attribute(attribute::FINGERPRINT, &sum.to_be_bytes());
        self.length
    }
}
