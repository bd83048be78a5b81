//! STUN binding messages (RFC 8489) with the attributes of ICE (RFC 8445, section 16.1).

use aws_lc_rs::constant_time::verify_slices_are_equal;
use aws_lc_rs::hmac;
use std::net::{IpAddr, Ipv4Addr, Ipv6Addr, SocketAddr};

mod writer;

pub use writer::{
    BindingRequest, MAX_SUCCESS_BYTES, write_binding_request, write_controlled_request,
    write_success,
};

const COOKIE: u32 = 0x2112_a442;
const FINGERPRINT_MASK: u32 = 0x5354_554e;
const HEADER_BYTES: usize = 20;
const INTEGRITY_BYTES: usize = 20;
/// A check has about five attributes; a message with more than this is rejected.
const MAX_ATTRIBUTES: usize = 32;

mod kind {
    pub(super) const BINDING_REQUEST: u16 = 0x0001;
    pub(super) const BINDING_SUCCESS: u16 = 0x0101;
    pub(super) const BINDING_ERROR: u16 = 0x0111;
}

mod attribute {
    pub(super) const USERNAME: u16 = 0x0006;
    pub(super) const MESSAGE_INTEGRITY: u16 = 0x0008;
    pub(super) const XOR_MAPPED_ADDRESS: u16 = 0x0020;
    pub(super) const PRIORITY: u16 = 0x0024;
    pub(super) const USE_CANDIDATE: u16 = 0x0025;
    pub(super) const FINGERPRINT: u16 = 0x8028;
    pub(super) const ICE_CONTROLLED: u16 = 0x8029;
    pub(super) const ICE_CONTROLLING: u16 = 0x802a;
}

/// 96 bits that match a response to its request.
pub type TransactionId = [u8; 12];

/// Why bytes are not a STUN message that this implementation understands.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
pub enum StunError {
    /// Shorter than a header.
    TooShort,
    /// The magic cookie is wrong, or the first two bits are not zero.
    NotStun,
    /// The header's length differs from the datagram's, or is not a multiple of 4.
    BadLength,
    /// An attribute extends past the end or has a wrong length, or there are too many attributes.
    BadAttribute,
    /// The FINGERPRINT does not match, or is not the last attribute.
    BadFingerprint,
    /// The message has another class or method.
    OtherMessage,
    /// An unknown comprehension-required attribute.
    UnknownAttribute,
    /// MESSAGE-INTEGRITY is missing.
    NoIntegrity,
    /// MESSAGE-INTEGRITY does not match the password and the message.
    BadIntegrity,
}

impl StunError {
    /// A stable name for counters.
    pub const fn name(self) -> &'static str {
        match self {
            Self::TooShort => "stun_too_short",
            Self::NotStun => "stun_not_stun",
            Self::BadLength => "stun_bad_length",
            Self::BadAttribute => "stun_bad_attribute",
            Self::BadFingerprint => "stun_bad_fingerprint",
            Self::OtherMessage => "stun_other_message",
            Self::UnknownAttribute => "stun_unknown_attribute",
            Self::NoIntegrity => "stun_no_integrity",
            Self::BadIntegrity => "stun_bad_integrity",
        }
    }
}

impl std::fmt::Display for StunError {
    fn fmt(&self, formatter: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        formatter.write_str(self.name())
    }
}

impl std::error::Error for StunError {}

/// A binding request that is not authenticated yet: see [`verify_integrity`]. Holds only the
/// attributes before MESSAGE-INTEGRITY, which are the ones it covers.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Request<'a> {
    /// Repeated in the response.
    pub transaction_id: TransactionId,
    /// USERNAME: in ICE the receiver's and the sender's user fragment, separated by a colon.
    pub username: Option<&'a [u8]>,
    /// PRIORITY of the candidate a success would reveal.
    pub priority: Option<u32>,
    /// Whether the controlling agent nominates this pair.
    pub use_candidate: bool,
    /// Tie-breaker of a sender in the controlling role.
    pub controlling: Option<u64>,
    /// Tie-breaker of a sender in the controlled role.
    pub controlled: Option<u64>,
    /// An unknown comprehension-required attribute.
    pub unknown_attribute: Option<u16>,
}

impl Request<'_> {
    /// The receiver's user fragment: the part of USERNAME before the colon.
    pub fn local_ufrag(&self) -> Option<&[u8]> {
        let username = self.username?;
        let colon = username.iter().position(|byte| *byte == b':')?;
        username.get(..colon)
    }
}

/// The response to a binding request.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Response {
    /// The transaction id of the request.
    pub transaction_id: TransactionId,
    /// XOR-MAPPED-ADDRESS of a success response; `None` if it is missing or the response is an
    /// error.
    pub mapped: Option<SocketAddr>,
    /// Whether this is a success response.
    pub success: bool,
}

