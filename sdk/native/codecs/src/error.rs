//! Why something is not encoded or decoded.

use std::fmt;

/// What came of it instead.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum CodecError {
    /// The library was built without this codec.
    NotBuilt,
    /// Width, height, rate or channels that the codec does not have.
    Shape,
    /// The bytes are no frame of this codec.
    Malformed,
    /// The codec failed, or the system has no memory.
    Internal,
}

impl fmt::Display for CodecError {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(match self {
            Self::NotBuilt => "This library was built without that codec",
            Self::Shape => "The codec has no such size, rate or number of channels",
            Self::Malformed => "The frame cannot be decoded",
            Self::Internal => "The codec failed",
        })
    }
}

impl std::error::Error for CodecError {}
