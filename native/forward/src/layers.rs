//! The seam between layers and bandwidth: what an up track offers, and up to where a down track may
//! go.
//!
//! A down track's target is the best layer that all three of its limits allow: the default
//! (everything that is live), the subscriber's wish, and the allocation of its link's bandwidth.

/// One version of a picture, in the order of an up track's versions.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Hash, PartialOrd, Ord)]
pub struct Layer {
    /// Index of the `RtpStream` in the up track's parameters.
    pub encoding: u8,
    /// Spatial layer within it.
    pub spatial: u8,
    /// Temporal layer within it.
    pub temporal: u8,
}

impl Layer {
    /// All of an encoding.
    pub(crate) fn whole(encoding: u8) -> Self {
        Self {
            encoding,
            spatial: u8::MAX,
            temporal: u8::MAX,
        }
    }
}

/// One row of an up track's layer table.
#[derive(Clone, Copy, Debug, PartialEq)]
pub struct LayerView {
    /// Which one.
    pub layer: Layer,
    /// Measured over the last second, in bits per second, with the overhead of RTP, SRTP, UDP
    /// and IPv4; 0.0 until a second has been measured.
    pub bitrate_bps: f64,
    /// Picture width and height in pixels, where they are known without opening the payload.
    pub size: Option<(u16, u16)>,
    /// Frames per second over the same second; `None` until it has been measured.
    pub frame_rate: Option<f32>,
    /// Packets came a moment ago.
    pub live: bool,
}

/// What a link's bandwidth allows a down track.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub(crate) enum Allocation {
    /// Nothing has been allocated: all is allowed.
    #[default]
    Unlimited,
    /// Not even the smallest layer fits.
    Paused,
    /// This layer, or any below it.
    UpTo(Layer),
}

impl From<Option<Layer>> for Allocation {
    fn from(layer: Option<Layer>) -> Self {
        layer.map_or(Self::Paused, Self::UpTo)
    }
}
