//! States of trust (docs/e2ee.md section 11): the one owner of whether anything may be sent or
//! played, and how. The server's words come in as they are.

use sealroute_protocol::Said;

use crate::SessionError;

const ROUTED: &str = "routed";
const RELAYED: &str = "relayed";

/// Of the session.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum SessionState {
    /// No secret, and not let in: nothing is allowed.
    Unknown,
    /// No secret, and the server said that the session is clear.
    None,
    /// With a secret, or with one to come; nothing is confirmed: nothing is allowed.
    Required,
    /// Encrypted and routed, and no key here: nothing is allowed but events.
    Confirmed,
    /// Everything is encrypted.
    Keyed,
    /// What the server said is not acceptable. Nothing leads out of here.
    Refused,
}

/// The trust of one session. No step leads from encryption to [`SessionState::None`].
#[derive(Debug, Default)]
pub struct Trust {
    is_required: bool,
    is_keyed: bool,
    /// What the first welcome said: encrypted, routed.
    first: Option<(bool, bool)>,
    refusal: Option<SessionError>,
}

impl Trust {
    /// Nothing is known.
    pub fn new() -> Self {
        Self::default()
    }

    /// The state that everything shows.
    pub fn state(&self) -> SessionState {
        match self.first {
            _ if self.refusal.is_some() => SessionState::Refused,
            None if self.is_required => SessionState::Required,
            None => SessionState::Unknown,
            Some((false, _)) => SessionState::None,
            Some((true, _)) if self.is_keyed => SessionState::Keyed,
            Some((true, _)) => SessionState::Confirmed,
        }
    }

    /// Why nothing is allowed any more.
    pub fn refusal(&self) -> Option<&SessionError> {
        self.refusal.as_ref()
    }

    /// Peers may be connected to directly: in clear relayed sessions alone.
    pub fn is_relayed(&self) -> bool {
        self.state() == SessionState::None && self.first == Some((false, false))
    }

    /// The application set a secret, or says that one is to come. In a clear session that is the
    /// end: whoever sets a secret wants no clear media.
    pub fn on_secret_required(&mut self) -> SessionState {
        self.is_required = true;
        if self.state() == SessionState::None {
            self.refuse(SessionError::NotEncrypted);
        }
        self.state()
    }

    /// The key of the secret is there.
    pub fn on_key(&mut self) -> SessionState {
        self.is_keyed = true;
        self.on_secret_required()
    }

    /// What a welcome says of the session: the first one, or that of a resume.
    pub fn on_welcome(&mut self, e2ee: Option<&Said>, media_mode: Option<&Said>) -> SessionState {
        match self.judge(e2ee, media_mode) {
            Ok(said) => {
                self.first.get_or_insert(said);
            }
            Err(refusal) => self.refuse(refusal),
        }
        self.state()
    }

    /// The first refusal stays.
    pub fn refuse(&mut self, refusal: SessionError) {
        self.refusal.get_or_insert(refusal);
    }

    fn judge(
        &self,
        e2ee: Option<&Said>,
        media_mode: Option<&Said>,
    ) -> Result<(bool, bool), SessionError> {
        let (Some(Said::Flag(is_encrypted)), Some(Said::Text(mode))) = (e2ee, media_mode) else {
            return Err(SessionError::Unsaid);
        };
        let is_routed = match mode.as_str() {
            ROUTED => true,
            RELAYED => false,
            _ => return Err(SessionError::Unsaid),
        };
        if self.is_required && !is_encrypted {
            return Err(SessionError::NotEncrypted);
        }
        if *is_encrypted && !is_routed {
            return Err(SessionError::EncryptedAndRelayed);
        }
        let said = (*is_encrypted, is_routed);
        if self.first.is_some_and(|first| first != said) {
            return Err(SessionError::Contradiction);
        }
        Ok(said)
    }
}

#[cfg(test)]
mod tests {
    use sealroute_protocol::Said;

    use super::{SessionState, Trust};
    use crate::SessionError;

    fn said(e2ee: bool, mode: &str) -> (Option<Said>, Option<Said>) {
        (Some(Said::Flag(e2ee)), Some(Said::Text(mode.into())))
    }

    fn welcome(trust: &mut Trust, words: &(Option<Said>, Option<Said>)) -> SessionState {
        trust.on_welcome(words.0.as_ref(), words.1.as_ref())
    }

    #[test]
    fn without_a_secret_the_server_decides_what_the_session_is() {
        for (words, state, is_relayed) in [
            (said(false, "routed"), SessionState::None, false),
            (said(false, "relayed"), SessionState::None, true),
            (said(true, "routed"), SessionState::Confirmed, false),
            (said(true, "relayed"), SessionState::Refused, false),
        ] {
            let mut trust = Trust::new();
            assert_eq!(trust.state(), SessionState::Unknown);
            assert_eq!(welcome(&mut trust, &words), state);
            assert_eq!(trust.is_relayed(), is_relayed);
        }
    }

    #[test]
    fn with_a_secret_all_but_encrypted_and_routed_is_refused() {
        let words = [
            (said(false, "routed"), SessionError::NotEncrypted),
            (said(false, "relayed"), SessionError::NotEncrypted),
            (said(true, "relayed"), SessionError::EncryptedAndRelayed),
            (said(true, "mesh"), SessionError::Unsaid),
            ((None, None), SessionError::Unsaid),
            (
                (Some(Said::Nothing), said(true, "routed").1),
                SessionError::Unsaid,
            ),
            (
                (Some(Said::Text("true".into())), said(true, "routed").1),
                SessionError::Unsaid,
            ),
        ];
        for (words, refusal) in words {
            let mut trust = Trust::new();
            assert_eq!(trust.on_secret_required(), SessionState::Required);
            assert_eq!(welcome(&mut trust, &words), SessionState::Refused);
            assert_eq!(trust.refusal(), Some(&refusal));
            assert_eq!(trust.refusal().map(SessionError::number), Some(1006));
            assert_eq!(
                welcome(&mut trust, &said(true, "routed")),
                SessionState::Refused
            );
            assert_eq!(trust.on_key(), SessionState::Refused);
        }
    }

    #[test]
    fn confirmation_and_key_may_come_in_any_order() {
        let mut trust = Trust::new();
        assert_eq!(trust.on_key(), SessionState::Required);
        assert_eq!(
            welcome(&mut trust, &said(true, "routed")),
            SessionState::Keyed
        );
        let mut trust = Trust::new();
        assert_eq!(
            welcome(&mut trust, &said(true, "routed")),
            SessionState::Confirmed
        );
        assert_eq!(trust.on_secret_required(), SessionState::Confirmed);
        assert_eq!(trust.on_key(), SessionState::Keyed);
    }

    #[test]
    fn a_resume_that_says_something_else_is_refused() {
        for (first, later) in [
            (said(true, "routed"), said(false, "routed")),
            (said(false, "routed"), said(true, "routed")),
            (said(false, "routed"), said(false, "relayed")),
        ] {
            let mut trust = Trust::new();
            welcome(&mut trust, &first);
            assert_ne!(welcome(&mut trust, &first), SessionState::Refused);
            assert_eq!(welcome(&mut trust, &later), SessionState::Refused);
            assert_eq!(trust.refusal(), Some(&SessionError::Contradiction));
        }
    }

    #[test]
    fn a_secret_for_a_clear_session_ends_it() {
        let mut trust = Trust::new();
        welcome(&mut trust, &said(false, "routed"));
        assert_eq!(trust.on_key(), SessionState::Refused);
    }
}
