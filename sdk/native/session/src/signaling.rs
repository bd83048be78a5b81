//! The WebSockets of a session, one after the other, and the requests over them.

use std::time::Duration;

use sealroute_protocol::messages::{
    Bye, Direction, E2eeReady, E2eeSupport, Hello, Ping, SdkInfo, SessionEnd, Welcome,
};
use sealroute_protocol::{ClientMessage, ServerMessage, decode, encode};
use sealroute_rules::{E2EE_FORMAT, FINAL_CLOSES};

use crate::encryption::Encryption;
use crate::session::Asked;
use crate::{Answered, Effect, Event, Number, Request, Session, SessionError, SessionState, Step};

/// The server knows the connection no more: the next attempt joins again.
const RESUME_UNKNOWN: &str = "resume_unknown";

impl Session {
    // --- requests ----------------------------------------------------------------------------

    /// Sends a request that the trust permits; while the WebSocket is being replaced it waits.
    pub(crate) fn ask(
        &mut self,
        message: ClientMessage,
        asked: Asked,
        now: Duration,
    ) -> Result<Number, SessionError> {
        self.trust.permits(&message)?;
        if self.is_over {
            return Err(SessionError::NotConnected);
        }
        let number = self.requests.send(message.clone(), now);
        let leaves_now = self.is_up || matches!(asked, Asked::Hello);
        if leaves_now && let Err(error) = self.transmit(number, message) {
            self.requests.forget(number);
            return Err(error);
        }
        self.asked.insert(number, asked);
        Ok(number)
    }

    /// The one place where a request leaves.
    fn transmit(&mut self, number: Number, message: ClientMessage) -> Result<(), SessionError> {
        self.trust.permits(&message)?;
        let bytes = encode(&message, number.0).map_err(|_| SessionError::TooLarge)?;
        self.push(Effect::Send(Request { message, bytes }));
        Ok(())
    }

    pub(crate) fn say_goodbye(&mut self, now: Duration) {
        if self.is_up {
            let bye = ClientMessage::Bye(Bye::default());
            let _ = self.ask(bye, Asked::BestEffort, now);
        }
    }

    /// Best effort: the others learn which secret this client holds.
    pub(crate) fn announce(&mut self, now: Duration) {
        let hint = self
            .encryption
            .as_mut()
            .map(|encryption| encryption.newest().hint());
        if let Some(hint) = hint {
            let ready = E2eeReady {
                hint: hint.0.into(),
            };
            let _ = self.ask(ClientMessage::E2eeReady(ready), Asked::Passing, now);
        }
    }

    // --- the WebSocket -------------------------------------------------------------------------

    pub(crate) fn poll_signaling(&mut self, now: Duration) {
        while let Some(step) = self.recovery.poll(now) {
            match step {
                Step::Ping => {
                    let received = Some(self.received);
                    let ping = ClientMessage::Ping(Ping { received });
                    let _ = self.ask(ping, Asked::Passing, now);
                }
                Step::Drop => {
                    self.push(Effect::CloseSocket);
                    self.on_socket_lost("The server did not answer", now);
                }
                Step::Open => self.push(Effect::OpenSocket),
                Step::GiveUp => {
                    let text = "The server could not be reached again; join again later";
                    self.tell(Event::Failed(SessionError::ConnectFailed(text)));
                    self.end("networkDisconnected");
                }
            }
        }
        for number in self.requests.give_up(now) {
            self.on_answer(number, Err(SessionError::Timeout), now);
        }
    }

    /// The WebSocket is open, with this client's subprotocol.
    pub fn on_socket_open(&mut self, now: Duration) {
        if self.is_over {
            return;
        }
        self.recovery.on_open(now);
        let hello = ClientMessage::Hello(Hello {
            api_key: self.credentials.api_key.clone(),
            session_id: self.credentials.session_id.clone(),
            token: self.credentials.token.clone(),
            sdk: SdkInfo {
                name: self.info.name.clone(),
                version: self.info.version.clone(),
            },
            e2ee: Some(E2eeSupport {
                formats: vec![E2EE_FORMAT.to_owned()],
                signals: Some(true),
            }),
            codecs: Some(self.info.codecs.clone()),
            received: self.resume.is_some().then_some(self.received),
            resume: self.resume.clone(),
        });
        if let Err(error) = self.ask(hello, Asked::Hello, now) {
            self.tell(Event::Failed(error));
            self.end("trustRefused");
        }
    }

    /// It is gone, or did not come to be. `code`: of its close frame; `why`: for people.
    pub fn on_socket_closed(&mut self, code: Option<u16>, why: &'static str, now: Duration) {
        if self.is_over {
            return;
        }
        let known = FINAL_CLOSES.iter().find(|(known, _)| Some(*known) == code);
        let Some((_, error)) = known else {
            self.on_socket_lost(why, now);
            return;
        };
        match error {
            Some(error) => self.tell(Event::Failed(SessionError::Closed(error))),
            // A client that has joined hears of it by `Disconnected`.
            None if !self.has_joined => {
                self.tell(Event::Failed(SessionError::ConnectFailed(why)));
            }
            None => {}
        }
        self.end("forceDisconnected");
    }

