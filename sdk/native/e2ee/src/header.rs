//! The SFrame header as this format allows it: a key id of eight bytes, a counter below 2^32, in
//! their only encoding (RFC 9605 section 4.3).

use crate::KeyId;

/// X = 1 and K = 7: eight bytes of key id.
const KEY_ID_OF_8: u8 = 0xf0;
/// Y: the low three bits are the counter's length, minus one.
const LONG_COUNTER: u8 = 0x08;
const KEY_ID_END: usize = 9;

#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) struct Header {
    pub(crate) key_id: KeyId,
    pub(crate) counter: u32,
    /// Bytes of the header.
    pub(crate) length: usize,
}

impl Header {
    /// Appends the header.
    pub(crate) fn write(key_id: KeyId, counter: u32, out: &mut Vec<u8>) {
        let bytes = counter.to_be_bytes();
        let used = (4 - counter.leading_zeros() as usize / 8).max(1);
        if counter < 8 {
            out.push(KEY_ID_OF_8 | counter as u8);
        } else {
            out.push(KEY_ID_OF_8 | LONG_COUNTER | (used as u8 - 1));
        }
        out.extend_from_slice(&key_id.to_bytes());
        if counter >= 8 {
            out.extend_from_slice(&bytes[4 - used..]);
        }
    }

    /// None for anything else than a header of this format.
    pub(crate) fn read(bytes: &[u8]) -> Option<Self> {
        let (&config, rest) = bytes.split_first()?;
        if config & 0xf0 != KEY_ID_OF_8 {
            return None;
        }
        let (key_id, rest) = rest.split_first_chunk::<8>()?;
        let key_id = KeyId::from_bytes(*key_id)?;
        let low = config & 0x07;
        if config & LONG_COUNTER == 0 {
            return Some(Self {
                key_id,
                counter: u32::from(low),
                length: KEY_ID_END,
            });
        }
        let used = usize::from(low) + 1;
        let digits = rest.get(..used).filter(|_| used <= 4)?;
        let counter = digits
            .iter()
            .fold(0, |sum, digit| sum << 8 | u32::from(*digit));
        let is_shortest = counter >= 8 && (used == 1 || digits[0] != 0);
        is_shortest.then_some(Self {
            key_id,
            counter,
            length: KEY_ID_END + used,
        })
    }
}

#[cfg(test)]
mod tests {
    use proptest::prelude::{any, prop_assert_eq, proptest};

    use super::Header;
    use crate::{KeyId, KeyPart};

    proptest! {
        #[test]
        fn a_header_is_read_as_it_was_written(
            sender in any::<u32>(), context in any::<u16>(), key in any::<u16>(),
            counter in any::<u32>(), shift in 0_u32..32, rest in any::<Vec<u8>>(),
        ) {
            let counter = counter >> shift;
            let key_id = KeyId::new(sender, context, KeyPart(key));
            let mut bytes = Vec::new();
            Header::write(key_id, counter, &mut bytes);
            let length = bytes.len();
            bytes.extend(rest);
            prop_assert_eq!(Header::read(&bytes), Some(Header { key_id, counter, length }));
        }

        #[test]
        fn a_header_has_one_encoding(bytes in any::<[u8; 13]>(), config in 0xf0_u8..=0xff) {
            let mut bytes = bytes.to_vec();
            bytes[0] = config;
            if let Some(header) = Header::read(&bytes) {
                let mut again = Vec::new();
                Header::write(header.key_id, header.counter, &mut again);
                prop_assert_eq!(&again[..], &bytes[..header.length]);
            }
        }
    }
}
