//! The trailer of every payload: publisher, packet number, send time, and a hash of the preceding
//! bytes.

/// Trailer bytes.
pub const STAMP_BYTES: usize = 32;

const MAGIC: u32 = 0x5352_4c31;

/// The contents of a trailer.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Stamp {
    /// Index of the publisher in the job.
    pub publisher: u16,
    /// Whether the payload starts with a VP8 descriptor, which a server may rewrite.
    pub has_vp8_descriptor: bool,
    /// Index of the packet, from 0 for each publisher.
    pub number: u64,
    /// Send time on the sender's clock.
    pub sent_unix_ns: u64,
}

/// A multiplicative hash over words: cheap compared to a receive call, and any modified bit changes
/// it.
fn hash(bytes: &[u8]) -> u64 {
    const MULTIPLIER: u64 = 0x9e37_79b9_7f4a_7c15;
    let mut state = bytes.len() as u64 ^ MULTIPLIER;
    let mut words = bytes.chunks_exact(8);
    for word in &mut words {
        let mut eight = [0; 8];
        eight.copy_from_slice(word);
        state = (state ^ u64::from_le_bytes(eight))
            .wrapping_mul(MULTIPLIER)
            .rotate_left(29);
    }
    for byte in words.remainder() {
        state = (state ^ u64::from(*byte))
            .wrapping_mul(MULTIPLIER)
            .rotate_left(29);
    }
    state
}

/// Length of the VP8 payload descriptor (RFC 7741, 4.2) at the start of `payload`.
pub fn vp8_descriptor_bytes(payload: &[u8]) -> Option<usize> {
    let first = *payload.first()?;
    if first & 0x80 == 0 {
        return Some(1);
    }
    let flags = *payload.get(1)?;
    let mut length = 2;
    if flags & 0x80 != 0 {
        length += if payload.get(2)? & 0x80 == 0 { 1 } else { 2 };
    }
    length += usize::from(flags & 0x40 != 0);
    length += usize::from(flags & 0x30 != 0);
    (length <= payload.len()).then_some(length)
}

impl Stamp {
    /// Writes the trailer into the last bytes of `payload`; the first `descriptor` bytes are not
    /// hashed. A payload too short for it is left unchanged.
    pub fn write(&self, payload: &mut [u8], descriptor: usize) {
        let Some(at) = payload
            .len()
            .checked_sub(STAMP_BYTES)
            .filter(|at| *at >= descriptor)
        else {
            return;
        };
        payload[at..at + 4].copy_from_slice(&MAGIC.to_be_bytes());
        payload[at + 4..at + 6].copy_from_slice(&self.publisher.to_be_bytes());
        payload[at + 6] = u8::from(self.has_vp8_descriptor);
        payload[at + 7] = 0;
        payload[at + 8..at + 16].copy_from_slice(&self.number.to_be_bytes());
        payload[at + 16..at + 24].copy_from_slice(&self.sent_unix_ns.to_be_bytes());
        let sum = hash(&payload[descriptor..at + 24]);
        payload[at + 24..].copy_from_slice(&sum.to_be_bytes());
    }

    /// Reads the trailer of a complete and unmodified payload.
    pub fn read(payload: &[u8]) -> Option<Self> {
        let at = payload.len().checked_sub(STAMP_BYTES)?;
        let long = |from: usize| -> Option<u64> {
            Some(u64::from_be_bytes(
                payload.get(from..from + 8)?.try_into().ok()?,
            ))
        };
        let head = long(at)?;
        if (head >> 32) as u32 != MAGIC {
            return None;
        }
        let has_vp8_descriptor = payload[at + 6] == 1;
        let descriptor = if has_vp8_descriptor {
            vp8_descriptor_bytes(payload)?
        } else {
            0
        };
        if hash(payload.get(descriptor..at + 24)?) != long(at + 24)? {
            return None;
        }
        Some(Self {
            publisher: (head >> 16) as u16,
            has_vp8_descriptor,
            number: long(at + 8)?,
            sent_unix_ns: long(at + 16)?,
        })
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn stamped() -> (Stamp, Vec<u8>) {
        let stamp = Stamp {
            publisher: 7,
            has_vp8_descriptor: true,
            number: 1 << 40,
            sent_unix_ns: 99,
        };
        let mut payload = vec![0x5a; 200];
        payload[..4].copy_from_slice(&[0x90, 0x80, 0x81, 0x23]);
        stamp.write(&mut payload, 4);
        (stamp, payload)
    }

    #[test]
    fn a_stamp_reads_back() {
        let (stamp, payload) = stamped();
        assert_eq!(Stamp::read(&payload), Some(stamp));
    }

    #[test]
    fn a_rewritten_picture_id_is_allowed_and_any_other_modified_bit_is_detected() {
        let (_, payload) = stamped();
        for at in 0..payload.len() {
            for bit in 0..8 {
                let mut changed = payload.clone();
                changed[at] ^= 1 << bit;
                let allowed = at < 4 && vp8_descriptor_bytes(&changed) == Some(4);
                // Byte 7 of the trailer is hashed too; the magic is checked by itself.
                assert_eq!(
                    Stamp::read(&changed).is_some(),
                    allowed,
                    "byte {at} bit {bit}"
                );
            }
        }
    }

    #[test]
    fn short_payloads_have_no_stamp() {
        for length in 0..=STAMP_BYTES {
            assert_eq!(Stamp::read(&vec![0; length]), None);
        }
    }

    #[test]
    fn descriptor_lengths_follow_rfc_7741() {
        for (bytes, length) in [
            (&[0x10, 0][..], Some(1)),
            (&[0x90, 0x80, 0x05, 0], Some(3)),
            (&[0x90, 0x80, 0x85, 0], Some(4)),
            (&[0x90, 0xf0, 0x85, 0, 1, 2], Some(6)),
            (&[0x90, 0x80], None),
            (&[], None),
        ] {
            assert_eq!(vp8_descriptor_bytes(bytes), length);
        }
    }
}
