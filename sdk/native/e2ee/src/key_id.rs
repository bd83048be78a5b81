//! Key ids: `1 | sender(31) | context(16) | key(16)`.

use crate::SendingError;

const SENDER_BITS: u32 = 0x7fff_ffff;
const CONTEXTS: u32 = 1 << 16;

/// The last 16 bits of a key id, which name the key: the hint of a shared secret, or the epoch of a
/// group key agreement.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash, PartialOrd, Ord)]
pub struct KeyPart(pub u16);

/// SFrame's KID as this format has it, always eight bytes with the top bit set.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash, PartialOrd, Ord)]
pub struct KeyId(u64);

impl KeyId {
    /// Of the parts; the top bit of `sender` does not count.
    pub fn new(sender: u32, context: u16, key: KeyPart) -> Self {
        Self(
            1 << 63
                | u64::from(sender & SENDER_BITS) << 32
                | u64::from(context) << 16
                | u64::from(key.0),
        )
    }

    /// None without the top bit.
    pub fn from_bytes(bytes: [u8; 8]) -> Option<Self> {
        let value = u64::from_be_bytes(bytes);
        (value >> 63 == 1).then_some(Self(value))
    }

    /// As on the wire, and as `declareKids` has them.
    pub fn to_bytes(self) -> [u8; 8] {
        self.0.to_be_bytes()
    }

    /// The publisher's random part, the same for all it sends of one stream.
    pub fn sender(self) -> u32 {
        (self.0 >> 32) as u32 & SENDER_BITS
    }

    /// Counted up by the publisher.
    pub fn context(self) -> u16 {
        (self.0 >> 16) as u16
    }

    /// Which key.
    pub fn key(self) -> KeyPart {
        KeyPart(self.0 as u16)
    }
}

/// The key ids that one publisher may use for one stream: it never gives one twice.
#[derive(Debug)]
pub struct KeyIds {
    sender: u32,
    context: u16,
    left: u32,
}

impl KeyIds {
    /// With a sender part and a first context of the system's randomness.
    pub fn random() -> Result<Self, SendingError> {
        let mut bytes = [0; 6];
        getrandom::fill(&mut bytes).map_err(|_| SendingError::NoRandomness)?;
        let [a, b, c, d, context @ ..] = bytes;
        Ok(Self::starting_at(
            u32::from_be_bytes([a, b, c, d]),
            u16::from_be_bytes(context),
        ))
    }

    pub(crate) fn starting_at(sender: u32, context: u16) -> Self {
        Self {
            sender: sender & SENDER_BITS,
            context,
            left: CONTEXTS,
        }
    }

    /// The part that all of these have.
    pub(crate) fn sender(&self) -> u32 {
        self.sender
    }

    /// The next one, for a key.
    pub fn take(&mut self, key: KeyPart) -> Result<KeyId, SendingError> {
        self.left = self
            .left
            .checked_sub(1)
            .ok_or(SendingError::ContextsExhausted)?;
        let context = self.context;
        self.context = context.wrapping_add(1);
        Ok(KeyId::new(self.sender, context, key))
    }
}

#[cfg(test)]
mod tests {
    use super::{CONTEXTS, KeyId, KeyIds, KeyPart};
    use crate::SendingError;

    #[test]
    fn a_publisher_that_used_all_contexts_gets_no_key_id() {
        let mut ids = KeyIds::starting_at(7, 65_535);
        let first = ids.take(KeyPart(1));
        assert_eq!(first, Ok(KeyId::new(7, 65_535, KeyPart(1))));
        assert_eq!(ids.take(KeyPart(1)), Ok(KeyId::new(7, 0, KeyPart(1))));
        for _ in 2..CONTEXTS {
            assert_ne!(ids.take(KeyPart(1)), first);
        }
        assert_eq!(ids.take(KeyPart(2)), Err(SendingError::ContextsExhausted));
    }

    #[test]
    fn each_publication_draws_its_own_sender_part() {
        let drawn = |_| KeyIds::random().and_then(|mut ids| ids.take(KeyPart(0)));
        let ids: std::collections::HashSet<_> = (0..20).map(drawn).collect();
        assert!(ids.len() > 18);
    }
}
