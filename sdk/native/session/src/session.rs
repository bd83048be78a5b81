//! One session from `connect` to its end: the owner of all its parts.

use std::collections::{BTreeMap, VecDeque};
use std::time::Duration;

use sealroute_e2ee::{SessionKey, SignalContent};
use sealroute_protocol::messages::{Capabilities, ConnectionInfo, Direction, StreamInfo};

use crate::complaints::Complaints;
use crate::directory::Directory;
use crate::encryption::{Change, Encryption};
use crate::losses::LossBackoff;
use crate::publication::Own;
use crate::publishing::Publishing;
use crate::subscribing::Subscribing;
use crate::{
    ClientInfo, Credentials, Effect, Event, Number, PublicationId, Recovery, Requests,
    SessionError, SessionState, SubscriptionId, Trust,
};

/// What a request was for.
#[derive(Debug)]
pub(crate) enum Asked {
    Hello,
    Publish(PublicationId),
    Subscribe(SubscriptionId),
    /// Encrypted again when it is sent again: the secret may have changed.
    Signal(SignalContent),
    Moderation,
    /// Whatever goes wrong with it is told.
    ByApplication,
    /// Nobody waits for it.
    BestEffort,
    /// The same, and never sent again: another one says it again.
    Passing,
}

/// A client of one session. Times are those since a start that the shell chose once.
#[derive(Debug)]
pub struct Session {
    pub(crate) credentials: Credentials,
    pub(crate) info: ClientInfo,
    pub(crate) trust: Trust,
    pub(crate) requests: Requests,
    pub(crate) recovery: Recovery,
    pub(crate) asked: BTreeMap<Number, Asked>,
    pub(crate) effects: VecDeque<Effect>,
    pub(crate) connection_id: String,
    /// As the server described it when it was joined, or joined again.
    pub(crate) own_connection: Option<ConnectionInfo>,
    pub(crate) capabilities: Option<Capabilities>,
    pub(crate) resume: Option<String>,
    /// Messages since the welcome of the present WebSocket; later ones come again.
    pub(crate) received: u64,
    /// A WebSocket is there, and was welcomed.
    pub(crate) is_up: bool,
    pub(crate) has_joined: bool,
    pub(crate) is_over: bool,
    /// When `connect` was called.
    begun: Option<Duration>,
    /// Spreads the clients of a session.
    pub(crate) random: u8,
    /// Of the secret that was set before the session was joined.
    pub(crate) key: Option<SessionKey>,
    /// Of encrypted sessions.
    pub(crate) encryption: Option<Encryption>,
    pub(crate) directory: Directory,
    pub(crate) publishing: Publishing,
    pub(crate) subscribing: Subscribing,
    losses: [LossBackoff; 2],
    complaints: Complaints,
}

impl Session {
    /// Nothing happens before [`Self::connect`]. `random`: any byte.
    pub fn new(credentials: Credentials, info: ClientInfo, random: u8) -> Self {
        Self {
            credentials,
            info,
            trust: Trust::new(),
            requests: Requests::default(),
            recovery: Recovery::new(Duration::ZERO),
            asked: BTreeMap::new(),
            effects: VecDeque::new(),
            connection_id: String::new(),
            own_connection: None,
            capabilities: None,
            resume: None,
            received: 0,
            is_up: false,
            has_joined: false,
            is_over: false,
            begun: None,
            random,
            key: None,
            encryption: None,
            directory: Directory::default(),
            publishing: Publishing::default(),
            subscribing: Subscribing::default(),
            losses: <[LossBackoff; 2]>::default(),
            complaints: Complaints::default(),
        }
    }

    // --- figures ---------------------------------------------------------------------------

    /// What everything shows of the session.
    pub fn trust(&self) -> SessionState {
        self.trust.state()
    }

    /// This client, as the others know it; empty before it is connected.
    pub fn connection_id(&self) -> &str {
        &self.connection_id
    }

    /// The same, with what the server says of it; none before it is connected.
    pub fn own_connection(&self) -> Option<&ConnectionInfo> {
        self.own_connection.as_ref()
    }

    /// What the token permits; none before it is connected.
    pub fn capabilities(&self) -> Option<&Capabilities> {
        self.capabilities.as_ref()
    }

    /// The members that are there.
    pub fn connections(&self) -> impl Iterator<Item = &ConnectionInfo> {
        self.directory.connections()
    }

    /// What the others publish.
    pub fn streams(&self) -> impl Iterator<Item = &StreamInfo> {
        self.directory.streams()
    }

    /// It has ended, or never began and never will.
    pub fn is_over(&self) -> bool {
        self.is_over
    }

    /// Six groups of five digits, the same for all that hold the same secret in the same session.
    pub fn verification_code(&mut self) -> Result<String, SessionError> {
        let encryption = self
            .encryption
            .as_mut()
            .ok_or(SessionError::SecretMissing)?;
        Ok(encryption.verification_code())
    }

    // --- calls -------------------------------------------------------------------------------

    /// Joins. `Connected` follows, or `Error`.
    pub fn connect(&mut self, now: Duration) -> Result<(), SessionError> {
        if self.begun.is_some() {
            let text = "A session is connected once; make another one to join again";
            return Err(SessionError::InvalidParameter(text));
        }
        self.begun = Some(now);
        self.recovery = Recovery::new(now);
        self.poll(now);
        Ok(())
    }

    /// A secret is to come: nothing clear is acceptable from now on.
    pub fn require_encryption(&mut self, now: Duration) {
        self.trust.on_secret_required();
        self.end_if_refused(now);
    }

