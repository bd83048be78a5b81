//! Opus, over libopus's own functions.
#![allow(unsafe_code)]

use crate::CodecError;

/// What libopus takes and gives, in Hz; it converts between them by itself.
pub const RATES: [u32; 5] = [8_000, 12_000, 16_000, 24_000, 48_000];
/// What one encoded frame lasts.
pub const FRAME_MS: u32 = 20;
/// What one packet lasts at most.
#[cfg(feature = "opus")]
const MAX_PACKET_MS: u32 = 120;
/// As libopus's manual says.
#[cfg(feature = "opus")]
const MAX_PACKET_BYTES: usize = 4_000;

#[cfg(feature = "opus")]
mod ffi {
    use std::ffi::c_int;

    #[repr(C)]
    pub(super) struct Encoder {
        _opaque: [u8; 0],
    }

    #[repr(C)]
    pub(super) struct Decoder {
        _opaque: [u8; 0],
    }

    pub(super) const APPLICATION_VOIP: c_int = 2_048;
    pub(super) const SET_INBAND_FEC: c_int = 4_012;
    pub(super) const SET_PACKET_LOSS_PERC: c_int = 4_014;

    unsafe extern "C" {
        pub(super) fn opus_encoder_create(
            rate: i32,
            channels: c_int,
            application: c_int,
            error: *mut c_int,
        ) -> *mut Encoder;
        pub(super) fn opus_encoder_ctl(encoder: *mut Encoder, request: c_int, ...) -> c_int;
        pub(super) fn opus_encode(
            encoder: *mut Encoder,
            samples: *const i16,
            samples_of_each: c_int,
            packet: *mut u8,
            room: i32,
        ) -> i32;
        pub(super) fn opus_encoder_destroy(encoder: *mut Encoder);
        pub(super) fn opus_decoder_create(
            rate: i32,
            channels: c_int,
            error: *mut c_int,
        ) -> *mut Decoder;
        pub(super) fn opus_decode(
            decoder: *mut Decoder,
            packet: *const u8,
            length: i32,
            samples: *mut i16,
            room_of_each: c_int,
            is_from_next: c_int,
        ) -> c_int;
        pub(super) fn opus_decoder_destroy(decoder: *mut Decoder);
    }
}

#[cfg(feature = "opus")]
fn check(rate: u32, channels: u8) -> Result<(), CodecError> {
    let is_fit = RATES.contains(&rate) && (1..=2).contains(&channels);
    is_fit.then_some(()).ok_or(CodecError::Shape)
}

/// One voice, or two channels.
pub struct OpusEncoder {
    #[cfg(feature = "opus")]
    encoder: std::ptr::NonNull<ffi::Encoder>,
    rate: u32,
    channels: u8,
}

// SAFETY: libopus's objects belong to no thread; each is used by one at a time, since all takes
// `&mut self`.
#[cfg(feature = "opus")]
unsafe impl Send for OpusEncoder {}

impl std::fmt::Debug for OpusEncoder {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        write!(f, "OpusEncoder({} Hz, {})", self.rate, self.channels)
    }
}

impl OpusEncoder {
    /// `rate`: one of [`RATES`]; one or two channels.
    #[cfg(feature = "opus")]
    pub fn new(rate: u32, channels: u8) -> Result<Self, CodecError> {
        check(rate, channels)?;
        let mut error = 0;
        // SAFETY: takes numbers, gives an own object or none.
        let encoder = unsafe {
            ffi::opus_encoder_create(
                rate as i32,
                channels.into(),
                ffi::APPLICATION_VOIP,
                &raw mut error,
            )
        };
        let encoder = std::ptr::NonNull::new(encoder).ok_or(CodecError::Internal)?;
        // What is lost comes with the frame behind it, as browsers ask for.
        // SAFETY: both requests take one `opus_int32`.
        unsafe {
            ffi::opus_encoder_ctl(encoder.as_ptr(), ffi::SET_INBAND_FEC, 1_i32);
            ffi::opus_encoder_ctl(encoder.as_ptr(), ffi::SET_PACKET_LOSS_PERC, 10_i32);
        }
        Ok(Self {
            encoder,
            rate,
            channels,
        })
    }

