//! VP8, over the functions of `vp8.c`.
#![allow(unsafe_code)]

use crate::{CodecError, Image};

/// One frame.
#[derive(Clone, PartialEq, Eq)]
pub struct Encoded {
    /// As it goes into packets, before it is encrypted.
    pub data: Vec<u8>,
    /// Decoding may begin with it.
    pub is_key_frame: bool,
}

impl std::fmt::Debug for Encoded {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        write!(f, "Encoded({} bytes)", self.data.len())
    }
}

#[cfg(feature = "vp8")]
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

    unsafe extern "C" {
        pub(super) fn sealroute_vp8_encoder_new(width: u32, height: u32, kbps: u32)
        -> *mut Encoder;
        pub(super) fn sealroute_vp8_encoder_delete(encoder: *mut Encoder);
        pub(super) fn sealroute_vp8_encode(
            encoder: *mut Encoder,
            image: *const u8,
            time: i64,
            wants_key_frame: c_int,
            frame: *mut *const u8,
            length: *mut usize,
            is_key_frame: *mut c_int,
        ) -> c_int;
        pub(super) fn sealroute_vp8_decoder_new() -> *mut Decoder;
        pub(super) fn sealroute_vp8_decoder_delete(decoder: *mut Decoder);
        pub(super) fn sealroute_vp8_decode(
            decoder: *mut Decoder,
            frame: *const u8,
            length: u32,
            planes: *mut *const u8,
            strides: *mut u32,
            width: *mut u32,
            height: *mut u32,
        ) -> c_int;
    }
}

/// Of images of one size.
pub struct Vp8Encoder {
    #[cfg(feature = "vp8")]
    encoder: std::ptr::NonNull<ffi::Encoder>,
    width: u32,
    height: u32,
    #[cfg(feature = "vp8")]
    last_time: i64,
}

// SAFETY: libvpx's contexts belong to no thread; each is used by one at a time, since all takes
// `&mut self`.
#[cfg(feature = "vp8")]
unsafe impl Send for Vp8Encoder {}

impl std::fmt::Debug for Vp8Encoder {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        write!(f, "Vp8Encoder({}x{})", self.width, self.height)
    }
}

impl Vp8Encoder {
    /// `kbps`: what it aims at.
    #[cfg(feature = "vp8")]
    pub fn new(width: u32, height: u32, kbps: u32) -> Result<Self, CodecError> {
        if Image::bytes_of(width, height).is_none() {
            return Err(CodecError::Shape);
        }
        // SAFETY: takes numbers, gives an own object or none.
        let encoder = unsafe { ffi::sealroute_vp8_encoder_new(width, height, kbps) };
        let encoder = std::ptr::NonNull::new(encoder).ok_or(CodecError::Internal)?;
        Ok(Self {
            encoder,
            width,
            height,
            last_time: -1,
        })
    }

    /// Not in this build.
    #[cfg(not(feature = "vp8"))]
    pub fn new(_width: u32, _height: u32, _kbps: u32) -> Result<Self, CodecError> {
        Err(CodecError::NotBuilt)
    }

    /// Width and height in pixels.
    pub fn size(&self) -> (u32, u32) {
        (self.width, self.height)
    }

    /// `time`: of 90 kHz, in order. None: the encoder left this image out.
    #[cfg(feature = "vp8")]
    pub fn encode(
        &mut self,
        image: &Image,
        time: i64,
        wants_key_frame: bool,
    ) -> Result<Option<Encoded>, CodecError> {
        if (image.width(), image.height()) != self.size() {
            return Err(CodecError::Shape);
        }
        // libvpx refuses a time that does not grow.
        let time = time.max(self.last_time + 1);
        self.last_time = time;
        let mut frame = std::ptr::null();
        let (mut length, mut is_key_frame) = (0, 0);
        // SAFETY: the image has as many bytes as its size, which is the encoder's, takes; it is
        // only read, and not kept.
        let code = unsafe {
            ffi::sealroute_vp8_encode(
                self.encoder.as_ptr(),
                image.bytes().as_ptr(),
                time,
                wants_key_frame.into(),
                &raw mut frame,
                &raw mut length,
                &raw mut is_key_frame,
            )
        };
        match code {
            0 => {
                // SAFETY: the encoder's own bytes, until it is called again.
                let data = unsafe { std::slice::from_raw_parts(frame, length) }.to_vec();
                let is_key_frame = is_key_frame != 0;
                Ok(Some(Encoded { data, is_key_frame }))
            }
            1 => Ok(None),
            _ => Err(CodecError::Internal),
        }
    }

    /// Not in this build.
    #[cfg(not(feature = "vp8"))]
    pub fn encode(&mut self, _: &Image, _: i64, _: bool) -> Result<Option<Encoded>, CodecError> {
        Err(CodecError::NotBuilt)
    }
}

#[cfg(feature = "vp8")]
impl Drop for Vp8Encoder {
    fn drop(&mut self) {
        // SAFETY: made by `new`, and nobody has it any more.
        unsafe { ffi::sealroute_vp8_encoder_delete(self.encoder.as_ptr()) }
    }
}

/// Of one stream.
pub struct Vp8Decoder {
    #[cfg(feature = "vp8")]
    decoder: std::ptr::NonNull<ffi::Decoder>,
}

// SAFETY: as the encoder.
#[cfg(feature = "vp8")]
unsafe impl Send for Vp8Decoder {}

impl std::fmt::Debug for Vp8Decoder {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.write_str("Vp8Decoder")
    }
}

