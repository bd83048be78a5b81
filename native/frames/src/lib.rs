//! From the records of a tap to whole frames on one clock.
//!
//! # Theory of operation
//!
//! ```text
//!  records ─> Tap ─┬─> Assembler per track: Reorder ─> Depacketizer ─> References ─> frame ─┬─> items
//!                  └─> PublisherClock per stream: arrivals and sender reports ─> time ──────┘
//! ```
//!
//! - [`Tap`] learns its tracks from the JSON records, and gives out what became ready, in order.
//! - `reorder` waits for repairs as long as the reader can afford; what is missing then is a gap.
//! - A depacketizer gets the payloads of one frame without a hole, or the frame is dropped.
//! - `references` drops what depends on a dropped frame, so a file never has a broken frame. When
//!   only a key frame helps, [`Tap::poll_transmit`] requests one.
//! - Everything that a peer sends is bounded per track ([`MAX_FRAME_BYTES`], and the limits of
//!   `reorder`).
//!
//! Time is a parameter: µs of the host's monotonic clock, which the records have too.

#![forbid(unsafe_code)]

mod assembler;
mod av1;
mod codec;
mod delay;
mod h264;
mod h264_parameters;
mod layer_chain;
mod opus;
mod publisher_clock;
mod references;
mod reorder;
mod tap;
mod tap_events;
mod vp8;
mod vp9;
mod whole;

pub use assembler::{Assembler, ExtensionIds, Frame, Ignored, MAX_FRAME_BYTES};
pub use codec::{Codec, Kind};
pub use publisher_clock::PublisherClock;
pub use tap::{Item, Tap, TapCounters};