    /// Not in this build.
    #[cfg(not(feature = "opus"))]
    pub fn new(_rate: u32, _channels: u8) -> Result<Self, CodecError> {
        Err(CodecError::NotBuilt)
    }

    /// Samples of all channels together that one frame takes.
    pub fn samples(&self) -> usize {
        (self.rate * FRAME_MS / 1_000) as usize * usize::from(self.channels)
    }

    /// `samples`: as many as [`Self::samples`] says, channels beside each other.
    #[cfg(feature = "opus")]
    pub fn encode(&mut self, samples: &[i16]) -> Result<Vec<u8>, CodecError> {
        if samples.len() != self.samples() {
            return Err(CodecError::Shape);
        }
        let mut packet = vec![0; MAX_PACKET_BYTES];
        // SAFETY: reads as many samples as there are, and writes no more than there is room for.
        let length = unsafe {
            ffi::opus_encode(
                self.encoder.as_ptr(),
                samples.as_ptr(),
                (samples.len() / usize::from(self.channels)) as i32,
                packet.as_mut_ptr(),
                MAX_PACKET_BYTES as i32,
            )
        };
        packet.truncate(usize::try_from(length).map_err(|_| CodecError::Internal)?);
        Ok(packet)
    }

    /// Not in this build.
    #[cfg(not(feature = "opus"))]
    pub fn encode(&mut self, _: &[i16]) -> Result<Vec<u8>, CodecError> {
        Err(CodecError::NotBuilt)
    }
}

#[cfg(feature = "opus")]
impl Drop for OpusEncoder {
    fn drop(&mut self) {
        // SAFETY: made by `new`, and nobody has it any more.
        unsafe { ffi::opus_encoder_destroy(self.encoder.as_ptr()) }
    }
}

/// Of one stream.
pub struct OpusDecoder {
    #[cfg(feature = "opus")]
    decoder: std::ptr::NonNull<ffi::Decoder>,
    rate: u32,
    channels: u8,
}

// SAFETY: as the encoder.
#[cfg(feature = "opus")]
unsafe impl Send for OpusDecoder {}

impl std::fmt::Debug for OpusDecoder {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        write!(f, "OpusDecoder({} Hz, {})", self.rate, self.channels)
    }
}

impl OpusDecoder {
    /// What it gives, whatever was encoded: `rate` is one of [`RATES`]; one or two channels.
    #[cfg(feature = "opus")]
    pub fn new(rate: u32, channels: u8) -> Result<Self, CodecError> {
        check(rate, channels)?;
        let mut error = 0;
        // SAFETY: takes numbers, gives an own object or none.
        let decoder =
            unsafe { ffi::opus_decoder_create(rate as i32, channels.into(), &raw mut error) };
        let decoder = std::ptr::NonNull::new(decoder).ok_or(CodecError::Internal)?;
        Ok(Self {
            decoder,
            rate,
            channels,
        })
    }

    /// Not in this build.
    #[cfg(not(feature = "opus"))]
    pub fn new(_rate: u32, _channels: u8) -> Result<Self, CodecError> {
        Err(CodecError::NotBuilt)
    }

    /// Samples of a packet, channels beside each other.
    #[cfg(feature = "opus")]
    pub fn decode(&mut self, packet: &[u8]) -> Result<Vec<i16>, CodecError> {
        let length = i32::try_from(packet.len()).map_err(|_| CodecError::Malformed)?;
        if length == 0 {
            // libopus would take this for a loss.
            return Err(CodecError::Malformed);
        }
        self.run(packet.as_ptr(), length, MAX_PACKET_MS)
    }

    /// What stands in for a packet of 20 ms that was lost.
    #[cfg(feature = "opus")]
    pub fn conceal(&mut self) -> Result<Vec<i16>, CodecError> {
        self.run(std::ptr::null(), 0, FRAME_MS)
    }

