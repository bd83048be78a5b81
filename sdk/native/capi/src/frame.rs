//! One image of a program, with its format.

use std::sync::atomic::{AtomicI64, Ordering};

use sealroute_codecs::Image;

use crate::convert::{Format, Plane, from_image, to_image};

pub(crate) struct Frame {
    pub(crate) format: Format,
    pub(crate) width: u32,
    pub(crate) height: u32,
    pub(crate) bytes: Vec<u8>,
    timestamp: AtomicI64,
}

impl Frame {
    /// None where the bytes are not as many as such an image has.
    pub(crate) fn new(format: Format, width: u32, height: u32, bytes: Vec<u8>) -> Option<Self> {
        let is_whole = format.bytes_of(width, height) == Some(bytes.len());
        is_whole.then_some(Self {
            format,
            width,
            height,
            bytes,
            timestamp: AtomicI64::new(0),
        })
    }

    pub(crate) fn of_image(image: &Image) -> Self {
        Self {
            format: Format::Yuv420p,
            width: image.width(),
            height: image.height(),
            bytes: image.bytes().to_vec(),
            timestamp: AtomicI64::new(0),
        }
    }

    pub(crate) fn image(&self) -> Option<Image> {
        to_image(self.format, self.width, self.height, &self.bytes)
    }

    pub(crate) fn converted(&self, format: Format) -> Option<Self> {
        let bytes = if format == self.format {
            self.bytes.clone()
        } else {
            from_image(&self.image()?, format)?
        };
        let frame = Self::new(format, self.width, self.height, bytes)?;
        frame.set_timestamp(self.timestamp());
        Some(frame)
    }

    pub(crate) fn plane(&self, number: usize) -> Option<Plane> {
        let planes = self.format.planes(self.width, self.height);
        planes.into_iter().nth(number)
    }

    pub(crate) fn timestamp(&self) -> i64 {
        self.timestamp.load(Ordering::Relaxed)
    }

    pub(crate) fn set_timestamp(&self, timestamp: i64) {
        self.timestamp.store(timestamp, Ordering::Relaxed);
    }
}
