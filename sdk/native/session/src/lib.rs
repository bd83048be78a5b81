//! What a client of a session may do, and what it asked for: pure state machines. Time is a
//! parameter (`now`), as in `sealroute-e2ee`.

#![forbid(unsafe_code)]

mod error;
mod permission;
mod recovery;
mod requests;
mod stream_trust;
mod trust;

pub use error::SessionError;
pub use recovery::{Recovery, Step};
pub use requests::{Answered, Number, Requests};
pub use stream_trust::{StreamState, StreamTrust};
pub use trust::{SessionState, Trust};
