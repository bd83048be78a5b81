//! Layers and allocations: the seam between layer selection and congestion control.
//!
//! The target of a down track is the best layer within three limits: the live layers, the
//! subscriber's preferences, and the bandwidth allocation.

/// One version of a video, in the order of the up track's versions.
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
    /// The whole encoding.
    pub(crate) fn whole(encoding: u8) -> Self {
        Self {
            encoding,
            spatial: u8::MAX,
            temporal: u8::MAX,
        }
    }
}

/// The bandwidth limit of a down track.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub(crate) enum Allocation {
    /// No allocation yet: every layer is allowed.
    #[default]
    Unlimited,
    /// Not even the smallest layer fits: only still frames pass.
    Paused,
    /// This layer, or any below it.
    UpTo(Layer),
}

impl From<Option<Layer>> for Allocation {
    fn from(layer: Option<Layer>) -> Self {
        layer.map_or(Self::Paused, Self::UpTo)
    }
}