    /// The key of the secret that the application set. What is received opens with it from now on;
    /// what is sent follows when the others are ready, or in five seconds; with `immediate` now, and
    /// nothing opens under older secrets any more.
    pub fn set_key(
        &mut self,
        key: SessionKey,
        immediate: bool,
        now: Duration,
    ) -> Result<(), SessionError> {
        if self.is_over {
            return Err(SessionError::NotConnected);
        }
        self.trust.on_key();
        if self.end_if_refused(now) {
            return Err(SessionError::NotEncrypted);
        }
        let Some(encryption) = self.encryption.as_mut() else {
            self.key = Some(key);
            return Ok(());
        };
        let change = encryption.set(key, immediate, now);
        if change == Change::Move {
            self.move_senders(immediate, now);
        }
        if change != Change::Nothing {
            if self
                .encryption
                .as_ref()
                .is_some_and(Encryption::is_switching)
            {
                for id in self.live_publications() {
                    self.prepare_publication(id, now);
                }
            }
            self.announce(now);
            self.probe_all(now);
        }
        Ok(())
    }

    /// Leaves. Idempotent.
    pub fn disconnect(&mut self, now: Duration) {
        if self.is_over {
            return;
        }
        self.say_goodbye(now);
        self.end("clientDisconnected");
    }

    // --- time and effects ----------------------------------------------------------------------

    /// To be called when [`Self::deadline`] is over.
    pub fn poll(&mut self, now: Duration) {
        if self.is_over || self.begun.is_none() {
            return;
        }
        self.poll_signaling(now);
        if self
            .encryption
            .as_mut()
            .is_some_and(|encryption| encryption.poll(now))
        {
            self.move_senders(false, now);
        }
        let ids: Vec<PublicationId> = self.publishing.own.keys().copied().collect();
        for id in ids {
            let own = self.publishing.own.get_mut(&id);
            if own.is_some_and(|own| own.expire(now)) {
                self.declare(id, now);
            }
            self.tell_publication_trust(id, now);
        }
        self.negotiate_next(now);
        self.subscribe_waiting(now);
    }

    /// When [`Self::poll`] has something to do, if nothing else happens.
    pub fn deadline(&mut self) -> Option<Duration> {
        if self.is_over || self.begun.is_none() {
            return None;
        }
        let again = [self.publishing.again, self.subscribing.again];
        let again = again.into_iter().filter(|_| self.is_up);
        let own = self.publishing.own.values().map(Own::deadline);
        let times = [
            self.recovery.deadline(),
            self.requests.deadline(),
            self.encryption.as_mut().and_then(Encryption::deadline),
        ];
        times.into_iter().chain(again).chain(own).flatten().min()
    }

    /// What follows, first to last.
    pub fn next_effect(&mut self) -> Option<Effect> {
        self.effects.pop_front()
    }

    pub(crate) fn push(&mut self, effect: Effect) {
        self.effects.push_back(effect);
    }

    pub(crate) fn tell(&mut self, event: Event) {
        self.push(Effect::Tell(event));
    }

    /// Tells what the server did wrong, and the same not again and again.
    pub(crate) fn complain(&mut self, error: SessionError, now: Duration) {
        let words = format!("{} {error}", error.code());
        if self.complaints.take(&words, now) {
            self.tell(Event::Error(error));
        }
    }

    // --- losses and the end ------------------------------------------------------------------------

    /// Errors: why no media may be sent or played.
    pub(crate) fn require_media(&self) -> Result<(), SessionError> {
        if let Some(refusal) = self.trust.refusal() {
            return Err(refusal.clone());
        }
        match self.trust.state() {
            _ if self.is_over || !self.has_joined => Err(SessionError::NotConnected),
            SessionState::None if self.encryption.is_none() => Ok(()),
            SessionState::Keyed if self.encryption.is_some() => Ok(()),
            SessionState::Confirmed => Err(SessionError::SecretMissing),
            _ => Err(SessionError::NotConnected),
        }
    }

    /// The server says that a transport is lost.
    pub(crate) fn on_transport_lost(&mut self, direction: Direction, now: Duration) {
        let is_lost = |again: Option<Duration>| again.is_some_and(|until| now < until);
        match direction {
            Direction::Uplink if !is_lost(self.publishing.again) => {
                let until = self.losses[0].on_loss(now);
                self.lose_uplink(until, now);
            }
            Direction::Downlink if !is_lost(self.subscribing.again) => {
                let until = self.losses[1].on_loss(now);
                self.lose_downlink(until, now);
            }
            // What is not there cannot be lost once more.
            _ => {}
        }
    }

    /// True if it is, and the session has ended by that.
    pub(crate) fn end_if_refused(&mut self, now: Duration) -> bool {
        let Some(refusal) = self.trust.refusal().cloned() else {
            return false;
        };
        if !self.is_over {
            self.tell(Event::Failed(refusal));
            self.say_goodbye(now);
            self.end("trustRefused");
        }
        true
    }

    /// The first reason counts.
    pub(crate) fn end(&mut self, reason: &'static str) {
        if std::mem::replace(&mut self.is_over, true) {
            return;
        }
        self.is_up = false;
        self.recovery.on_end();
        self.requests.on_ended();
        self.asked.clear();
        self.push(Effect::CloseLink(Direction::Uplink));
        self.push(Effect::CloseLink(Direction::Downlink));
        self.push(Effect::CloseSocket);
        self.publishing = Publishing::default();
        self.subscribing = Subscribing::default();
        (self.key, self.encryption) = (None, None);
        if self.has_joined {
            self.tell(Event::Disconnected { reason });
        }
    }
}
