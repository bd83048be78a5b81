//! Packetized media: RTP packets with payloads in the layout of e2ee/2 that carry a stamp.

use crate::Error;
use crate::job::{MediaJob, WireCodec, unhex};
use crate::stamp::{STAMP_BYTES, Stamp};

const VIDEO_CLOCK_HZ: f64 = 90_000.0;
const AUDIO_CLOCK_HZ: f64 = 48_000.0;
const VP8_DESCRIPTOR_BYTES: usize = 4;
/// First ten bytes of a 640x360 key frame (RFC 6386, 9.1).
const VP8_KEY_FRAME_HEAD: [u8; 10] = [0x10, 0x02, 0x00, 0x9d, 0x01, 0x2a, 0x80, 0x02, 0x68, 0x01];
const VP8_DELTA_FRAME_HEAD: [u8; 1] = [0x11];
const LARGEST_PACKET_BYTES: usize = 1_400;
/// Descriptor, unencrypted bytes, the longest SFrame header and the stamp.
const SMALLEST_PAYLOAD_BYTES: usize = VP8_DESCRIPTOR_BYTES + 10 + 13 + STAMP_BYTES;

/// Writes the packets of one stream.
pub struct Packetizer {
    job: MediaJob,
    publisher: u16,
    kid: Option<[u8; 8]>,
    extension: Vec<u8>,
    random_bytes: Vec<u8>,
    number: u64,
    frame: u64,
    in_frame: u32,
    key_frame: bool,
    key_frame_wanted: bool,
    first_sequence: u64,
    first_timestamp: u32,
}

/// The header-extension block of constant one-byte extensions (RFC 8285, 4.2).
fn extension_block(extensions: &[(u8, String)]) -> Result<Vec<u8>, Error> {
    let mut body = Vec::new();
    for (id, value) in extensions {
        let value = unhex(value).filter(|value| (1..=16).contains(&value.len()));
        let (1..=14, Some(value)) = (*id, value) else {
            return Err(Error::Job("extensions: id 1..14 and 1..16 bytes".into()));
        };
        body.push(id << 4 | (value.len() - 1) as u8);
        body.extend_from_slice(&value);
    }
    if body.is_empty() {
        return Ok(body);
    }
    body.resize(body.len().next_multiple_of(4), 0);
    let mut block = vec![0xbe, 0xde];
    block.extend_from_slice(&((body.len() / 4) as u16).to_be_bytes());
    block.extend_from_slice(&body);
    Ok(block)
}

/// RFC 9605, 4.3, with an 8-byte KID. `counter` is below 2^32.
fn write_sframe_header(out: &mut [u8], kid: [u8; 8], counter: u64) -> usize {
    if counter < 8 {
        out[0] = 0xf0 | counter as u8;
        out[1..9].copy_from_slice(&kid);
        return 9;
    }
    let bytes = counter.to_be_bytes();
    let length = (8 - counter.leading_zeros() as usize / 8).clamp(1, 4);
    out[0] = 0xf8 | (length - 1) as u8;
    out[1..9].copy_from_slice(&kid);
    out[9..9 + length].copy_from_slice(&bytes[8 - length..]);
    9 + length
}

fn random_bytes(seed: u64, length: usize) -> Vec<u8> {
    let mut state = seed | 1;
    let next = || {
        state ^= state << 13;
        state ^= state >> 7;
        state ^= state << 17;
        state as u8
    };
    std::iter::repeat_with(next).take(length).collect()
}