    #[cfg(feature = "opus")]
    fn run(&mut self, packet: *const u8, length: i32, ms: u32) -> Result<Vec<i16>, CodecError> {
        let room = self.rate * ms / 1_000;
        let channels = usize::from(self.channels);
        let mut samples = vec![0; room as usize * channels];
        // SAFETY: the packet has `length` bytes, or is none; `samples` has room for `room` of each
        // channel.
        let count = unsafe {
            ffi::opus_decode(
                self.decoder.as_ptr(),
                packet,
                length,
                samples.as_mut_ptr(),
                room as i32,
                0,
            )
        };
        let count = usize::try_from(count).map_err(|_| CodecError::Malformed)?;
        samples.truncate(count * channels);
        Ok(samples)
    }

    /// Not in this build.
    #[cfg(not(feature = "opus"))]
    pub fn decode(&mut self, _: &[u8]) -> Result<Vec<i16>, CodecError> {
        Err(CodecError::NotBuilt)
    }

    /// Not in this build.
    #[cfg(not(feature = "opus"))]
    pub fn conceal(&mut self) -> Result<Vec<i16>, CodecError> {
        Err(CodecError::NotBuilt)
    }
}

#[cfg(feature = "opus")]
impl Drop for OpusDecoder {
    fn drop(&mut self) {
        // SAFETY: made by `new`, and nobody has it any more.
        unsafe { ffi::opus_decoder_destroy(self.decoder.as_ptr()) }
    }
}

#[cfg(test)]
#[cfg(feature = "opus")]
mod tests {
    use super::{OpusDecoder, OpusEncoder};
    use crate::CodecError;

    fn tone(count: usize, rate: u32, from: usize) -> Vec<i16> {
        let at = |n: usize| (n + from) as f64 / f64::from(rate);
        let sample = |n| (8_000.0 * (at(n) * 440.0 * std::f64::consts::TAU).sin()) as i16;
        (0..count).map(sample).collect()
    }

    /// Changes of the sign in a second are twice the pitch.
    fn pitch(samples: &[i16], rate: u32) -> u32 {
        let signs = samples.windows(2);
        let count = signs.filter(|pair| (pair[0] < 0) != (pair[1] < 0)).count();
        count as u32 * rate / 2 / samples.len() as u32
    }

    #[test]
    fn a_tone_comes_out_at_any_rate_as_it_went_in() {
        for (from, to) in [(48_000, 48_000), (16_000, 48_000), (48_000, 8_000)] {
            let mut encoder = OpusEncoder::new(from, 1).unwrap();
            let mut decoder = OpusDecoder::new(to, 1).unwrap();
            let mut heard = Vec::new();
            for number in 0..50 {
                let count = encoder.samples();
                let packet = encoder.encode(&tone(count, from, number * count)).unwrap();
                heard.extend(decoder.decode(&packet).unwrap());
            }
            assert_eq!(heard.len(), to as usize);
            let pitch = pitch(&heard[heard.len() / 2..], to);
            assert!((435..=445).contains(&pitch), "{pitch}");
            assert_eq!(decoder.conceal().unwrap().len(), to as usize / 50);
        }
    }

    #[test]
    fn what_has_another_shape_or_is_no_packet_is_refused() {
        assert_eq!(OpusEncoder::new(44_100, 1).err(), Some(CodecError::Shape));
        assert_eq!(OpusDecoder::new(48_000, 3).err(), Some(CodecError::Shape));
        let mut encoder = OpusEncoder::new(48_000, 2).unwrap();
        assert_eq!(encoder.encode(&[0; 960]), Err(CodecError::Shape));
        let mut decoder = OpusDecoder::new(48_000, 2).unwrap();
        for bad in [&b""[..], b"\xFF", &[0x03; 3]] {
            assert_eq!(decoder.decode(bad), Err(CodecError::Malformed), "{bad:?}");
        }
        assert!(
            decoder
                .decode(&encoder.encode(&[0; 1_920]).unwrap())
                .is_ok()
        );
    }
}
