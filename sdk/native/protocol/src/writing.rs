//! Messages to bytes: MessagePack, each number and text in its shortest form.

use std::fmt;

use sealroute_rules::MAX_REQUEST_BYTES;

use crate::messages::ClientMessage;
use crate::reading::Word;

/// A request that the server would close the connection for.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct TooLarge;

impl TooLarge {
    /// Stable, as the server's.
    pub fn code(self) -> &'static str {
        "message_too_large"
    }
}

impl fmt::Display for TooLarge {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("the message is larger than the server takes")
    }
}

impl std::error::Error for TooLarge {}

/// The bytes of a request with its number.
pub fn encode(message: &ClientMessage, id: u64) -> Result<Vec<u8>, TooLarge> {
    let mut members = Vec::new();
    let mut map = Map {
        bytes: &mut members,
        count: 0,
    };
    map.member("t", message.kind());
    message.members(&mut map);
    map.member("id", &id);
    let count = map.count;
    let mut bytes = Vec::with_capacity(members.len() + 5);
    head(&mut bytes, &MAP, count);
    bytes.extend_from_slice(&members);
    if bytes.len() as u64 > MAX_REQUEST_BYTES {
        return Err(TooLarge);
    }
    Ok(bytes)
}

/// A map whose members are written one by one; those that are absent are left out.
pub(crate) struct Map<'a> {
    bytes: &'a mut Vec<u8>,
    count: u64,
}

impl Map<'_> {
    pub(crate) fn member<T: Member + ?Sized>(&mut self, name: &str, value: &T) {
        if value.is_there() {
            self.count += 1;
            name.write(self.bytes);
            value.write(self.bytes);
        }
    }
}

/// What has members.
pub(crate) trait Write {
    fn members(&self, map: &mut Map<'_>);
}

/// What a member can be.
pub(crate) trait Member {
    fn is_there(&self) -> bool {
        true
    }
    fn write(&self, out: &mut Vec<u8>);
}

impl<T: Write> Member for T {
    fn write(&self, out: &mut Vec<u8>) {
        let mut members = Vec::new();
        let mut map = Map {
            bytes: &mut members,
            count: 0,
        };
        self.members(&mut map);
        head(out, &MAP, map.count);
        out.extend_from_slice(&members);
    }
}

impl<T: Member> Member for Option<T> {
    fn is_there(&self) -> bool {
        self.is_some()
    }

    fn write(&self, out: &mut Vec<u8>) {
        if let Some(value) = self {
            value.write(out);
        }
    }
}

macro_rules! words {
    ($($name:ident),+) => {$(
        impl Member for crate::messages::$name {
            fn write(&self, out: &mut Vec<u8>) {
                let word = Self::WORDS.iter().find(|(word, _)| word == self);
                word.map_or("", |(_, text)| text).write(out);
            }
        }
    )+};
}

words!(
    CodecName,
    DescriptionType,
    Direction,
    EncryptionReport,
    TrackKind,
    VideoType
);

impl Member for bool {
    fn write(&self, out: &mut Vec<u8>) {
        out.push(if *self { 0xc3 } else { 0xc2 });
    }
}

impl Member for u64 {
    fn write(&self, out: &mut Vec<u8>) {
        head(out, &WHOLE, *self);
    }
}

impl Member for f64 {
    fn write(&self, out: &mut Vec<u8>) {
        out.push(0xcb);
        out.extend_from_slice(&self.to_be_bytes());
    }
}

impl Member for str {
    fn write(&self, out: &mut Vec<u8>) {
        head(out, &TEXT, self.len() as u64);
        out.extend_from_slice(self.as_bytes());
    }
}

impl Member for String {
    fn write(&self, out: &mut Vec<u8>) {
        self.as_str().write(out);
    }
}

impl Member for Vec<u8> {
    fn write(&self, out: &mut Vec<u8>) {
        head(out, &BYTES, self.len() as u64);
        out.extend_from_slice(self);
    }
}

impl<T: Member> Member for Vec<T> {
    fn write(&self, out: &mut Vec<u8>) {
        head(out, &LIST, self.len() as u64);
        for value in self {
            value.write(out);
        }
    }
}

/// The first bytes of a type: up to how much fits into the first one, and what it is then; what it
/// is before 1, 2, 4 and 8 bytes of a number, or 0.
struct Head(u64, u8, [u8; 4]);

const WHOLE: Head = Head(0x80, 0x00, [0xcc, 0xcd, 0xce, 0xcf]);
const TEXT: Head = Head(0x20, 0xa0, [0xd9, 0xda, 0xdb, 0]);
const BYTES: Head = Head(0, 0, [0xc4, 0xc5, 0xc6, 0]);
const LIST: Head = Head(0x10, 0x90, [0, 0xdc, 0xdd, 0]);
const MAP: Head = Head(0x10, 0x80, [0, 0xde, 0xdf, 0]);

fn head(out: &mut Vec<u8>, Head(fit, base, wide): &Head, number: u64) {
    if number < *fit {
        out.push(base | number as u8);
        return;
    }
    let digits = number.to_be_bytes();
    let widths = wide.iter().zip([1, 2, 4, 8]);
    let mut fitting = widths.filter(|(first, width)| {
        **first != 0 && digits[..8 - width].iter().all(|digit| *digit == 0)
    });
    // A length of more than 32 bits is in no memory.
    if let Some((first, width)) = fitting.next() {
        out.push(*first);
        out.extend_from_slice(&digits[8 - width..]);
    }
}

#[cfg(test)]
mod tests {
    use super::{Member, TooLarge, encode};
    use crate::messages::{Bye, ClientMessage, DeclareKids, Signal, Subscribe};
    use crate::value::{Value, read};