    fn on_socket_lost(&mut self, why: &'static str, now: Duration) {
        if std::mem::replace(&mut self.is_up, false) {
            self.tell(Event::Reconnecting);
        }
        self.forget(|asked| matches!(asked, Asked::Hello));
        if self.recovery.on_lost(self.random, now) {
            self.tell(Event::Failed(SessionError::ConnectFailed(why)));
            self.end("networkDisconnected");
        }
    }

    fn forget(&mut self, is_over: impl Fn(&Asked) -> bool) {
        let over = self.asked.iter().filter(|(_, asked)| is_over(asked));
        for number in over.map(|(number, _)| *number).collect::<Vec<_>>() {
            self.asked.remove(&number);
            self.requests.forget(number);
        }
    }

    /// One binary message came.
    pub fn on_socket_message(&mut self, bytes: &[u8], now: Duration) {
        if self.is_over {
            return;
        }
        self.recovery.on_message(now);
        self.received += 1;
        let message = match decode(bytes) {
            Ok(message) => message,
            Err(refused) if refused.kind.is_empty() => {
                self.push(Effect::CloseSocket);
                self.on_socket_lost("The server sent something that is no message", now);
                return;
            }
            Err(refused) => {
                if let Some(number) = self.requests.on_misshapen(refused.answers) {
                    self.on_answer(number, Err(SessionError::WrongAnswer), now);
                }
                let text = "The server sent a message that is not as the protocol says";
                self.complain(SessionError::Unexpected(text), now);
                return;
            }
        };
        if let Some(message) = message {
            self.on_message(message, now);
        }
    }

    pub(crate) fn on_message(&mut self, message: ServerMessage, now: Duration) {
        match self.requests.on_message(message) {
            Answered::Request(number, result) => self.on_answer(number, result, now),
            Answered::Overdue(ServerMessage::Published(answer)) => {
                self.give_back_stream(answer.stream_id, now);
            }
            Answered::Overdue(ServerMessage::Subscribed(answer)) => {
                self.give_back_subscription(answer.subscriber_id, now);
            }
            Answered::Overdue(_) | Answered::Nothing => {}
            Answered::Event(ServerMessage::Disconnected(message)) => {
                self.on_disconnected(message.reason, now);
            }
            Answered::Event(message) => {
                // Before the welcome nothing is known that an event could be about.
                if self.is_up {
                    self.on_event(message, now);
                }
            }
        }
    }

    fn on_disconnected(&mut self, reason: SessionEnd, now: Duration) {
        match reason {
            SessionEnd::ServerShutdown => {
                self.push(Effect::CloseSocket);
                self.on_socket_lost("The server shuts down", now);
            }
            SessionEnd::ClientDisconnected => self.end("clientDisconnected"),
            SessionEnd::ForceDisconnected => self.end("forceDisconnected"),
            SessionEnd::NetworkDisconnected => self.end("networkDisconnected"),
        }
    }

    fn on_answer(
        &mut self,
        number: Number,
        result: Result<ServerMessage, SessionError>,
        now: Duration,
    ) {
        let Some(asked) = self.asked.remove(&number) else {
            return;
        };
        match (asked, result) {
            (Asked::Hello, Ok(ServerMessage::Welcome(welcome))) => self.on_welcome(&welcome, now),
            (Asked::Hello, Ok(_)) => self.on_refused(SessionError::WrongAnswer, now),
            (Asked::Hello, Err(error)) => self.on_refused(error, now),
            (Asked::Publish(id), result) => {
                let answer = result.and_then(|message| match message {
                    ServerMessage::Published(answer) => Ok(answer),
                    _ => Err(SessionError::WrongAnswer),
                });
                self.on_published(id, answer, now);
            }
            (Asked::Subscribe(id), result) => {
                let answer = result.and_then(|message| match message {
                    ServerMessage::Subscribed(answer) => Ok(answer),
                    _ => Err(SessionError::WrongAnswer),
                });
                self.on_subscribed(id, answer, now);
            }
            (Asked::Moderation, result) => self.tell(Event::Moderated(result.map(|_| ()))),
            (Asked::ByApplication | Asked::Signal(_), Err(error)) => self.complain(error, now),
            _ => {}
        }
    }

