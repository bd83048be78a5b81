//! IVF: encoded frames with their times, and nothing else.

use std::fs::File;
use std::io::{Read, Seek, SeekFrom, Write};
use std::path::Path;

use sealroute_client::Codec;

const HEAD: usize = 32;
const FRAME_HEAD: usize = 12;
const CODECS: [(&[u8; 4], Codec); 3] = [
    (b"VP80", Codec::Vp8),
    (b"VP90", Codec::Vp9),
    (b"AV01", Codec::Av1),
];

/// A whole film.
pub(crate) struct Film {
    pub(crate) codec: Codec,
    pub(crate) size: (u32, u32),
    /// Frames a second.
    pub(crate) rate: f64,
    pub(crate) frames: Vec<Vec<u8>>,
}

/// Errors: for people.
pub(crate) fn read(path: &Path) -> Result<Film, String> {
    let mut bytes = Vec::new();
    let read = File::open(path).and_then(|mut file| file.read_to_end(&mut bytes));
    read.map_err(|_| "The film cannot be read".to_owned())?;
    film(&bytes).ok_or_else(|| "The film is no IVF file of VP8, VP9 or AV1".into())
}

fn film(bytes: &[u8]) -> Option<Film> {
    let (head, mut rest) = bytes.split_at_checked(HEAD)?;
    if !head.starts_with(b"DKIF") {
        return None;
    }
    let codec = CODECS.iter().find(|(name, _)| head[8..12] == **name)?.1;
    let (width, height) = (u16_at(head, 12), u16_at(head, 14));
    let rate = f64::from(u32_at(head, 16)) / f64::from(u32_at(head, 20).max(1));
    let mut frames = Vec::new();
    while let Some((head, after)) = rest.split_at_checked(FRAME_HEAD) {
        let (frame, after) = after.split_at_checked(u32_at(head, 0) as usize)?;
        frames.push(frame.to_vec());
        rest = after;
    }
    let is_film = !frames.is_empty() && (1.0..=240.0).contains(&rate);
    is_film.then_some(Film {
        codec,
        size: (width.into(), height.into()),
        rate,
        frames,
    })
}

fn u16_at(bytes: &[u8], at: usize) -> u16 {
    u16::from_le_bytes([bytes[at], bytes[at + 1]])
}

fn u32_at(bytes: &[u8], at: usize) -> u32 {
    u32::from(u16_at(bytes, at)) | u32::from(u16_at(bytes, at + 2)) << 16
}

/// Whether a decoder can begin with it.
pub(crate) fn is_key_frame(codec: Codec, frame: &[u8]) -> bool {
    let Some(first) = frame.first() else {
        return false;
    };
    match codec {
        Codec::Vp8 => first & 1 == 0,
        // Frame marker, profile 0 to 2, no frame that exists already, key frame.
        Codec::Vp9 => first & 0xC0 == 0x80 && first & 0x0C == 0,
        // A sequence header comes first, behind a temporal delimiter perhaps.
        Codec::Av1 => frame.iter().take(3).any(|byte| byte >> 3 & 0x0F == 1),
        _ => true,
    }
}

/// A film that is being written.
pub(crate) struct Writer {
    file: File,
    count: u32,
    first: Option<u32>,
}

impl Writer {
    /// None for a codec that IVF does not have.
    pub(crate) fn create(path: &Path, codec: Codec) -> Option<std::io::Result<Self>> {
        let name = CODECS.iter().find(|(_, known)| *known == codec)?.0;
        Some(Self::begin(path, *name))
    }

    fn begin(path: &Path, name: [u8; 4]) -> std::io::Result<Self> {
        let mut file = File::create(path)?;
        let clock = [&90_000_u32.to_le_bytes()[..], &1_u32.to_le_bytes()].concat();
        file.write_all(&[b"DKIF\0\0\x20\0", &name[..], &[0; 4], &clock, &[0; 8]].concat())?;
        Ok(Self {
            file,
            count: 0,
            first: None,
        })
    }

    pub(crate) fn write(
        &mut self,
        codec: Codec,
        timestamp: u32,
        frame: &[u8],
    ) -> std::io::Result<()> {
        if self.count == 0 && codec == Codec::Vp8 && frame.len() >= 10 {
            // Width and height stand in the first key frame as they do in the head.
            self.file.seek(SeekFrom::Start(12))?;
            self.file
                .write_all(&[frame[6], frame[7] & 0x3F, frame[8], frame[9] & 0x3F])?;
            self.file.seek(SeekFrom::End(0))?;
        }
        let first = *self.first.get_or_insert(timestamp);
        let time = u64::from(timestamp.wrapping_sub(first));
        let length = frame.len() as u32;
        self.count += 1;
        self.file
            .write_all(&[&length.to_le_bytes()[..], &time.to_le_bytes(), frame].concat())
    }

    pub(crate) fn count(&self) -> u32 {
        self.count
    }

    pub(crate) fn finish(mut self) -> std::io::Result<()> {
        self.file.seek(SeekFrom::Start(24))?;
        self.file.write_all(&self.count.to_le_bytes())
    }
}
