//! What own streams encrypt with, through all changes of the secret (docs/e2ee.md section 9).

use std::time::Duration;

use sealroute_e2ee::Track as Kind;
use sealroute_protocol::ClientMessage;
use sealroute_protocol::messages::DeclareKids;

use crate::session::Asked;
use crate::{Effect, Event, PublicationId, Session, SessionError};

impl Session {
    /// All senders use the present secret from their next frame on.
    pub(crate) fn move_senders(&mut self, immediate: bool, now: Duration) {
        let is_moved = self
            .encryption
            .as_mut()
            .is_none_or(|encryption| encryption.move_signals().is_ok());
        if !is_moved {
            self.tell(Event::Error(SessionError::EncryptionFailed));
        }
        for id in self.live_publications() {
            self.renew_publication(id, immediate, now);
        }
    }

    pub(crate) fn live_publications(&self) -> Vec<PublicationId> {
        let live = self.publishing.own.iter().filter(|(_, own)| own.is_live);
        live.map(|(id, _)| *id).collect()
    }

    pub(crate) fn renew_publication(&mut self, id: PublicationId, immediate: bool, now: Duration) {
        let (Some(encryption), Some(own)) =
            (self.encryption.as_mut(), self.publishing.own.get_mut(&id))
        else {
            return;
        };
        let renewed = own.renew(encryption.sending_key(), immediate, now);
        let has_video = own.has(Kind::Video);
        let is_dead = own.tracks.iter().all(|track| !track.has_encryptor());
        self.declare(id, now);
        if has_video {
            self.push(Effect::MakeKeyFrame(id));
        }
        match renewed {
            Err(_) if is_dead => self.fail_publication(id, SessionError::EncryptionFailed, now),
            Err(_) => {
                let error = SessionError::EncryptionFailed;
                self.tell(Event::PublicationError {
                    publication: id,
                    error,
                });
            }
            Ok(()) => {}
        }
    }

    /// The key ids of the senders to come are declared beside those in use, so that none is late.
    pub(crate) fn prepare_publication(&mut self, id: PublicationId, now: Duration) {
        let (Some(encryption), Some(own)) =
            (self.encryption.as_mut(), self.publishing.own.get_mut(&id))
        else {
            return;
        };
        if own.prepare(encryption.newest().hint()).is_ok() {
            self.declare(id, now);
        }
    }

    /// Best effort: what the server does not take it drops by its guard.
    pub(crate) fn declare(&mut self, id: PublicationId, now: Duration) {
        let Some(own) = self.publishing.own.get(&id) else {
            return;
        };
        let stream_id = &own.stream_id;
        let declarations = own.tracks.iter().map(|track| {
            ClientMessage::DeclareKids(DeclareKids {
                stream_id: stream_id.clone(),
                mid: track.mid.clone(),
                kids: track.declared(),
            })
        });
        for message in declarations.collect::<Vec<_>>() {
            let _ = self.ask(message, Asked::Passing, now);
        }
    }

    pub(crate) fn tell_publication_trust(&mut self, publication: PublicationId, now: Duration) {
        if self.encryption.is_none() {
            return;
        }
        let Some(own) = self.publishing.own.get_mut(&publication) else {
            return;
        };
        let state = own.trust.state(now);
        if own.told.replace(state) != Some(state) {
            self.tell(Event::PublicationTrust { publication, state });
        }
    }
}
