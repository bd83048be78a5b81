//! MessagePack as values that borrow the bytes, within bounds that hold before room is made.

use std::collections::BTreeMap;

use sealroute_rules::{CONTAINER_VALUES, MAX_MESSAGE_DEPTH, MAX_MESSAGE_VALUES};

/// Any value but extensions, which no message has.
#[derive(Clone, Debug, PartialEq)]
pub(crate) enum Value<'a> {
    Nil,
    Flag(bool),
    Whole(u64),
    Negative(i64),
    Number(f64),
    Text(&'a str),
    Bytes(&'a [u8]),
    List(Vec<Self>),
    Map(BTreeMap<&'a str, Self>),
}

/// One whole value. None for anything else: more or fewer bytes, too deep, too many values, names
/// that are no texts or come twice, extensions, text that is not UTF-8.
pub(crate) fn read(bytes: &[u8]) -> Option<Value<'_>> {
    let mut reader = Reader {
        rest: bytes,
        left: MAX_MESSAGE_VALUES.checked_sub(1)?,
    };
    let value = reader.value(0)?;
    reader.rest.is_empty().then_some(value)
}

struct Reader<'a> {
    rest: &'a [u8],
    /// Values that may still be claimed.
    left: u64,
}

impl<'a> Reader<'a> {
    fn value(&mut self, depth: u64) -> Option<Value<'a>> {
        let [first] = self.array()?;
        match first {
            0x00..=0x7f => Some(Value::Whole(first.into())),
            0x80..=0x8f => self.map((first & 0x0f).into(), depth),
            0x90..=0x9f => self.list((first & 0x0f).into(), depth),
            0xa0..=0xbf => self.text((first & 0x1f).into()),
            0xc0 => Some(Value::Nil),
            0xc2 | 0xc3 => Some(Value::Flag(first == 0xc3)),
            0xca => Some(Value::Number(f32::from_be_bytes(self.array()?).into())),
            0xcb => Some(Value::Number(f64::from_be_bytes(self.array()?))),
            0xcc..=0xcf => self.unsigned(1 << (first - 0xcc)).map(Value::Whole),
            0xd0..=0xd3 => self.signed(1 << (first - 0xd0)),
            0xe0..=0xff => Some(Value::Negative(i8::from_be_bytes([first]).into())),
            _ => self.sized(first, depth),
        }
    }

    /// What has a length of its own behind its first byte.
    fn sized(&mut self, first: u8, depth: u64) -> Option<Value<'a>> {
        let width = match first {
            0xc4 | 0xd9 => 1,
            0xc5 | 0xda | 0xdc | 0xde => 2,
            0xc6 | 0xdb | 0xdd | 0xdf => 4,
            _ => return None,
        };
        let length = self.unsigned(width)?;
        match first {
            0xc4..=0xc6 => self.take(length).map(Value::Bytes),
            0xd9..=0xdb => self.text(length),
            0xdc | 0xdd => self.list(length, depth),
            _ => self.map(length, depth),
        }
    }

    fn list(&mut self, length: u64, depth: u64) -> Option<Value<'a>> {
        self.claim(length, depth)?;
        let values: Option<Vec<_>> = (0..length).map(|_| self.value(depth + 1)).collect();
        values.map(Value::List)
    }

    fn map(&mut self, length: u64, depth: u64) -> Option<Value<'a>> {
        self.claim(length.checked_mul(2)?, depth)?;
        let mut members = BTreeMap::new();
        for _ in 0..length {
            let Value::Text(name) = self.value(depth + 1)? else {
                return None;
            };
            if members.insert(name, self.value(depth + 1)?).is_some() {
                return None;
            }
        }
        Some(Value::Map(members))
    }

    /// Counts what a container says that it holds.
    fn claim(&mut self, values: u64, depth: u64) -> Option<()> {
        if depth >= MAX_MESSAGE_DEPTH {
            return None;
        }
        self.left = self
            .left
            .checked_sub(values.checked_add(CONTAINER_VALUES)?)?;
        Some(())
    }

    fn text(&mut self, length: u64) -> Option<Value<'a>> {
        str::from_utf8(self.take(length)?).ok().map(Value::Text)
    }

    fn unsigned(&mut self, width: u64) -> Option<u64> {
        let bytes = self.take(width)?;
        Some(
            bytes
                .iter()
                .fold(0, |sum, byte| sum << 8 | u64::from(*byte)),
        )
    }

    fn signed(&mut self, width: u32) -> Option<Value<'a>> {
        let unused = 64 - 8 * width;
        let value = (self.unsigned(width.into())? << unused).cast_signed() >> unused;
        Some(u64::try_from(value).map_or(Value::Negative(value), Value::Whole))
    }

    fn take(&mut self, length: u64) -> Option<&'a [u8]> {
        let (taken, rest) = self.rest.split_at_checked(usize::try_from(length).ok()?)?;
        self.rest = rest;
        Some(taken)
    }

    fn array<const N: usize>(&mut self) -> Option<[u8; N]> {
        let (taken, rest) = self.rest.split_first_chunk::<N>()?;
        self.rest = rest;
        Some(*taken)
    }
}

#[cfg(test)]
mod tests {
    use super::{Value, read};

    #[test]
    fn numbers_are_read_in_every_width() {
        for (bytes, value) in [
            (&[0x7f][..], Value::Whole(127)),
            (&[0xcc, 0xff], Value::Whole(255)),
            (&[0xcd, 1, 0], Value::Whole(256)),
            (&[0xce, 0, 0, 0, 9], Value::Whole(9)),
            (
                &[0xcf, 255, 255, 255, 255, 255, 255, 255, 255],
                Value::Whole(u64::MAX),
            ),
            (&[0xff], Value::Negative(-1)),
            (&[0xd0, 0x80], Value::Negative(-128)),
            (&[0xd0, 0x05], Value::Whole(5)),
            (&[0xd1, 0xff, 0xfe], Value::Negative(-2)),
            (
                &[0xd3, 0x80, 0, 0, 0, 0, 0, 0, 0],
                Value::Negative(i64::MIN),
            ),
            (&[0xca, 0x3f, 0x80, 0, 0], Value::Number(1.0)),
        ] {
            assert_eq!(read(bytes), Some(value), "{bytes:x?}");
        }
    }

    #[test]
    fn what_is_not_one_whole_value_is_none() {
        for bytes in [
            &[][..],
            &[0xc1],
            &[0x00, 0x00],
            &[0xa2, 0x61],
            &[0xa1, 0xff],
            &[0xd9, 0x01],
            &[0xd4, 0x01, 0x02],
            &[0xc7, 0x01, 0x02, 0x03],
            &[0x81, 0x01, 0x01],
            &[0x82, 0xa1, 0x61, 0x01, 0xa1, 0x61, 0x02],
            &[0xdd, 0xff, 0xff, 0xff, 0xff],
            &[0xdf, 0xff, 0xff, 0xff, 0xff],
        ] {
            assert_eq!(read(bytes), None, "{bytes:x?}");
        }
    }

    #[test]
    fn depth_and_number_of_values_are_bounded() {
        let nested = |levels: usize| [vec![0x91; levels], vec![0xc0]].concat();
        assert!(read(&nested(16)).is_some());
        assert!(read(&nested(17)).is_none());
        assert!(read(&nested(1_000_000)).is_none());
        let empty_lists = |count: u32| {
            let head = [&[0xdd][..], &count.to_be_bytes()].concat();
            [head, vec![0x90; count as usize]].concat()
        };
        assert!(read(&empty_lists(52_000)).is_some());
        assert!(read(&empty_lists(53_000)).is_none());
    }
}