    fn on_refused(&mut self, error: SessionError, now: Duration) {
        self.push(Effect::CloseSocket);
        self.forget(|asked| matches!(asked, Asked::Hello));
        let code = error.code().to_owned();
        let is_unknown = code == RESUME_UNKNOWN;
        if is_unknown {
            self.resume = None;
        }
        let is_end = if is_unknown {
            self.recovery.on_lost(self.random, now)
        } else {
            self.recovery.on_refused(&code, self.random, now)
        };
        if is_end {
            self.tell(Event::Failed(error));
            self.end("networkDisconnected");
        }
    }

    // --- the welcome -----------------------------------------------------------------------------

    fn on_welcome(&mut self, welcome: &Welcome, now: Duration) {
        if let Err(error) = self.judge(welcome) {
            self.tell(Event::Failed(error));
            self.is_up = true;
            self.say_goodbye(now);
            self.end("trustRefused");
            return;
        }
        let is_first = !std::mem::replace(&mut self.has_joined, true);
        let connection_id = &welcome.connection.connection_id;
        let is_other = self.connection_id != *connection_id;
        connection_id.clone_into(&mut self.connection_id);
        self.own_connection = Some(welcome.connection.clone());
        self.capabilities = Some(welcome.capabilities.clone());
        self.resume = Some(welcome.resume.clone());
        (self.received, self.is_up) = (0, true);
        self.recovery
            .on_welcome(welcome.keep_alive_ms, welcome.grace_ms, now);
        if self.join_encryption(welcome).is_err() {
            // Who was never connected is not disconnected.
            self.has_joined = !is_first;
            self.tell(Event::Failed(SessionError::EncryptionFailed));
            self.end("encryptionFailed");
            return;
        }
        self.announce(now);
        if is_first {
            self.tell(Event::Connected);
        } else if is_other {
            self.rejoin(now);
        } else {
            self.send_again(welcome.last_request, now);
        }
        self.take_snapshot(welcome, now);
        for id in self.live_publications() {
            if self.encryption.is_some() {
                self.declare(id, now);
            }
        }
        if !is_first {
            self.tell(Event::Reconnected {
                is_new_connection: is_other,
            });
        }
        self.negotiate_next(now);
        self.subscribe_waiting(now);
    }

    /// Before anything is made or sent: is this the session that was asked for?
    fn judge(&mut self, welcome: &Welcome) -> Result<(), SessionError> {
        let described = &welcome.session;
        if described.session_id != self.credentials.session_id {
            let text = "The server says that this client is in another session";
            self.trust.refuse(SessionError::Unexpected(text));
        }
        let (e2ee, media_mode) = (described.e2ee.as_ref(), described.media_mode.as_ref());
        let state = self.trust.on_welcome(e2ee, media_mode);
        if let Some(refusal) = self.trust.refusal() {
            return Err(refusal.clone());
        }
        match state {
            SessionState::Keyed if self.key.is_some() || self.encryption.is_some() => Ok(()),
            SessionState::None if self.trust.is_relayed() => {
                let text = "Relayed sessions are not supported by this client";
                Err(SessionError::InvalidParameter(text))
            }
            SessionState::None if self.encryption.is_none() => Ok(()),
            _ => Err(SessionError::SecretMissing),
        }
    }

    fn join_encryption(&mut self, welcome: &Welcome) -> Result<(), SessionError> {
        if let Some(key) = self.key.take() {
            self.encryption.get_or_insert_with(|| Encryption::new(key));
        }
        let Some(encryption) = self.encryption.as_mut() else {
            return Ok(());
        };
        let rows = welcome.connections.iter();
        let present = rows.map(|row| row.connection_id.clone()).collect();
        let hints = welcome.hints.clone().unwrap_or_default();
        encryption
            .join(&self.connection_id, &hints, &present)
            .map_err(|_| SessionError::EncryptionFailed)
    }

    /// The server knows the client no more, as after its restart: all is asked for again.
    fn rejoin(&mut self, now: Duration) {
        self.requests.on_ended();
        let asked = std::mem::take(&mut self.asked);
        if asked
            .values()
            .any(|asked| matches!(asked, Asked::Moderation))
        {
            self.tell(Event::Moderated(Err(SessionError::NotConnected)));
        }
        self.on_transport_lost(Direction::Uplink, now);
        self.on_transport_lost(Direction::Downlink, now);
    }

    /// The same connection goes on: what did not arrive is sent again.
    fn send_again(&mut self, last_request: Option<u64>, now: Duration) {
        self.forget(|asked| matches!(asked, Asked::Passing));
        for (number, message) in self.requests.on_resumed(last_request) {
            let message = match self.asked.get(&number) {
                Some(Asked::Signal(content)) => {
                    let content = content.clone();
                    self.signal_message(&content).unwrap_or(message)
                }
                _ => message,
            };
            self.requests.replace(number, message.clone());
            if let Err(error) = self.transmit(number, message) {
                self.requests.forget(number);
                self.on_answer(number, Err(error), now);
            }
        }
    }
}