impl Packetizer {
    /// `publisher` is the index in the stamps.
    pub fn new(job: &MediaJob, publisher: u16) -> Result<Self, Error> {
        let sizes = SMALLEST_PAYLOAD_BYTES..=LARGEST_PACKET_BYTES;
        if !sizes.contains(&job.payload_bytes) {
            return Err(Error::Job(format!("payload_bytes: {sizes:?}")));
        }
        if job.packets_per_frame == 0 || job.burst == 0 || job.burst > 64 {
            return Err(Error::Job(
                "packets_per_frame and burst: 1 and up, burst to 64".into(),
            ));
        }
        if !(0.1..=100_000.0).contains(&job.rate_pps) {
            return Err(Error::Job("rate_pps: 0.1..100000".into()));
        }
        let kid = job.kid.as_deref().map(|text| {
            let kid = unhex(text).and_then(|kid| <[u8; 8]>::try_from(kid).ok());
            kid.ok_or_else(|| Error::Job("kid: 8 bytes".into()))
        });
        Ok(Self {
            job: job.clone(),
            publisher,
            kid: kid.transpose()?,
            extension: extension_block(&job.extensions)?,
            random_bytes: random_bytes(u64::from(job.ssrc), LARGEST_PACKET_BYTES),
            number: 0,
            frame: 0,
            in_frame: 0,
            key_frame: true,
            key_frame_wanted: true,
            first_sequence: u64::from(job.ssrc & 0x3fff),
            first_timestamp: job.ssrc.rotate_left(13),
        })
    }

    /// Makes the next frame a key frame.
    pub fn want_key_frame(&mut self) {
        self.key_frame_wanted = true;
    }

    /// The number of packets written.
    pub fn number(&self) -> u64 {
        self.number
    }

    /// RTP timestamp of the current frame.
    pub fn timestamp(&self) -> u32 {
        let (clock, rate) = match self.job.codec {
            WireCodec::Opus => (AUDIO_CLOCK_HZ, self.job.rate_pps),
            WireCodec::Vp8 => (
                VIDEO_CLOCK_HZ,
                self.job.rate_pps / f64::from(self.job.packets_per_frame),
            ),
        };
        let ticks = (self.frame as f64 * clock / rate) as u64;
        self.first_timestamp.wrapping_add(ticks as u32)
    }

    /// Writes the next packet without SRTP. Returns its length and extended sequence number.
    pub fn write(&mut self, out: &mut [u8], now_unix_ns: u64) -> (usize, u64) {
        let packets_per_frame = if self.job.codec == WireCodec::Opus {
            1
        } else {
            self.job.packets_per_frame
        };
        if self.in_frame == 0 {
            self.key_frame = std::mem::take(&mut self.key_frame_wanted);
        }
        let last = self.in_frame + 1 == packets_per_frame;
        let index = self.first_sequence + self.number;
        let header = self.write_header(out, index, last);
        let end = header + self.job.payload_bytes;
        out[header..end].copy_from_slice(&self.random_bytes[..self.job.payload_bytes]);
        self.write_payload(&mut out[header..end], now_unix_ns);
        self.number += 1;
        self.in_frame += 1;
        if last {
            self.in_frame = 0;
            self.frame += 1;
        }
        (end, index)
    }

    fn write_header(&self, out: &mut [u8], index: u64, marker: bool) -> usize {
        let is_video = self.job.codec == WireCodec::Vp8;
        out[0] = 0x80 | if self.extension.is_empty() { 0 } else { 0x10 };
        out[1] = self.job.payload_type | if marker && is_video { 0x80 } else { 0 };
        out[2..4].copy_from_slice(&(index as u16).to_be_bytes());
        out[4..8].copy_from_slice(&self.timestamp().to_be_bytes());
        out[8..12].copy_from_slice(&self.job.ssrc.to_be_bytes());
        out[12..12 + self.extension.len()].copy_from_slice(&self.extension);
        12 + self.extension.len()
    }

