//! Signals of members and of the application, and moderation.

use std::time::Duration;

use sealroute_e2ee::{Refusal, SignalContent, SignalRefusal};
use sealroute_protocol::ClientMessage;
use sealroute_protocol::messages::{
    ForceDisconnect, ForceMuteAll, ForceMuteStream, ForceUnpublish, Signal, SignalReceived,
};
use sealroute_rules::{
    MAX_ENCRYPTED_SIGNAL_BYTES, MAX_SIGNAL_DATA_BYTES, MAX_SIGNAL_TYPE_BYTES, SENDER_STATS_SIGNAL,
};

use crate::session::Asked;
use crate::{Event, Session, SessionError, SessionState};

const STRAYED: &str = "A signal came that is for another member, or from nobody";

impl Session {
    /// To everybody, this client too, or to one connection; encrypted in an encrypted session.
    pub fn signal(
        &mut self,
        to: Option<&str>,
        kind: &str,
        data: &str,
        now: Duration,
    ) -> Result<(), SessionError> {
        check(kind, data)?;
        self.require_media()?;
        let content = SignalContent {
            to: to.unwrap_or_default().to_owned(),
            kind: kind.to_owned(),
            data: data.to_owned(),
        };
        let message = self
            .signal_message(&content)
            .ok_or(SessionError::EncryptionFailed)?;
        self.ask(message, Asked::Signal(content), now).map(|_| ())
    }

    /// As it leaves now. None: it cannot be encrypted, and so does not leave.
    pub(crate) fn signal_message(&mut self, content: &SignalContent) -> Option<ClientMessage> {
        let some = |text: &str| (!text.is_empty()).then(|| text.to_owned());
        let to = some(&content.to);
        if let Some(encryption) = self.encryption.as_mut() {
            let encrypted = Some(encryption.encrypt_signal(content)?);
            return Some(ClientMessage::Signal(Signal {
                to,
                encrypted,
                ..Signal::default()
            }));
        }
        if self.trust.state() != SessionState::None {
            return None;
        }
        let (kind, data) = (some(&content.kind), Some(content.data.clone()));
        Some(ClientMessage::Signal(Signal {
            to,
            kind,
            data,
            ..Signal::default()
        }))
    }

    pub(crate) fn on_signal(&mut self, signal: SignalReceived, now: Duration) {
        let is_encrypted = signal.encrypted.is_some();
        let from = signal.from.clone();
        let content = match self.content(signal, now) {
            Ok(content) => content,
            Err(Some(error)) => {
                self.complain(error, now);
                return;
            }
            Err(None) => return,
        };
        if from.is_some() && content.kind == SENDER_STATS_SIGNAL {
            // From SDK to SDK; this one has no use for it.
            return;
        }
        let SignalContent { kind, data, .. } = content;
        self.tell(Event::Signal {
            from,
            kind,
            data,
            is_encrypted,
        });
    }

    /// `Err(None)`: it came before, as after a resume also with an honest server.
    fn content(
        &mut self,
        signal: SignalReceived,
        now: Duration,
    ) -> Result<SignalContent, Option<SessionError>> {
        let unexpected = |text| Some(SessionError::Unexpected(text));
        let Some(encrypted) = signal.encrypted else {
            if signal.from.is_some() && self.trust.state() != SessionState::None {
                // A member would have encrypted it; the application has no member's name.
                let text = "A clear signal claimed to be from a member of the encrypted session";
                return Err(unexpected(text));
            }
            let (kind, data) = (
                signal.kind.unwrap_or_default(),
                signal.data.unwrap_or_default(),
            );
            return Ok(SignalContent {
                to: String::new(),
                kind,
                data,
            });
        };
        let is_member =
            |from: &String| *from == self.connection_id || self.directory.has_connection(from);
        // Only from members: replay protection lives as long as the session.
        let from = signal.from.filter(is_member).ok_or(unexpected(STRAYED))?;
        if encrypted.len() as u64 > MAX_ENCRYPTED_SIGNAL_BYTES {
            return Err(unexpected(
                "An encrypted signal came in a form that no member sends",
            ));
        }
        let encryption = self
            .encryption
            .as_mut()
            .ok_or(Some(SessionError::SecretMismatch))?;
        encryption
            .open_signal(&from, &encrypted, now)
            .map_err(|refusal| match refusal {
                SignalRefusal::Addressee => unexpected(STRAYED),
                SignalRefusal::Frame(Refusal::Replay) => None,
                SignalRefusal::Frame(_) => Some(SessionError::SecretMismatch),
            })
    }

    // --- moderation --------------------------------------------------------------------------

    /// Ends another connection. `Moderated` follows.
    pub fn force_disconnect(
        &mut self,
        connection_id: &str,
        now: Duration,
    ) -> Result<(), SessionError> {
        let connection_id = connection_id.to_owned();
        self.moderate(
            ClientMessage::ForceDisconnect(ForceDisconnect { connection_id }),
            now,
        )
    }

    /// Ends a stream of anybody. `Moderated` follows.
    pub fn force_unpublish(&mut self, stream_id: &str, now: Duration) -> Result<(), SessionError> {
        let stream_id = stream_id.to_owned();
        self.moderate(
            ClientMessage::ForceUnpublish(ForceUnpublish { stream_id }),
            now,
        )
    }

    /// Mutes the audio of a stream. `Moderated` follows.
    pub fn force_mute_stream(
        &mut self,
        stream_id: &str,
        now: Duration,
    ) -> Result<(), SessionError> {
        let stream_id = stream_id.to_owned();
        self.moderate(
            ClientMessage::ForceMuteStream(ForceMuteStream { stream_id }),
            now,
        )
    }

    /// Mutes the audio of all streams but some, also of those to come while it is active.
    pub fn force_mute_all(
        &mut self,
        is_active: bool,
        excluded: Vec<String>,
        now: Duration,
    ) -> Result<(), SessionError> {
        let message = ForceMuteAll {
            active: is_active,
            excluded_stream_ids: (!excluded.is_empty()).then_some(excluded),
        };
        self.moderate(ClientMessage::ForceMuteAll(message), now)
    }

    fn moderate(&mut self, message: ClientMessage, now: Duration) -> Result<(), SessionError> {
        if !self.has_joined {
            return Err(SessionError::NotConnected);
        }
        self.ask(message, Asked::Moderation, now).map(|_| ())
    }
}

fn check(kind: &str, data: &str) -> Result<(), SessionError> {
    let is_long = |text: &str, most: u64| text.len() as u64 > most;
    if is_long(kind, MAX_SIGNAL_TYPE_BYTES) || is_long(data, MAX_SIGNAL_DATA_BYTES) {
        return Err(SessionError::SignalTooLong);
    }
    let is_fit = |c: char| c.is_ascii_alphanumeric() || matches!(c, '-' | '_' | '~');
    if !kind.chars().all(is_fit) {
        let text = "The type of a signal may hold letters, digits, \"-\", \"_\" and \"~\"";
        return Err(SessionError::InvalidParameter(text));
    }
    Ok(())
}
