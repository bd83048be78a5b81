//! Opus in Ogg (RFC 3533, RFC 7845): packets out of a file, and into one.

use std::fs::File;
use std::io::{Read, Write};
use std::path::Path;

/// Samples of 20 ms at 48 kHz, as all encoders of calls make them.
pub(crate) const SAMPLES: u32 = 960;
const FIRST: u8 = 2;
const LAST: u8 = 4;
/// The stream's number in its file: any, for it is the only one.
const SERIAL: &[u8; 4] = b"opus";

/// The packets of audio. Errors: for people.
pub(crate) fn read(path: &Path) -> Result<Vec<Vec<u8>>, String> {
    let mut bytes = Vec::new();
    let read = File::open(path).and_then(|mut file| file.read_to_end(&mut bytes));
    read.map_err(|_| "The audio file cannot be read".to_owned())?;
    audio(&bytes).ok_or_else(|| "The audio file is no Ogg file of Opus".into())
}

fn audio(mut rest: &[u8]) -> Option<Vec<Vec<u8>>> {
    let mut packets: Vec<Vec<u8>> = Vec::new();
    let mut open: Vec<u8> = Vec::new();
    while !rest.is_empty() {
        let (head, after) = rest.split_at_checked(27)?;
        if !head.starts_with(b"OggS") {
            return None;
        }
        let (lengths, mut body) = after.split_at_checked(head[26].into())?;
        for &length in lengths {
            let (part, after) = body.split_at_checked(length.into())?;
            open.extend_from_slice(part);
            if length < 255 {
                packets.push(std::mem::take(&mut open));
            }
            body = after;
        }
        rest = body;
    }
    let is_opus = packets
        .first()
        .is_some_and(|head| head.starts_with(b"OpusHead"));
    if !is_opus || packets.len() < 3 {
        return None;
    }
    Some(packets.split_off(2))
}

/// Audio that is being written, a page for each packet.
pub(crate) struct Writer {
    file: File,
    pages: u32,
    position: u64,
    last: Option<u32>,
}

impl Writer {
    pub(crate) fn create(path: &Path) -> std::io::Result<Self> {
        let file = File::create(path)?;
        let mut writer = Self {
            file,
            pages: 0,
            position: 0,
            last: None,
        };
        let rate = 48_000_u32.to_le_bytes();
        // Version, two channels, no pre-skip, no gain, the usual order of channels.
        let head = [&b"OpusHead"[..], &[1, 2, 0, 0], &rate, &[0, 0, 0]].concat();
        let tags = [
            &b"OpusTags"[..],
            &9_u32.to_le_bytes(),
            b"sealroute",
            &[0; 4],
        ]
        .concat();
        writer.page(FIRST, Some(&head))?;
        writer.page(0, Some(&tags))?;
        Ok(writer)
    }

    /// What is missing in between is missing in the positions too.
    pub(crate) fn write(&mut self, timestamp: u32, packet: &[u8]) -> std::io::Result<()> {
        let passed = self
            .last
            .replace(timestamp)
            .map_or(SAMPLES, |last| timestamp.wrapping_sub(last));
        // A jump of more than a minute is none of this file.
        let passed = if passed < 60 * 48_000 {
            passed
        } else {
            SAMPLES
        };
        self.position += u64::from(passed);
        self.page(0, Some(packet))
    }

    pub(crate) fn count(&self) -> u32 {
        self.pages.saturating_sub(2)
    }

    pub(crate) fn finish(mut self) -> std::io::Result<()> {
        self.page(LAST, None)
    }

    /// An empty packet is none: a page of it could not be decoded.
    fn page(&mut self, kind: u8, packet: Option<&[u8]>) -> std::io::Result<()> {
        let mut lengths = Vec::new();
        if let Some(packet) = packet {
            lengths.resize(packet.len() / 255, 255);
            lengths.push((packet.len() % 255) as u8);
        }
        let packet = packet.unwrap_or_default();
        let position = self.position.to_le_bytes();
        let head = [
            &b"OggS\0"[..],
            &[kind],
            &position,
            SERIAL,
            &self.pages.to_le_bytes(),
        ]
        .concat();
        let mut page = [&head[..], &[0; 4], &[lengths.len() as u8], &lengths, packet].concat();
        let sum = checksum(&page).to_le_bytes();
        page[22..26].copy_from_slice(&sum);
        self.pages += 1;
        self.file.write_all(&page)
    }
}

/// CRC-32 of Ogg: not reflected, from zero.
fn checksum(bytes: &[u8]) -> u32 {
    bytes.iter().fold(0_u32, |sum, byte| {
        (0..8).fold(sum ^ u32::from(*byte) << 24, |sum, _| {
            sum << 1 ^ (if sum >> 31 == 1 { 0x04C1_1DB7 } else { 0 })
        })
    })
}
