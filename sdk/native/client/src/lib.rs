//! A client of a session: its thread, its sockets, its clock. What to do and when is
//! `sealroute-session`'s to say; this crate does it.
//!
//! ```text
//! application → Client ─commands→ network thread (Session, Uplink, Downlink, WebSocket)
//!                                        └─callbacks→ callback thread → Observer, Capturer, Renderer
//! ```
//! Encoded frames go in and come out ([`Capturer`], [`Renderer`]); codecs are the application's, or a
//! layer's above this one.

#![forbid(unsafe_code)]

mod address;
mod assembly;
mod callbacks;
mod client;
mod command;
mod deriver;
mod effects;
mod links;
mod media;
mod network;
mod opening;
mod settings;
mod traits;
mod websocket;

pub use client::Client;
pub use sealroute_e2ee::{Codec, EncryptionSecret, Track};
pub use sealroute_protocol::messages::{Capabilities, ConnectionInfo, StreamInfo, VideoType};
pub use sealroute_session::{
    Event, NotSent, PublicationId, PublishOptions, SessionError, StreamState, SubscribeOptions,
    SubscriptionId,
};
pub use settings::Settings;
pub use traits::{Capturer, FrameOutlet, MediaFrame, Observer, Renderer};
