//! Encrypted signals (docs/e2ee.md section 12).

use std::fmt;
use std::time::Duration;

use zeroize::Zeroizing;

use crate::history::{Kind, SubscriptionKey};
use crate::receiver::{KeySource, Receiver};
use crate::{Refusal, text};

/// Version, and what stands for the codec.
pub(crate) const METADATA: [u8; 2] = [0x02, 0x10];

/// What a signal says. Never printed.
#[derive(Clone, PartialEq, Eq)]
pub struct SignalContent {
    /// The addressee's connection id, or empty for everybody.
    pub to: String,
    /// Of the application.
    pub kind: String,
    /// Of the application.
    pub data: String,
}

impl SignalContent {
    pub(crate) fn plaintext(&self) -> Option<Zeroizing<Vec<u8>>> {
        let size = 4 + self.to.len() + self.kind.len() + self.data.len();
        let mut out = Zeroizing::new(Vec::with_capacity(size));
        text::push(&mut out, &self.to)?;
        text::push(&mut out, &self.kind)?;
        out.extend_from_slice(self.data.as_bytes());
        Some(out)
    }

    fn read(mut plaintext: &[u8]) -> Option<Self> {
        let to = text::take(&mut plaintext)?.to_owned();
        let kind = text::take(&mut plaintext)?.to_owned();
        let data = str::from_utf8(plaintext).ok()?.to_owned();
        Some(Self { to, kind, data })
    }
}

impl fmt::Debug for SignalContent {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("SignalContent(…)")
    }
}

/// Why a received signal is not delivered.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
pub enum SignalRefusal {
    /// As for frames.
    Frame(Refusal),
    /// It names somebody else.
    Addressee,
}

impl SignalRefusal {
    /// The word of the vectors and of the documents.
    pub fn code(self) -> &'static str {
        match self {
            Self::Frame(refusal) => refusal.code(),
            Self::Addressee => "addressee",
        }
    }
}

impl fmt::Display for SignalRefusal {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::Frame(refusal) => refusal.fmt(f),
            Self::Addressee => f.write_str("the signal is for somebody else"),
        }
    }
}

impl std::error::Error for SignalRefusal {}

impl<Source: KeySource> Receiver<Source> {
    /// `own_connection_id`: this client's. `subscription` is of the sender's signals.
    pub fn open_signal(
        &mut self,
        subscription: SubscriptionKey,
        own_connection_id: &str,
        wire: &[u8],
        now: Duration,
    ) -> Result<SignalContent, SignalRefusal> {
        let plaintext = self
            .open_sframe(subscription, Kind::Signal, (&METADATA, wire), now)
            .map_err(SignalRefusal::Frame)?;
        let plaintext = Zeroizing::new(plaintext);
        let content =
            SignalContent::read(&plaintext).ok_or(SignalRefusal::Frame(Refusal::Format))?;
        if !content.to.is_empty() && content.to != own_connection_id {
            return Err(SignalRefusal::Addressee);
        }
        Ok(content)
    }
}
