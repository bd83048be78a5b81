//! The secrets that open what is received (docs/e2ee.md sections 3 and 9).

use std::time::Duration;

use sealroute_rules::{MAX_SECRETS, SECRET_IDLE, SECRET_OVERLAP};

use crate::receiver::{KeyName, KeySource, Owner};
use crate::{FrameKey, KeyId, KeyPart, SessionKey};

/// Newest first. An older one ends when nothing comes under it any more.
#[derive(Debug)]
pub struct SecretRing {
    held: Vec<Held>,
    last: u64,
}

#[derive(Debug)]
struct Held {
    name: KeyName,
    key: SessionKey,
    /// None for the newest.
    replaced: Option<Duration>,
    /// When a frame opened under it.
    opened: Option<Duration>,
}

impl Held {
    fn ends(&self) -> Option<Duration> {
        let replaced = self.replaced?;
        let idle = self.opened.map_or(replaced, |opened| opened.max(replaced)) + SECRET_IDLE;
        Some(idle.min(replaced + SECRET_OVERLAP))
    }

    fn is_over(&self, now: Duration) -> bool {
        self.ends().is_some_and(|end| end <= now)
    }
}

impl SecretRing {
    /// With the secret of the first connection.
    pub fn new(key: SessionKey) -> Self {
        let mut ring = Self {
            held: Vec::new(),
            last: 0,
        };
        ring.insert(key);
        ring
    }

    /// The newest one, which is the one to send under after the switch.
    pub fn newest(&self) -> &SessionKey {
        &self.held[0].key
    }

    /// The newest of these that has a hint.
    pub fn with_hint(&self, hint: KeyPart) -> Option<&SessionKey> {
        self.held
            .iter()
            .map(|held| &held.key)
            .find(|key| key.hint() == hint)
    }

    /// Makes a secret the newest. False if it already was; one that is still held moves.
    /// `immediate`: all others end now.
    pub fn set(&mut self, key: SessionKey, immediate: bool, now: Duration) -> bool {
        self.expire(now);
        let place = self.held.iter().position(|held| held.key.is_same(&key));
        if place == Some(0) {
            if immediate {
                self.held.truncate(1);
            }
            return false;
        }
        self.held[0].replaced = Some(now);
        if let Some(place) = place {
            let mut again = self.held.remove(place);
            again.replaced = None;
            self.held.insert(0, again);
        } else {
            self.insert(key);
        }
        self.held
            .truncate(if immediate { 1 } else { MAX_SECRETS as usize });
        true
    }

    /// Wipes what is over.
    pub fn expire(&mut self, now: Duration) {
        self.held.retain(|held| !held.is_over(now));
    }

    /// When the next one is wiped, unless frames still come under it.
    pub fn next_end(&self) -> Option<Duration> {
        self.held.iter().filter_map(Held::ends).min()
    }

    fn insert(&mut self, key: SessionKey) {
        self.last += 1;
        let name = KeyName(self.last);
        self.held.insert(
            0,
            Held {
                name,
                key,
                replaced: None,
                opened: None,
            },
        );
    }
}

impl KeySource for SecretRing {
    fn candidates(&self, key: KeyPart, now: Duration) -> Vec<KeyName> {
        let fitting = self
            .held
            .iter()
            .filter(|held| held.key.hint() == key && !held.is_over(now));
        fitting.map(|held| held.name).collect()
    }

    fn frame_key(&self, name: KeyName, key_id: KeyId, owner: &Owner) -> Option<FrameKey> {
        let held = self.held.iter().find(|held| held.name == name)?;
        let base = match owner {
            Owner::Stream {
                connection_id,
                stream_id,
            } => held.key.stream_base(connection_id, stream_id),
            Owner::Signals { connection_id } => held.key.signal_base(connection_id),
        }?;
        Some(FrameKey::of_base(&base, key_id))
    }

    fn on_opened(&mut self, name: KeyName, now: Duration) {
        if let Some(held) = self.held.iter_mut().find(|held| held.name == name) {
            held.opened = Some(now);
        }
    }

    fn is_held(&self, name: KeyName, now: Duration) -> bool {
        self.held
            .iter()
            .any(|held| held.name == name && !held.is_over(now))
    }

    fn expire(&mut self, now: Duration) {
        Self::expire(self, now);
    }
}
