//! What a client of a session does: pure state machines. Messages of the server, calls of the
//! application and time (`now`) come in, effects come out. No socket, no thread, no clock.
//!
//! The server is the attacker: what it says is checked against what was asked for, and a lie ends as
//! a named error. Nothing leaves but requests that [`Trust`] permits and frames that
//! [`Session::wire`] gave.

#![forbid(unsafe_code)]

mod complaints;
mod credentials;
mod description;
mod descriptions;
mod directory;
mod effect;
mod encryption;
mod error;
#[cfg(test)]
mod loss_tests;
mod losses;
mod own_keys;
mod permission;
mod publication;
mod publishing;
mod receiving;
mod recovery;
mod requests;
mod server_messages;
mod session;
#[cfg(test)]
mod session_tests;
mod signaling;
mod signals;
mod stream_trust;
mod subscribing;
mod subscription;
#[cfg(test)]
mod test_server;
mod trust;
mod wire;

pub use credentials::{ClientInfo, Credentials};
pub use effect::{Effect, Event, PublicationId, Request, SubscriptionId};
pub use error::SessionError;
pub use publication::{NotSent, PublishOptions};
pub use publishing::Offer;
pub use receiving::Opened;
pub use recovery::{Recovery, Step};
pub use requests::{Answered, Number, Requests};
pub use session::Session;
pub use stream_trust::{StreamState, StreamTrust};
pub use subscription::SubscribeOptions;
pub use trust::{SessionState, Trust};
pub use wire::Wire;
