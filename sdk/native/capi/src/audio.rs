//! Audio without its device: samples to packets, and packets of several voices to samples. Pure.

use std::collections::{HashMap, VecDeque};

use sealroute_client::{Codec, MediaFrame};
use sealroute_codecs::{CodecError, FRAME_MS, OpusDecoder, OpusEncoder};

/// Of 48 kHz, which the timestamps of Opus are of, whatever is encoded.
const TICKS_PER_FRAME: u32 = 48 * FRAME_MS;
/// Packets in a row that are made up when they do not come.
const MAX_CONCEALED: u32 = 5;
/// A voice begins with so much, and begins again after silence: what the network delays.
const BEGINS_MS: usize = 60;
/// More is what came late: it is left out, down to the above.
const MOST_MS: usize = 400;

/// What a device captures.
pub(crate) struct Capture {
    encoder: OpusEncoder,
    waiting: Vec<i16>,
    timestamp: u32,
}

impl Capture {
    pub(crate) fn new(rate: u32, channels: u8) -> Result<Self, CodecError> {
        Ok(Self {
            encoder: OpusEncoder::new(rate, channels)?,
            waiting: Vec::new(),
            timestamp: 0,
        })
    }

    /// Frames that are whole by these samples.
    pub(crate) fn push(&mut self, samples: &[i16]) -> Vec<MediaFrame> {
        self.waiting.extend_from_slice(samples);
        let each = self.encoder.samples();
        let whole = self.waiting.len() / each * each;
        let due: Vec<i16> = self.waiting.drain(..whole).collect();
        let mut frames = Vec::new();
        for samples in due.chunks_exact(each) {
            let timestamp = self.timestamp;
            self.timestamp = self.timestamp.wrapping_add(TICKS_PER_FRAME);
            if let Ok(data) = self.encoder.encode(samples) {
                frames.push(MediaFrame {
                    codec: Codec::Opus,
                    is_key_frame: true,
                    timestamp,
                    data,
                });
            }
        }
        frames
    }
}

struct Voice {
    decoder: OpusDecoder,
    waiting: VecDeque<i16>,
    last: Option<u32>,
    is_heard: bool,
}

/// All that a device plays.
pub(crate) struct Mixer {
    rate: u32,
    channels: u8,
    voices: HashMap<usize, Voice>,
}

impl Mixer {
    /// `rate` and `channels`: what the device plays.
    pub(crate) fn new(rate: u32, channels: u8) -> Result<Self, CodecError> {
        OpusDecoder::new(rate, channels)?;
        Ok(Self {
            rate,
            channels,
            voices: HashMap::new(),
        })
    }

    pub(crate) fn channels(&self) -> usize {
        self.channels.into()
    }

    fn samples_in(&self, ms: usize) -> usize {
        self.rate as usize * ms / 1_000 * usize::from(self.channels)
    }

    /// A packet of the voice of that key.
    pub(crate) fn push(&mut self, key: usize, timestamp: u32, packet: &[u8]) {
        let (begins, most) = (self.samples_in(BEGINS_MS), self.samples_in(MOST_MS));
        if !self.voices.contains_key(&key) {
            let Ok(decoder) = OpusDecoder::new(self.rate, self.channels) else {
                return;
            };
            let voice = Voice {
                decoder,
                waiting: VecDeque::new(),
                last: None,
                is_heard: false,
            };
            self.voices.insert(key, voice);
        }
        let Some(voice) = self.voices.get_mut(&key) else {
            return;
        };
        let missing = voice.last.map_or(0, |last| {
            (timestamp.wrapping_sub(last) / TICKS_PER_FRAME).saturating_sub(1)
        });
        if missing <= MAX_CONCEALED {
            for _ in 0..missing {
                voice
                    .waiting
                    .extend(voice.decoder.conceal().unwrap_or_default());
            }
        }
        voice.last = Some(timestamp);
        voice
            .waiting
            .extend(voice.decoder.decode(packet).unwrap_or_default());
        if voice.waiting.len() > most {
            let late = voice.waiting.len() - begins;
            voice.waiting.drain(..late);
        }
    }

    pub(crate) fn remove(&mut self, key: usize) {
        self.voices.remove(&key);
    }

    /// What is heard of all together; silence where nothing is.
    pub(crate) fn read(&mut self, out: &mut [i16]) {
        out.fill(0);
        let begins = self.samples_in(BEGINS_MS);
        for voice in self.voices.values_mut() {
            voice.is_heard |= voice.waiting.len() >= begins;
            if !voice.is_heard {
                continue;
            }
            let count = voice.waiting.len().min(out.len());
            for (sample, heard) in out.iter_mut().zip(voice.waiting.drain(..count)) {
                *sample = sample.saturating_add(heard);
            }
            voice.is_heard = !voice.waiting.is_empty();
        }
    }
}

#[cfg(test)]
#[cfg(feature = "opus")]
mod tests {
    use super::{Capture, Mixer};

    fn tone(count: usize) -> Vec<i16> {
        let sample = |n: usize| (9_000.0 * (n as f64 * 0.0576).sin()) as i16;
        (0..count).map(sample).collect()
    }

    fn loudness(samples: &[i16]) -> u64 {
        let sum: u64 = samples
            .iter()
            .map(|one| u64::from(one.unsigned_abs()))
            .sum();
        sum / samples.len() as u64
    }

    #[test]
    fn samples_of_any_count_become_frames_of_20_ms() {
        let mut capture = Capture::new(16_000, 1).unwrap();
        let mut timestamps = Vec::new();
        for piece in tone(16_000).chunks(123) {
            timestamps.extend(capture.push(piece).iter().map(|frame| frame.timestamp));
        }
        let wanted: Vec<u32> = (0..50).map(|number| number * 960).collect();
        assert_eq!(timestamps, wanted);
    }

    #[test]
    fn voices_are_heard_together_after_a_moment_and_losses_are_concealed() {
        let mut capture = Capture::new(48_000, 1).unwrap();
        let frames = capture.push(&tone(48_000));
        let mut mixer = Mixer::new(48_000, 2).unwrap();
        let mut out = vec![1; 2 * 480];
        mixer.read(&mut out);
        assert_eq!(loudness(&out), 0);
        for (number, frame) in frames.iter().enumerate().take(20) {
            // One of ten is lost.
            if number % 10 != 5 {
                mixer.push(1, frame.timestamp, &frame.data);
            }
        }
        let mut heard = Vec::new();
        for _ in 0..40 {
            mixer.read(&mut out);
            heard.extend_from_slice(&out);
        }
        assert!(loudness(&heard[9_600..]) > 2_000);
        mixer.read(&mut out);
        assert_eq!(loudness(&out), 0);
    }

    #[test]
    fn what_comes_too_fast_is_left_out_and_what_is_no_packet_is_silence() {
        let mut capture = Capture::new(48_000, 1).unwrap();
        let frames = capture.push(&tone(96_000));
        let mut mixer = Mixer::new(48_000, 1).unwrap();
        for frame in &frames {
            mixer.push(1, frame.timestamp, &frame.data);
        }
        let mut out = vec![0; 480];
        let heard = (0..100).filter(|_| {
            mixer.read(&mut out);
            loudness(&out) > 0
        });
        assert!(heard.count() <= 41);
        mixer.push(2, 0, b"\xff\xff");
        mixer.remove(1);
        mixer.read(&mut out);
        assert_eq!(loudness(&out), 0);
    }
}
