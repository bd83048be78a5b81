//! Which requests may leave in which state of trust, and in which form.

use sealroute_protocol::ClientMessage;
use sealroute_protocol::messages::{Publish, Signal};
use sealroute_rules::E2EE_FORMAT;

use crate::{SessionError, SessionState, Trust};

impl Trust {
    /// Whether a request may go to the server: nothing about media or signals before it is known
    /// what they are, and in an encrypted session nothing that is clear.
    pub fn permits(&self, message: &ClientMessage) -> Result<(), SessionError> {
        if let Some(refusal) = self.refusal() {
            return match message {
                ClientMessage::Bye(_) => Ok(()),
                _ => Err(refusal.clone()),
            };
        }
        match (self.state(), message) {
            (_, ClientMessage::Hello(_) | ClientMessage::Ping(_) | ClientMessage::Bye(_)) => Ok(()),
            (SessionState::Unknown | SessionState::Required | SessionState::Refused, _) => {
                Err(SessionError::NotConnected)
            }
            (SessionState::Confirmed, message) if is_about_media(message) => {
                Err(SessionError::SecretMissing)
            }
            (SessionState::Confirmed, _) => Ok(()),
            (SessionState::Keyed, message) => form(is_encrypted(message)),
            (SessionState::None, message) => form(is_clear(message, self.is_relayed())),
        }
    }
}

fn form(is_right: bool) -> Result<(), SessionError> {
    if is_right {
        Ok(())
    } else {
        Err(SessionError::WrongForm)
    }
}

/// All but moderation, which carries nothing of a member.
fn is_about_media(message: &ClientMessage) -> bool {
    !matches!(
        message,
        ClientMessage::ForceDisconnect(_)
            | ClientMessage::ForceUnpublish(_)
            | ClientMessage::ForceMuteStream(_)
            | ClientMessage::ForceMuteAll(_)
    )
}

fn is_encrypted(message: &ClientMessage) -> bool {
    match message {
        ClientMessage::Publish(Publish {
            tracks,
            e2ee_format,
            ..
        }) => {
            let has_kids =
                |kids: &Option<Vec<Vec<u8>>>| kids.as_ref().is_some_and(|k| !k.is_empty());
            e2ee_format.as_deref() == Some(E2EE_FORMAT)
                && tracks.iter().all(|track| has_kids(&track.kids))
        }
        ClientMessage::Signal(Signal {
            kind,
            data,
            encrypted,
            ..
        }) => kind.is_none() && data.is_none() && encrypted.is_some(),
        ClientMessage::PeerDescription(_) | ClientMessage::PeerCandidate(_) => false,
        _ => true,
    }
}

fn is_clear(message: &ClientMessage, is_relayed: bool) -> bool {
    match message {
        ClientMessage::Signal(signal) => signal.encrypted.is_none(),
        ClientMessage::Publish(publish) => publish.e2ee_format.is_none(),
        ClientMessage::PeerDescription(_) | ClientMessage::PeerCandidate(_) => is_relayed,
        ClientMessage::DeclareKids(_)
        | ClientMessage::E2eeReady(_)
        | ClientMessage::E2eeState(_) => false,
        _ => true,
    }
}

#[cfg(test)]
mod tests {
    use sealroute_protocol::messages::{
        Bye, ForceMuteAll, Ping, Publish, Signal, Subscribe, TrackKind, TrackOffer,
    };
    use sealroute_protocol::{ClientMessage, Said};

    use crate::{SessionError, Trust};

    fn subscribe() -> ClientMessage {
        ClientMessage::Subscribe(Subscribe {
            stream_id: "s".into(),
            ..Subscribe::default()
        })
    }

    fn clear_signal() -> ClientMessage {
        ClientMessage::Signal(Signal {
            data: Some("hello".into()),
            ..Signal::default()
        })
    }

    fn encrypted_signal() -> ClientMessage {
        ClientMessage::Signal(Signal {
            encrypted: Some(vec![0xf0]),
            ..Signal::default()
        })
    }

    fn publish(format: Option<&str>, kids: Option<Vec<Vec<u8>>>) -> ClientMessage {
        let tracks = vec![TrackOffer {
            mid: "0".into(),
            kind: TrackKind::Audio,
            kids,
        }];
        let e2ee_format = format.map(str::to_owned);
        ClientMessage::Publish(Publish {
            tracks,
            e2ee_format,
            ..Publish::default()
        })
    }

    fn welcomed(trust: &mut Trust, e2ee: bool) {
        trust.on_welcome(Some(&Said::Flag(e2ee)), Some(&Said::Text("routed".into())));
    }

    #[test]
    fn nothing_leaves_before_the_session_is_known() {
        let mut trust = Trust::new();
        for _ in 0..2 {
            assert_eq!(trust.permits(&subscribe()), Err(SessionError::NotConnected));
            assert_eq!(trust.permits(&ClientMessage::Ping(Ping::default())), Ok(()));
            trust.on_key();
        }
    }

    #[test]
    fn without_the_secret_of_an_encrypted_session_media_is_refused() {
        let mut trust = Trust::new();
        welcomed(&mut trust, true);
        for message in [
            subscribe(),
            clear_signal(),
            encrypted_signal(),
            publish(None, None),
        ] {
            let refused = trust.permits(&message);
            assert_eq!(refused.as_ref().map_err(SessionError::number), Err(6000));
        }
        let mute = ClientMessage::ForceMuteAll(ForceMuteAll::default());
        assert_eq!(trust.permits(&mute), Ok(()));
    }

    #[test]
    fn nothing_clear_leaves_an_encrypted_session() {
        let mut trust = Trust::new();
        trust.on_key();
        welcomed(&mut trust, true);
        let kids = || Some(vec![vec![0xff; 8]]);
        for message in [
            clear_signal(),
            publish(None, kids()),
            publish(Some("e2ee/1"), kids()),
            publish(Some("e2ee/2"), None),
            publish(Some("e2ee/2"), Some(Vec::new())),
        ] {
            assert_eq!(trust.permits(&message), Err(SessionError::WrongForm));
        }
        for message in [
            subscribe(),
            encrypted_signal(),
            publish(Some("e2ee/2"), kids()),
        ] {
            assert_eq!(trust.permits(&message), Ok(()));
        }
    }

    #[test]
    fn a_session_that_was_refused_can_only_be_left() {
        let mut trust = Trust::new();
        trust.on_key();
        welcomed(&mut trust, false);
        assert_eq!(trust.permits(&subscribe()), Err(SessionError::NotEncrypted));
        assert_eq!(
            trust.permits(&ClientMessage::Ping(Ping::default())),
            Err(SessionError::NotEncrypted)
        );
        assert_eq!(trust.permits(&ClientMessage::Bye(Bye::default())), Ok(()));
    }
}
