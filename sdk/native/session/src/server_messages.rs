//! What the server tells: each event's effect on the session.

use std::time::Duration;

use sealroute_e2ee::Track as Kind;
use sealroute_protocol::ServerMessage;
use sealroute_protocol::messages::{
    ConnectionInfo, MuteForced, NotEncrypted, StreamInfo, StreamPropertyChanged, StreamState,
    SubscribedLayersChanged, Welcome,
};

use crate::{Effect, Event, Session, SessionError};

impl Session {
    /// In the order in which they came.
    pub(crate) fn on_event(&mut self, message: ServerMessage, now: Duration) {
        match message {
            ServerMessage::ConnectionCreated(message) => self.on_connection(&message.connection),
            ServerMessage::ConnectionDestroyed(message) => {
                self.on_connection_destroyed(message.connection_id, now);
            }
            ServerMessage::StreamCreated(message) => self.on_stream_created(message.stream, now),
            ServerMessage::StreamDestroyed(message) => self.on_stream_destroyed(message.stream_id),
            ServerMessage::StreamPropertyChanged(message) => self.on_stream_changed(&message),
            ServerMessage::DownlinkOffer(offer) => self.on_offer(offer, now),
            ServerMessage::SubscriberConnected(message) => {
                self.on_subscriber_connected(&message.subscriber_id);
            }
            ServerMessage::StreamStateChanged(message) => {
                let is_paused = message.state == StreamState::Paused;
                self.on_stream_state(&message.subscriber_id, is_paused);
            }
            ServerMessage::SubscribedLayersChanged(message) => self.on_demand(&message),
            ServerMessage::SignalReceived(message) => self.on_signal(message, now),
            ServerMessage::MuteForced(message) => self.on_mute_forced(&message),
            ServerMessage::NotEncrypted(message) => self.on_not_encrypted(&message, now),
            ServerMessage::HintAnnounced(message) => {
                self.on_hint(&message.connection_id, message.hint, now);
            }
            ServerMessage::TransportLost(message) => self.on_transport_lost(message.direction, now),
            ServerMessage::ArchiveStarted(_)
            | ServerMessage::ArchiveStopped(_)
            | ServerMessage::CaptionReceived(_)
                if self.encryption.is_some() =>
            {
                let text = "The server spoke of an archive or captions of an encrypted session";
                self.complain(SessionError::Unexpected(text), now);
            }
            // Answers never come here; the rest is of relayed sessions, or nothing to this client.
            _ => {}
        }
    }

    fn on_connection(&mut self, connection: &ConnectionInfo) {
        if let Some(added) = self.directory.add_connection(connection) {
            self.tell(Event::ConnectionCreated(added));
        }
    }

    fn on_stream_changed(&mut self, message: &StreamPropertyChanged) {
        if self.directory.change_stream(message)
            && let Some(stream) = self.directory.stream(&message.stream_id)
        {
            self.tell(Event::StreamChanged(stream.clone()));
        }
    }

    fn on_connection_destroyed(&mut self, connection_id: String, now: Duration) {
        if !self.directory.remove_connection(&connection_id) {
            return;
        }
        if let Some(encryption) = self.encryption.as_mut() {
            encryption.on_left(&connection_id);
        }
        self.tell(Event::ConnectionDestroyed { connection_id });
        self.switch_when_due(now);
    }

    fn on_hint(&mut self, connection_id: &str, hint: u64, now: Duration) {
        let Some(encryption) = self.encryption.as_mut() else {
            return;
        };
        encryption.on_hint(connection_id, hint);
        let is_held = encryption.holds(hint);
        self.switch_when_due(now);
        if is_held {
            self.probe_streams_of(connection_id, now);
        }
    }

    fn switch_when_due(&mut self, now: Duration) {
        if self
            .encryption
            .as_mut()
            .is_some_and(|encryption| encryption.poll(now))
        {
            self.move_senders(false, now);
        }
    }

    fn on_stream_created(&mut self, stream: StreamInfo, now: Duration) {
        if stream.connection_id == self.connection_id {
            // An own one: its publication says when it is there.
            return;
        }
        if self.publishing.by_stream(&stream.stream_id).is_some() {
            // Keys, and what others remember of a stream, go by its id.
            let text = "The server gave two streams one id";
            self.complain(SessionError::Unexpected(text), now);
        } else if self.directory.add_stream(&stream) {
            self.tell(Event::StreamReceived(stream));
        }
    }

    fn on_stream_destroyed(&mut self, stream_id: String) {
        self.end_subscriptions_to(&stream_id);
        if self.directory.remove_stream(&stream_id) {
            self.tell(Event::StreamDropped { stream_id });
        } else if let Some(id) = self.publishing.by_stream(&stream_id) {
            self.end_publication(id);
        }
    }

    fn on_demand(&mut self, message: &SubscribedLayersChanged) {
        let Some(publication) = self.publishing.by_stream(&message.stream_id) else {
            return;
        };
        let is_wanted = message.subscribed;
        let own = self.publishing.own.get_mut(&publication);
        let track = own.and_then(|own| own.track(Kind::Video));
        let Some(track) = track.filter(|track| track.mid == message.mid) else {
            return;
        };
        if std::mem::replace(&mut track.is_wanted, is_wanted) != is_wanted {
            self.tell(Event::DemandChanged {
                publication,
                is_wanted,
            });
            if is_wanted {
                self.push(Effect::MakeKeyFrame(publication));
            }
        }
    }

    fn on_mute_forced(&mut self, message: &MuteForced) {
        let is_active = message.active;
        let Some(stream_id) = &message.stream_id else {
            // Of all: the server names each stream that is muted, now and later.
            self.tell(Event::MuteForced {
                publication: None,
                is_active,
            });
            return;
        };
        let publication = self.publishing.by_stream(stream_id);
        let own = publication.and_then(|id| self.publishing.own.get_mut(&id));
        if let Some(own) = own.filter(|_| is_active) {
            own.mute(Kind::Audio, true);
        }
        if publication.is_some() {
            self.tell(Event::MuteForced {
                publication,
                is_active,
            });
        }
    }

    fn on_not_encrypted(&mut self, message: &NotEncrypted, now: Duration) {
        let Some(publication) = self.publishing.by_stream(&message.stream_id) else {
            return;
        };
        if let Some(own) = self.publishing.own.get_mut(&publication) {
            own.trust.on_guard(now);
        }
        self.tell(Event::NotEncrypted { publication });
        self.tell_publication_trust(publication, now);
    }

    /// Tells as events what changed since the last look at the session.
    pub(crate) fn take_snapshot(&mut self, welcome: &Welcome, now: Duration) {
        let (streams, connections) = self
            .directory
            .missing_from(&welcome.streams, &welcome.connections);
        for stream_id in streams {
            self.on_stream_destroyed(stream_id);
        }
        for connection_id in connections {
            self.on_connection_destroyed(connection_id, now);
        }
        for connection in &welcome.connections {
            self.on_connection(connection);
        }
        for stream in &welcome.streams {
            self.on_stream_created(stream.clone(), now);
        }
        if welcome.mute_forced == Some(true) {
            self.tell(Event::MuteForced {
                publication: None,
                is_active: true,
            });
        }
    }
}
