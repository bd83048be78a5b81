//! Messages between a client and the server (docs/protocol): bytes to a checked message, a message
//! to bytes. The server is untrusted: nothing of a message is read before all of it has its shape.

#![forbid(unsafe_code)]

// Its lines are those of the generator.
#[rustfmt::skip]
#[allow(clippy::doc_markdown, clippy::unreadable_literal)]
pub mod messages;
mod reading;
#[cfg(test)]
mod reading_tests;
mod value;
mod writing;

pub use messages::{ClientMessage, ServerMessage};
pub use reading::{Refused, Said, decode};
pub use writing::{TooLarge, encode};