    fn write_payload(&mut self, payload: &mut [u8], now_unix_ns: u64) {
        let mut at = 0;
        let is_video = self.job.codec == WireCodec::Vp8;
        if is_video {
            let start = if self.in_frame == 0 { 0x10 } else { 0 };
            let picture_id = (self.frame as u16 & 0x7fff) | 0x8000;
            payload[..2].copy_from_slice(&[0x80 | start, 0x80]);
            payload[2..4].copy_from_slice(&picture_id.to_be_bytes());
            at = VP8_DESCRIPTOR_BYTES;
        }
        let descriptor = at;
        if self.in_frame == 0 {
            if is_video {
                let head: &[u8] = if self.key_frame {
                    &VP8_KEY_FRAME_HEAD
                } else {
                    &VP8_DELTA_FRAME_HEAD
                };
                payload[at..at + head.len()].copy_from_slice(head);
                at += head.len();
            }
            if let Some(kid) = self.kid {
                write_sframe_header(&mut payload[at..], kid, self.frame & 0xffff_ffff);
            }
        }
        let stamp = Stamp {
            publisher: self.publisher,
            has_vp8_descriptor: is_video,
            number: self.number,
            sent_unix_ns: now_unix_ns,
        };
        stamp.write(payload, descriptor);
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use sealroute_transport::rtp_header_bytes;

    fn video(packets_per_frame: u32) -> MediaJob {
        MediaJob {
            codec: WireCodec::Vp8,
            ssrc: 77,
            payload_type: 96,
            rate_pps: 300.0,
            payload_bytes: 1_150,
            packets_per_frame,
            burst: 1,
            kid: Some("80112233445566aa".into()),
            extensions: vec![(4, "30".into())],
        }
    }

    #[test]
    fn frames_start_with_unencrypted_bytes_and_the_key_id_and_end_with_the_marker() {
        let mut packetizer = Packetizer::new(&video(3), 5).unwrap();
        let mut out = [0; 1_500];
        for packet in 0..12_u64 {
            let (length, index) = packetizer.write(&mut out, 1_000 + packet);
            assert_eq!(index, 77 + packet);
            assert_eq!(out[1] & 0x80 != 0, packet % 3 == 2, "marker");
            let payload = &out[rtp_header_bytes(&out[..length]).unwrap()..length];
            assert_eq!(payload[0] & 0x10 != 0, packet % 3 == 0, "start of frame");
            let clear = if packet == 0 { 10 } else { 1 };
            if packet % 3 == 0 {
                assert_eq!(
                    payload[4] & 1,
                    u8::from(packet != 0),
                    "only the first is a key frame"
                );
                assert_eq!(payload[4 + clear], 0xf0 | (packet / 3) as u8);
                assert_eq!(
                    payload[5 + clear..13 + clear],
                    unhex("80112233445566aa").unwrap()
                );
            }
            let stamp = Stamp::read(payload).unwrap();
            assert_eq!((stamp.publisher, stamp.number), (5, packet));
            assert_eq!(stamp.sent_unix_ns, 1_000 + packet);
        }
    }

    #[test]
    fn a_requested_key_frame_starts_with_the_next_frame() {
        let mut packetizer = Packetizer::new(&video(2), 0).unwrap();
        let mut out = [0; 1_500];
        let mut heads = Vec::new();
        for packet in 0..8 {
            if packet == 3 {
                packetizer.want_key_frame();
            }
            packetizer.write(&mut out, 0);
            if packet % 2 == 0 {
                heads.push(out[20 + 4] & 1 == 0);
            }
        }
        assert_eq!(heads, [true, false, true, false]);
    }

    #[test]
    fn counters_of_every_length_are_written_as_rfc_9605_has_them() {
        let mut out = [0; 16];
        for (counter, config, length) in [
            (7, 0xf7, 9),
            (8, 0xf8, 10),
            (255, 0xf8, 10),
            (256, 0xf9, 11),
            (1 << 24, 0xfb, 13),
        ] {
            assert_eq!(write_sframe_header(&mut out, [1; 8], counter), length);
            assert_eq!(out[0], config);
        }
    }

    #[test]
    fn timestamps_follow_the_frame_rate() {
        let mut packetizer = Packetizer::new(&video(10), 0).unwrap();
        let mut out = [0; 1_500];
        let first = packetizer.timestamp();
        for _ in 0..10 {
            packetizer.write(&mut out, 0);
        }
        assert_eq!(packetizer.timestamp().wrapping_sub(first), 3_000);
    }

    #[test]
    fn invalid_media_jobs_are_refused() {
        for change in [
            |job: &mut MediaJob| job.payload_bytes = 20,
            |job: &mut MediaJob| job.payload_bytes = 9_000,
            |job: &mut MediaJob| job.burst = 0,
            |job: &mut MediaJob| job.packets_per_frame = 0,
            |job: &mut MediaJob| job.rate_pps = f64::NAN,
            |job: &mut MediaJob| job.kid = Some("00".into()),
            |job: &mut MediaJob| job.extensions = vec![(15, "00".into())],
        ] {
            let mut job = video(1);
            change(&mut job);
            assert!(Packetizer::new(&job, 0).is_err());
        }
    }
}