impl Vp8Decoder {
    /// Waits for a key frame.
    #[cfg(feature = "vp8")]
    pub fn new() -> Result<Self, CodecError> {
        // SAFETY: gives an own object or none.
        let decoder = unsafe { ffi::sealroute_vp8_decoder_new() };
        let decoder = std::ptr::NonNull::new(decoder).ok_or(CodecError::Internal)?;
        Ok(Self { decoder })
    }

    /// Not in this build.
    #[cfg(not(feature = "vp8"))]
    pub fn new() -> Result<Self, CodecError> {
        Err(CodecError::NotBuilt)
    }

    /// None: the frame shows nothing. After an error the stream goes on with a key frame.
    #[cfg(feature = "vp8")]
    pub fn decode(&mut self, frame: &[u8]) -> Result<Option<Image>, CodecError> {
        let length = u32::try_from(frame.len()).map_err(|_| CodecError::Malformed)?;
        if length == 0 {
            // libvpx would take this for the end of the stream.
            return Err(CodecError::Malformed);
        }
        let (mut planes, mut strides) = ([std::ptr::null(); 3], [0_u32; 3]);
        let (mut width, mut height) = (0, 0);
        // SAFETY: the frame is only read, and not kept; the arrays have room for three.
        let code = unsafe {
            ffi::sealroute_vp8_decode(
                self.decoder.as_ptr(),
                frame.as_ptr(),
                length,
                planes.as_mut_ptr(),
                strides.as_mut_ptr(),
                &raw mut width,
                &raw mut height,
            )
        };
        match code {
            0 => {}
            1 => return Ok(None),
            _ => return Err(CodecError::Malformed),
        }
        let room = Image::bytes_of(width, height).ok_or(CodecError::Malformed)?;
        let mut bytes = Vec::with_capacity(room);
        let half = (width.div_ceil(2), height.div_ceil(2));
        for ((plane, stride), (columns, rows)) in
            planes
                .into_iter()
                .zip(strides)
                .zip([(width, height), half, half])
        {
            for row in 0..rows as usize {
                // SAFETY: a plane has `rows` rows, `stride` apart, with `columns` bytes at least.
                let row = unsafe {
                    let from = plane.add(row * stride as usize);
                    std::slice::from_raw_parts(from, columns as usize)
                };
                bytes.extend_from_slice(row);
            }
        }
        Image::new(width, height, bytes).map(Some)
    }

    /// Not in this build.
    #[cfg(not(feature = "vp8"))]
    pub fn decode(&mut self, _: &[u8]) -> Result<Option<Image>, CodecError> {
        Err(CodecError::NotBuilt)
    }
}

#[cfg(feature = "vp8")]
impl Drop for Vp8Decoder {
    fn drop(&mut self) {
        // SAFETY: made by `new`, and nobody has it any more.
        unsafe { ffi::sealroute_vp8_decoder_delete(self.decoder.as_ptr()) }
    }
}

#[cfg(test)]
#[cfg(feature = "vp8")]
mod tests {
    use super::{Vp8Decoder, Vp8Encoder};
    use crate::{CodecError, Image};

    /// Bright left of a line that moves, dark right of it.
    fn drawn(width: u32, height: u32, line: u32) -> Image {
        let mut bytes = vec![128; Image::bytes_of(width, height).unwrap()];
        for (at, pixel) in bytes[..(width * height) as usize].iter_mut().enumerate() {
            *pixel = if at as u32 % width < line { 200 } else { 40 };
        }
        Image::new(width, height, bytes).unwrap()
    }

    fn error(one: &Image, other: &Image) -> u64 {
        let pairs = one.bytes().iter().zip(other.bytes());
        let sum: u64 = pairs.map(|(a, b)| u64::from(a.abs_diff(*b))).sum();
        sum / one.bytes().len() as u64
    }

    #[test]
    fn images_come_out_as_they_went_in_also_of_an_odd_size() {
        for (width, height) in [(320, 240), (161, 91), (1, 1)] {
            let mut encoder = Vp8Encoder::new(width, height, 800).unwrap();
            let mut decoder = Vp8Decoder::new().unwrap();
            for number in 0..12 {
                let image = drawn(width, height, width / 4 + number);
                let wants_key_frame = number == 6;
                let encoded = encoder.encode(&image, i64::from(number) * 3_000, wants_key_frame);
                let encoded = encoded.unwrap().unwrap();
                assert_eq!(encoded.is_key_frame, number % 6 == 0, "{number}");
                let decoded = decoder.decode(&encoded.data).unwrap().unwrap();
                assert_eq!((decoded.width(), decoded.height()), (width, height));
                assert!(error(&image, &decoded) < 8, "{width} {number}");
            }
        }
    }

    #[test]
    fn what_is_no_frame_is_refused_and_the_decoder_lives_on() {
        let mut decoder = Vp8Decoder::new().unwrap();
        for bad in [&b""[..], b"\x00", &[0xFF; 64], b"\x10\x00\x00\x9d\x01\x2a"] {
            assert!(!matches!(decoder.decode(bad), Ok(Some(_))), "{bad:?}");
        }
        let mut encoder = Vp8Encoder::new(64, 48, 200).unwrap();
        let key_frame = encoder.encode(&drawn(64, 48, 9), 0, true).unwrap().unwrap();
        assert!(decoder.decode(&key_frame.data).unwrap().is_some());
        let other = encoder.encode(&drawn(32, 48, 9), 0, true);
        assert_eq!(other, Err(CodecError::Shape));
        assert_eq!(Vp8Encoder::new(0, 9, 1).err(), Some(CodecError::Shape));
    }
}
