//! The end-to-end encryption format e2ee/2, written from `docs/e2ee.md`.
//!
//! Sans-IO: bytes in, bytes out, and time is a parameter (`now`: time since a start that the caller
//! chose once, never going back). Keys are wiped when they are dropped and cannot be printed.
//!
//! ```text
//! EncryptionSecret → SessionKey → SecretRing (what opens)      → Receiver: frames and signals in
//!                              ↘ Publication (key ids, counter) → frames and signals out
//! Switch: when senders move to a new secret      Detection: when frames that fail are a mismatch
//! ```

#![forbid(unsafe_code)]

mod contexts;
mod derivations;
mod detection;
mod error;
mod frame_key;
mod header;
mod history;
mod key_id;
mod layout;
mod old_key_ids;
mod receiver;
mod ring;
mod secret;
#[cfg(test)]
mod secrets_tests;
mod sending;
mod session_key;
mod signals;
mod switch;
mod text;
#[cfg(test)]
mod vectors;
mod window;

pub use detection::{Detection, Event, Notices, Report, Track};
pub use error::{FrameError, Refusal, SecretError, SendingError};
pub use frame_key::FrameKey;
pub use history::{Histories, HistoryKey, Kind, SubscriptionKey};
pub use key_id::{KeyId, KeyIds, KeyPart};
pub use layout::Codec;
pub use old_key_ids::OldKeyIds;
pub use receiver::{KeyName, KeySource, Owner, Receiver};
pub use ring::SecretRing;
pub use secret::EncryptionSecret;
pub use sending::{ChosenKeyId, Encryptor, Publication, SignalEncryptor, UnnamedPublication};
pub use session_key::SessionKey;
pub use signals::{SignalContent, SignalRefusal};
pub use switch::Switch;