/// Parses a binding request: its structure, and FINGERPRINT if present.
///
/// # Errors
/// Every [`StunError`] but `NoIntegrity`, `BadIntegrity` and `UnknownAttribute`.
pub fn parse_request(datagram: &[u8]) -> Result<Request<'_>, StunError> {
    let message = Message::parse(datagram)?;
    if message.kind != kind::BINDING_REQUEST {
        return Err(StunError::OtherMessage);
    }
    let mut request = Request {
        transaction_id: message.transaction_id,
        username: None,
        priority: None,
        use_candidate: false,
        controlling: None,
        controlled: None,
        unknown_attribute: None,
    };
    for found in message.before_integrity() {
        let value = found?.value_of_length()?;
        match value {
            Value::Username(name) if request.username.is_none() => request.username = Some(name),
            Value::Priority(priority) => request.priority = Some(priority),
            Value::UseCandidate => request.use_candidate = true,
            Value::Controlling(tie_breaker) => request.controlling = Some(tie_breaker),
            Value::Controlled(tie_breaker) => request.controlled = Some(tie_breaker),
            Value::Unknown(kind) => request.unknown_attribute = Some(kind),
            Value::Username(_) | Value::Other => {}
        }
    }
    Ok(request)
}

/// Parses the response to a binding request: its structure, and FINGERPRINT if present.
///
/// # Errors
/// Every [`StunError`] but `NoIntegrity` and `BadIntegrity`.
pub fn parse_response(datagram: &[u8]) -> Result<Response, StunError> {
    let message = Message::parse(datagram)?;
    let success = match message.kind {
        kind::BINDING_SUCCESS => true,
        kind::BINDING_ERROR => false,
        _ => return Err(StunError::OtherMessage),
    };
    let mut mapped = None;
    for found in message.before_integrity() {
        let found = found?;
        if found.kind == attribute::XOR_MAPPED_ADDRESS && success && mapped.is_none() {
            mapped = Some(unmask(found.value, &message.transaction_id)?);
        }
    }
    Ok(Response {
        transaction_id: message.transaction_id,
        mapped,
        success,
    })
}

/// Checks MESSAGE-INTEGRITY in constant time, with the short-term password (RFC 8489, 14.5).
///
/// # Errors
/// `NoIntegrity`, `BadIntegrity`, and those of a malformed message.
pub fn verify_integrity(datagram: &[u8], password: &[u8]) -> Result<(), StunError> {
    let message = Message::parse(datagram)?;
    let integrity = message.integrity()?.ok_or(StunError::NoIntegrity)?;
    // The header's length counts as if MESSAGE-INTEGRITY were the last attribute.
    let covered = (integrity.at + 4 + INTEGRITY_BYTES - HEADER_BYTES) as u16;
    let right = integrity_tag(password, covered, &datagram[..integrity.at]);
    verify_slices_are_equal(right.as_ref(), integrity.value).map_err(|_| StunError::BadIntegrity)
}

/// `before` is the message up to MESSAGE-INTEGRITY; `length` stands in for the header's.
fn integrity_tag(password: &[u8], length: u16, before: &[u8]) -> hmac::Tag {
    let key = hmac::Key::new(hmac::HMAC_SHA1_FOR_LEGACY_USE_ONLY, password);
    let mut context = hmac::Context::with_key(&key);
    context.update(&before[..2]);
    context.update(&length.to_be_bytes());
    context.update(&before[4..]);
    context.sign()
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

struct Message<'a> {
    kind: u16,
    transaction_id: TransactionId,
    datagram: &'a [u8],
}

struct Attribute<'a> {
    kind: u16,
    /// Offset of its header in the datagram.
    at: usize,
    value: &'a [u8],
}

enum Value<'a> {
    Username(&'a [u8]),
    Priority(u32),
    UseCandidate,
    Controlling(u64),
    Controlled(u64),
    Unknown(u16),
    Other,
}

impl<'a> Message<'a> {
    fn parse(datagram: &'a [u8]) -> Result<Self, StunError> {
        let (head, attributes) = datagram
            .split_first_chunk::<HEADER_BYTES>()
            .ok_or(StunError::TooShort)?;
        if head[0] & 0xc0 != 0 || head[4..8] != COOKIE.to_be_bytes() {
            return Err(StunError::NotStun);
        }
        let length = usize::from(u16::from_be_bytes([head[2], head[3]]));
        if length != attributes.len() || length % 4 != 0 {
            return Err(StunError::BadLength);
        }
        let mut transaction_id = [0; 12];
        transaction_id.copy_from_slice(&head[8..]);
        let message = Self {
            kind: u16::from_be_bytes([head[0], head[1]]),
            transaction_id,
            datagram,
        };
        message.check_fingerprint()?;
        Ok(message)
    }

