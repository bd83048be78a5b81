//! Seeded loss, delay, reordering and duplication for tests and benchmarks.
//!
//! Sans-IO: datagrams go in with their send time and come out when they are due. The same seed and
//! the same input give the same output on every run.
#![forbid(unsafe_code)]

mod bottleneck;
mod link;
mod random;

pub use bottleneck::Bottleneck;
pub use link::{Conditions, Link};
pub use random::Random;
