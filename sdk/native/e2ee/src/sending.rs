//! What leaves. A publication alone gives out key ids, so none is used twice.

use std::fmt;

use sealroute_rules::MAX_COUNTER;

use crate::layout::{self, Codec};
use crate::signals::{self, SignalContent};
use crate::{FrameKey, KeyId, KeyIds, KeyPart, SendingError, SessionKey};

/// A key id that a publication gave out for a sender to come: it is declared before the first frame
/// under it, and used up by the encryptor that gets it.
#[derive(Debug)]
pub struct ChosenKeyId(KeyId);

impl ChosenKeyId {
    /// To be declared to the server.
    pub fn key_id(&self) -> KeyId {
        self.0
    }
}

/// A stream of this client that the server has not named yet: key ids may be chosen, and nothing can
/// be encrypted.
#[derive(Debug)]
pub struct UnnamedPublication {
    key_ids: KeyIds,
}

impl UnnamedPublication {
    /// With a sender part of its own.
    pub fn new() -> Result<Self, SendingError> {
        KeyIds::random().map(|key_ids| Self { key_ids })
    }

    /// For a sender under the secret of this hint.
    pub fn choose(&mut self, hint: KeyPart) -> Result<ChosenKeyId, SendingError> {
        self.key_ids.take(hint).map(ChosenKeyId)
    }

    /// `connection_id` and `stream_id` as the server told this client.
    pub fn named(self, connection_id: &str, stream_id: &str) -> Publication {
        Publication {
            connection_id: connection_id.to_owned(),
            stream_id: stream_id.to_owned(),
            key_ids: self.key_ids,
        }
    }
}

/// One stream of this client, audio and video, through all changes of secret.
#[derive(Debug)]
pub struct Publication {
    connection_id: String,
    stream_id: String,
    key_ids: KeyIds,
}

impl Publication {
    /// `connection_id` and `stream_id` as the server told this client.
    pub fn new(connection_id: &str, stream_id: &str) -> Result<Self, SendingError> {
        UnnamedPublication::new().map(|unnamed| unnamed.named(connection_id, stream_id))
    }

    /// For a sender under the secret of this hint.
    pub fn choose(&mut self, hint: KeyPart) -> Result<ChosenKeyId, SendingError> {
        self.key_ids.take(hint).map(ChosenKeyId)
    }

    /// For a sender of this stream: a new one for each transform, each secret and each counter that
    /// came to its end. It takes the place of the one before between two frames.
    pub fn encryptor(&mut self, key: &SessionKey) -> Result<Encryptor, SendingError> {
        let chosen = self.choose(key.hint())?;
        self.encryptor_under(chosen, key)
    }

    /// The same, under a key id that was chosen before, of this publication and this hint.
    #[expect(
        clippy::needless_pass_by_value,
        reason = "used up: none has two encryptors"
    )]
    pub fn encryptor_under(
        &mut self,
        chosen: ChosenKeyId,
        key: &SessionKey,
    ) -> Result<Encryptor, SendingError> {
        let key_id = chosen.0;
        if key_id.key() != key.hint() || key_id.sender() != self.key_ids.sender() {
            return Err(SendingError::OtherKeyId);
        }
        let base = key
            .stream_base(&self.connection_id, &self.stream_id)
            .ok_or(SendingError::TooLong)?;
        Ok(Encryptor::new(FrameKey::of_base(&base, key_id)))
    }
}

/// Encrypts the frames of one sender, all layers with one counter.
pub struct Encryptor {
    key: FrameKey,
    next: u64,
}

impl Encryptor {
    pub(crate) fn new(key: FrameKey) -> Self {
        Self { key, next: 0 }
    }

    /// To be declared to the server before the first frame.
    pub fn key_id(&self) -> KeyId {
        self.key.key_id()
    }

    /// The encoded frame as it goes into packets.
    pub fn encrypt(&mut self, codec: Codec, frame: &[u8]) -> Result<Vec<u8>, SendingError> {
        let outgoing = layout::Outgoing::of(codec, frame)?;
        let counter = self.count()?;
        let metadata = layout::metadata(codec, outgoing.clear);
        let sframe = self.key.encrypt(counter, &metadata, &outgoing.plaintext);
        Ok(outgoing.wire(sframe))
    }

    pub(crate) fn encrypt_signal(&mut self, plaintext: &[u8]) -> Result<Vec<u8>, SendingError> {
        let counter = self.count()?;
        Ok(self.key.encrypt(counter, &signals::METADATA, plaintext))
    }

    fn count(&mut self) -> Result<u32, SendingError> {
        if self.next >= MAX_COUNTER {
            return Err(SendingError::CounterExhausted);
        }
        let counter = self.next as u32;
        self.next += 1;
        Ok(counter)
    }

    #[cfg(test)]
    pub(crate) fn counting_from(key: FrameKey, next: u64) -> Self {
        Self { key, next }
    }
}

impl fmt::Debug for Encryptor {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "Encryptor({:?}, next {})", self.key, self.next)
    }
}

/// Encrypts the signals of this connection.
#[derive(Debug)]
pub struct SignalEncryptor {
    connection_id: String,
    key_ids: KeyIds,
    encryptor: Encryptor,
}

impl SignalEncryptor {
    /// `connection_id`: this client's.
    pub fn new(connection_id: &str, key: &SessionKey) -> Result<Self, SendingError> {
        let mut key_ids = KeyIds::random()?;
        let encryptor = signal_encryptor(connection_id, &mut key_ids, key)?;
        Ok(Self {
            connection_id: connection_id.to_owned(),
            key_ids,
            encryptor,
        })
    }

    /// Whatever leaves from now on leaves under this secret.
    pub fn switch(&mut self, key: &SessionKey) -> Result<(), SendingError> {
        self.encryptor = signal_encryptor(&self.connection_id, &mut self.key_ids, key)?;
        Ok(())
    }

    /// Addressee, type and data as one encrypted signal.
    pub fn encrypt(&mut self, content: &SignalContent) -> Result<Vec<u8>, SendingError> {
        let plaintext = content.plaintext().ok_or(SendingError::TooLong)?;
        self.encryptor.encrypt_signal(&plaintext)
    }
}

fn signal_encryptor(
    connection_id: &str,
    key_ids: &mut KeyIds,
    key: &SessionKey,
) -> Result<Encryptor, SendingError> {
    let key_id = key_ids.take(key.hint())?;
    let base = key
        .signal_base(connection_id)
        .ok_or(SendingError::TooLong)?;
    Ok(Encryptor::new(FrameKey::of_base(&base, key_id)))
}