    /// Also walks all attributes, so that later walks meet no malformed one.
    fn check_fingerprint(&self) -> Result<(), StunError> {
        for (count, found) in self.attributes().enumerate() {
            let found = found?;
            if count >= MAX_ATTRIBUTES {
                return Err(StunError::BadAttribute);
            }
            if found.kind == attribute::FINGERPRINT {
                let right = crc32(&self.datagram[..found.at]) ^ FINGERPRINT_MASK;
                let is_last = found.at + 8 == self.datagram.len();
                return if is_last && found.value == right.to_be_bytes() {
                    Ok(())
                } else {
                    Err(StunError::BadFingerprint)
                };
            }
        }
        Ok(())
    }

    fn attributes(&self) -> Attributes<'a> {
        Attributes {
            datagram: self.datagram,
            at: HEADER_BYTES,
        }
    }

    fn before_integrity(&self) -> impl Iterator<Item = Result<Attribute<'a>, StunError>> {
        self.attributes().take_while(|found| {
            !matches!(found, Ok(found) if matches!(
                found.kind, attribute::MESSAGE_INTEGRITY | attribute::FINGERPRINT
            ))
        })
    }

    fn integrity(&self) -> Result<Option<Attribute<'a>>, StunError> {
        for found in self.attributes() {
            let found = found?;
            if found.kind == attribute::MESSAGE_INTEGRITY {
                return if found.value.len() == INTEGRITY_BYTES {
                    Ok(Some(found))
                } else {
                    Err(StunError::BadAttribute)
                };
            }
        }
        Ok(None)
    }
}

struct Attributes<'a> {
    datagram: &'a [u8],
    at: usize,
}

impl<'a> Iterator for Attributes<'a> {
    type Item = Result<Attribute<'a>, StunError>;

    fn next(&mut self) -> Option<Self::Item> {
        let (head, rest) = self.datagram.get(self.at..)?.split_first_chunk::<4>()?;
        let length = usize::from(u16::from_be_bytes([head[2], head[3]]));
        let padded = length.next_multiple_of(4);
        if padded > rest.len() {
            self.at = self.datagram.len();
            return Some(Err(StunError::BadAttribute));
        }
        let found = Attribute {
            kind: u16::from_be_bytes([head[0], head[1]]),
            at: self.at,
            value: &rest[..length],
        };
        self.at += 4 + padded;
        Some(Ok(found))
    }
}

impl<'a> Attribute<'a> {
    fn value_of_length(&self) -> Result<Value<'a>, StunError> {
        Ok(match self.kind {
            attribute::USERNAME => Value::Username(self.value),
            attribute::PRIORITY => Value::Priority(u32::from_be_bytes(self.exact()?)),
            attribute::USE_CANDIDATE => {
                let [] = self.exact()?;
                Value::UseCandidate
            }
            attribute::ICE_CONTROLLING => Value::Controlling(u64::from_be_bytes(self.exact()?)),
            attribute::ICE_CONTROLLED => Value::Controlled(u64::from_be_bytes(self.exact()?)),
            other if other < 0x8000 => Value::Unknown(other),
            _ => Value::Other,
        })
    }

    fn exact<const BYTES: usize>(&self) -> Result<[u8; BYTES], StunError> {
        self.value.try_into().map_err(|_| StunError::BadAttribute)
    }
}

/// The mask of an address: magic cookie and transaction id (RFC 8489, 14.2).
fn address_mask(transaction_id: &TransactionId) -> [u8; 16] {
    let mut mask = [0; 16];
    mask[..4].copy_from_slice(&COOKIE.to_be_bytes());
    mask[4..].copy_from_slice(transaction_id);
    mask
}

fn unmask(value: &[u8], transaction_id: &TransactionId) -> Result<SocketAddr, StunError> {
    let (head, address) = value
        .split_first_chunk::<4>()
        .ok_or(StunError::BadAttribute)?;
    let port = u16::from_be_bytes([head[2], head[3]]) ^ (COOKIE >> 16) as u16;
    let mask = address_mask(transaction_id);
    let ip: IpAddr = match (head[1], address.len()) {
        (1, 4) => {
            let octets: [u8; 4] = std::array::from_fn(|at| address[at] ^ mask[at]);
            Ipv4Addr::from(octets).into()
        }
        (2, 16) => {
            let octets: [u8; 16] = std::array::from_fn(|at| address[at] ^ mask[at]);
            Ipv6Addr::from(octets).into()
        }
        _ => return Err(StunError::BadAttribute),
    };
    Ok(SocketAddr::new(ip, port))
}

#[cfg(test)]
mod tests;