    fn bytes<T: Member + ?Sized>(value: &T) -> Vec<u8> {
        let mut out = Vec::new();
        value.write(&mut out);
        out
    }

    #[test]
    fn everything_is_read_as_it_was_written() {
        for number in [
            0,
            127,
            128,
            255,
            256,
            65_535,
            65_536,
            u64::from(u32::MAX),
            1 << 32,
            u64::MAX,
        ] {
            assert_eq!(read(&bytes(&number)), Some(Value::Whole(number)));
        }
        for length in [0, 1, 31, 32, 255, 256, 65_535, 65_536] {
            let text = "x".repeat(length);
            assert_eq!(read(&bytes(&text)), Some(Value::Text(&text)));
            assert_eq!(
                read(&bytes(&vec![7_u8; length])),
                Some(Value::Bytes(&vec![7; length]))
            );
            let list = bytes(&vec![true; length]);
            assert_eq!(
                read(&list),
                Some(Value::List(vec![Value::Flag(true); length]))
            );
        }
        assert_eq!(read(&bytes(&1.5_f64)), Some(Value::Number(1.5)));
    }

    #[test]
    fn what_is_absent_is_left_out() {
        assert_eq!(
            encode(&ClientMessage::Bye(Bye::default()), 3).unwrap(),
            b"\x82\xa1t\xa3bye\xa2id\x03"
        );
        let message = Subscribe {
            stream_id: "s".into(),
            audio: Some(false),
            ..Subscribe::default()
        };
        let expected = b"\x84\xa1t\xa9subscribe\xa8streamId\xa1s\xa5audio\xc2\xa2id\xcc\xc8";
        assert_eq!(
            encode(&ClientMessage::Subscribe(message), 200).unwrap(),
            expected
        );
        let kids = vec![vec![0xff; 8]];
        let message = DeclareKids {
            stream_id: "s".into(),
            mid: "0".into(),
            kids,
        };
        let bytes = encode(&ClientMessage::DeclareKids(message), 1).unwrap();
        assert!(
            bytes
                .windows(14)
                .any(|part| part == b"\xa4kids\x91\xc4\x08\xff\xff\xff\xff\xff\xff")
        );
    }

    #[test]
    fn a_request_that_the_server_would_not_take_is_not_made() {
        let data = Some("x".repeat(262_144));
        let message = ClientMessage::Signal(Signal {
            data,
            ..Signal::default()
        });
        assert_eq!(encode(&message, 1), Err(TooLarge));
    }
}
