//! What arrives: from wire to frame, or why not. One owner for all streams of a session.

use std::collections::HashMap;
use std::time::Duration;

use crate::derivations::Derivations;
use crate::header::Header;
use crate::history::{Histories, HistoryKey, Kind, SubscriptionKey};
use crate::layout::{self, Codec, Received};
use crate::{FrameKey, KeyId, KeyPart, Refusal};

/// Whose key: it is bound to these ids, as the application subscribed to them.
#[derive(Clone, Debug, PartialEq, Eq, Hash)]
pub enum Owner {
    /// Audio and video of a stream.
    Stream {
        /// Of the publisher.
        connection_id: String,
        /// Of the publication.
        stream_id: String,
    },
    /// The signals of a connection.
    Signals {
        /// Of the sender.
        connection_id: String,
    },
}

impl Owner {
    fn history(&self) -> HistoryKey {
        match self {
            Self::Stream { stream_id, .. } => HistoryKey::Stream(stream_id.clone()),
            Self::Signals { connection_id } => HistoryKey::Signals(connection_id.clone()),
        }
    }
}

/// A key that a source holds, without anything of it.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
pub struct KeyName(pub u64);

/// The seam to where keys come from: shared secrets now, a group key agreement later.
pub trait KeySource {
    /// Keys that the last 16 bits of a key id may name, likeliest first.
    fn candidates(&self, key: KeyPart, now: Duration) -> Vec<KeyName>;
    /// The key of frames under a key id of this owner.
    fn frame_key(&self, name: KeyName, key_id: KeyId, owner: &Owner) -> Option<FrameKey>;
    /// A frame opened under it.
    fn on_opened(&mut self, name: KeyName, now: Duration);
    /// Whether it is still to be used.
    fn is_held(&self, name: KeyName, now: Duration) -> bool;
    /// Wipes what is over.
    fn expire(&mut self, now: Duration);
}

/// Opens frames and signals. Lives as long as the session.
#[derive(Debug)]
pub struct Receiver<Source> {
    source: Source,
    histories: Histories,
    owners: HashMap<SubscriptionKey, Owner>,
    /// Keys that opened a frame.
    keys: HashMap<(Owner, KeyId), (KeyName, FrameKey)>,
    derivations: Derivations,
}

impl<Source: KeySource> Receiver<Source> {
    /// Nothing is open yet.
    pub fn new(source: Source) -> Self {
        Self {
            source,
            histories: Histories::default(),
            owners: HashMap::new(),
            keys: HashMap::new(),
            derivations: Derivations::default(),
        }
    }

    /// The keys, to set a new secret.
    pub fn source(&mut self) -> &mut Source {
        &mut self.source
    }

    /// For ids of the session's directory alone: each may cost derivations.
    pub fn subscribe(&mut self, owner: Owner) -> SubscriptionKey {
        let subscription = self.histories.subscribe(owner.history());
        self.owners.insert(subscription, owner);
        subscription
    }

    /// What was opened is remembered.
    pub fn unsubscribe(&mut self, subscription: SubscriptionKey) {
        self.histories.unsubscribe(subscription);
        let Some(owner) = self.owners.remove(&subscription) else {
            return;
        };
        if !self.owners.values().any(|other| *other == owner) {
            self.keys.retain(|(of, _), _| *of != owner);
        }
    }

    /// The frame as its decoder takes it.
    pub fn open(
        &mut self,
        subscription: SubscriptionKey,
        codec: Codec,
        wire: &[u8],
        now: Duration,
    ) -> Result<Vec<u8>, Refusal> {
        let received = Received::of(codec, wire).ok_or(Refusal::Format)?;
        let metadata = layout::metadata(codec, received.clear);
        let kind = codec.kind();
        let plaintext = self.open_sframe(subscription, kind, (&metadata, &received.sframe), now)?;
        Ok(layout::frame(codec, received.clear, plaintext))
    }

    pub(crate) fn open_sframe(
        &mut self,
        subscription: SubscriptionKey,
        kind: Kind,
        (metadata, sframe): (&[u8], &[u8]),
        now: Duration,
    ) -> Result<Vec<u8>, Refusal> {
        let header = Header::read(sframe).ok_or(Refusal::Format)?;
        let count = (header.key_id, header.counter);
        self.histories.check(subscription, kind, count, now)?;
        let owner = self
            .owners
            .get(&subscription)
            .ok_or(Refusal::Sender)?
            .clone();
        let place = (owner, header.key_id);
        let known = self
            .keys
            .get(&place)
            .filter(|(name, _)| self.source.is_held(*name, now));
        let (name, plaintext) = if let Some((name, key)) = known {
            (*name, key.decrypt(&header, metadata, sframe)?)
        } else {
            self.wipe(now);
            let (name, key, plaintext) =
                self.try_candidates(&place.0, kind, &header, (metadata, sframe), now)?;
            self.keys.insert(place, (name, key));
            (name, plaintext)
        };
        self.histories.open(subscription, kind, count, now);
        self.source.on_opened(name, now);
        Ok(plaintext)
    }

    fn try_candidates(
        &mut self,
        owner: &Owner,
        kind: Kind,
        header: &Header,
        (metadata, sframe): (&[u8], &[u8]),
        now: Duration,
    ) -> Result<(KeyName, FrameKey, Vec<u8>), Refusal> {
        let names = self.source.candidates(header.key_id.key(), now);
        if names.is_empty() {
            return Err(Refusal::Secret);
        }
        for name in names {
            if !self.derivations.take(&owner.history(), kind, now) {
                return Err(Refusal::Auth);
            }
            let Some(key) = self.source.frame_key(name, header.key_id, owner) else {
                continue;
            };
            if let Ok(plaintext) = key.decrypt(header, metadata, sframe) {
                return Ok((name, key, plaintext));
            }
        }
        Err(Refusal::Auth)
    }

    /// Wipes secrets that are over, with all keys that came from them, and keys of retired key ids.
    /// To be called when time passes, also if nothing arrives.
    pub fn wipe(&mut self, now: Duration) {
        self.source.expire(now);
        let (source, histories) = (&self.source, &self.histories);
        self.keys.retain(|(owner, key_id), (name, _)| {
            source.is_held(*name, now) && histories.is_active(&owner.history(), *key_id)
        });
    }
}
