//! What happens in a session, as its program is told: on the thread of its callbacks.

use std::sync::Arc;

use sealroute_client::{ConnectionInfo, Event, SessionError, StreamInfo};

use crate::border::number;
use crate::callbacks::SessionCallbacks;
use crate::handles::{Handle, Lent};
use crate::log;
use crate::publisher::Publisher;
use crate::session::Session;
use crate::stream::{Connection, Stream, c_text};
use crate::subscriber::Subscriber;

impl Session {
    pub(crate) fn on_event(self: &Arc<Self>, event: Event) {
        log::log(log::INFO, event.name());
        match event {
            Event::Connected => self.on_connected(),
            Event::Disconnected { .. } => self.on_disconnected(),
            Event::Error(error) => self.on_error(&error),
            Event::Failed(error) => self.on_failed(&error),
            Event::Reconnecting => self.call(SessionCallbacks::on_reconnection_started),
            Event::Reconnected { .. } => {
                self.learn_own();
                self.call(SessionCallbacks::on_reconnected);
            }
            Event::ConnectionCreated(info) => self.on_connection_created(&info),
            Event::ConnectionDestroyed { connection_id } => {
                self.on_connection_dropped(&connection_id);
            }
            Event::StreamReceived(info) => self.on_stream_received(&info),
            Event::StreamDropped { stream_id } => self.on_stream_dropped(&stream_id),
            Event::StreamChanged(info) => self.on_stream_changed(&info),
            Event::Signal {
                from, kind, data, ..
            } => self.on_signal(from.as_deref(), &kind, &data),
            Event::NotEncrypted { .. } => {
                log::error("The server drops what is sent: it says that it is not encrypted");
            }
            event => self.on_media_event(&event),
        }
    }

    fn on_media_event(&self, event: &Event) {
        match event {
            Event::Published {
                publication,
                stream_id,
            } => {
                let publisher = self.lock().publishers.get(publication).cloned();
                if let Some(publisher) = publisher.filter(|one| !one.is_deleted()) {
                    let info = StreamInfo {
                        stream_id: stream_id.clone(),
                        name: Some(publisher.settings.name.clone()),
                        has_audio: Some(publisher.has_audio()),
                        has_video: Some(publisher.has_video()),
                        ..StreamInfo::default()
                    };
                    publisher.on_created(Arc::new(Stream::new(&info, self.own())));
                }
            }
            Event::PublicationError { publication, error } => {
                let publisher = self.lock().publishers.get(publication).cloned();
                if let Some(publisher) = publisher {
                    publisher.on_error(error);
                }
            }
            Event::PublicationEnded { publication } => {
                let publisher = self.lock().publishers.remove(publication);
                if let Some(publisher) = publisher {
                    publisher.on_ended();
                }
            }
            event => self.on_subscription_event(event),
        }
    }

    fn on_subscription_event(&self, event: &Event) {
        let (Event::SubscriptionConnected { subscription }
        | Event::SubscriptionEnded { subscription }
        | Event::SubscriptionError { subscription, .. }
        | Event::EncryptionSecretMismatch { subscription }
        | Event::EncryptionSecretMatch { subscription }
        | Event::VideoDisabled { subscription, .. }) = event
        else {
            return;
        };
        let subscriber = self.lock().subscribers.get(subscription).cloned();
        let Some(subscriber) = subscriber.filter(|one| !one.is_deleted()) else {
            return;
        };
        match event {
            Event::SubscriptionConnected { .. } => subscriber.on_connected(),
            Event::SubscriptionError { error, .. } => subscriber.on_error(error),
            Event::EncryptionSecretMismatch { .. } => {
                subscriber.on_error(&SessionError::SecretMismatch);
            }
            Event::EncryptionSecretMatch { .. } => subscriber.on_match(),
            Event::VideoDisabled { is_disabled, .. } => subscriber.on_video(*is_disabled),
            _ => {
                self.lock().subscribers.remove(subscription);
                subscriber.on_ended();
            }
        }
    }

    /// Nothing of a deleted session is called.
    fn call<T>(&self, work: impl FnOnce(&SessionCallbacks, Handle) -> T) {
        if let Some(_entered) = self.gate.enter() {
            work(&self.callbacks, self.handle());
        }
    }

    // --- the session ------------------------------------------------------------------------------

    fn own(&self) -> Arc<Connection> {
        let own = self.lock().own.as_ref().map(|(own, _)| Arc::clone(own));
        own.unwrap_or_else(|| Arc::new(Connection::named("", self.key())))
    }

    fn learn_own(&self) {
        let Some((info, capabilities)) = self
            .client()
            .and_then(|client| client.own_connection())
            .ok()
        else {
            return;
        };
        let own = Arc::new(Connection::new(&info, self.key()));
        let lent = Lent::new(Arc::clone(&own));
        let before = {
            let mut state = self.lock();
            state.capabilities = Some(capabilities);
            state.is_connected = true;
            state.own.replace((own, lent))
        };
        drop(before);
    }

    fn on_connected(&self) {
        self.learn_own();
        self.call(SessionCallbacks::on_connected);
    }

    fn on_disconnected(&self) {
        let (publishers, subscribers) = self.leave(SessionError::NotConnected);
        for publisher in publishers {
            publisher.on_ended();
        }
        for subscriber in subscribers {
            subscriber.on_ended();
        }
        self.call(SessionCallbacks::on_disconnected);
    }

    fn leave(&self, refusal: SessionError) -> (Vec<Arc<Publisher>>, Vec<Arc<Subscriber>>) {
        let mut state = self.lock();
        state.is_connected = false;
        state.refusal = Some(refusal);
        let streams = std::mem::take(&mut state.streams);
        let connections = std::mem::take(&mut state.connections);
        let (own, publishers) = (state.own.take(), std::mem::take(&mut state.publishers));
        let subscribers = std::mem::take(&mut state.subscribers);
        drop(state);
        drop((streams, connections, own));
        (
            publishers.into_values().collect(),
            subscribers.into_values().collect(),
        )
    }

    fn on_error(&self, error: &SessionError) {
        let text = c_text(&error.to_string());
        self.call(|call, own| call.on_error(own, text.as_ptr(), number(error)));
    }

    fn on_failed(&self, error: &SessionError) {
        {
            let mut state = self.lock();
            if !state.is_connected {
                // Nothing was joined, and nothing will be: its program may connect again, also
                // from the callback that hears of it.
                state.refusal = Some(error.clone());
            }
        }
        self.on_error(error);
    }

    // --- the others ---------------------------------------------------------------------------------

    fn on_connection_created(&self, info: &ConnectionInfo) {
        let connection = Arc::new(Connection::new(info, self.key()));
        let key = connection.key.clone();
        self.lock().connections.insert(key, Arc::clone(&connection));
        if !self.settings.is_quiet_of_connections {
            let lent = Lent::new(connection);
            self.call(|call, own| call.on_connection_created(own, lent.handle()));
        }
    }

    fn on_connection_dropped(&self, connection_id: &str) {
        let connection = self.lock().connections.remove(connection_id);
        if let Some(connection) = connection.filter(|_| !self.settings.is_quiet_of_connections) {
            let lent = Lent::new(connection);
            self.call(|call, own| call.on_connection_dropped(own, lent.handle()));
        }
    }

    fn connection(&self, connection_id: &str) -> Arc<Connection> {
        let known = self.lock().connections.get(connection_id).cloned();
        let own = self.own();
        known
            .or_else(|| (own.key == connection_id).then_some(own))
            .unwrap_or_else(|| Arc::new(Connection::named(connection_id, self.key())))
    }

    fn on_stream_received(&self, info: &StreamInfo) {
        let stream = Arc::new(Stream::new(info, self.connection(&info.connection_id)));
        let key = stream.key.clone();
        let before = self.lock().streams.insert(key, Arc::clone(&stream));
        drop(before);
        let lent = Lent::new(stream);
        self.call(|call, own| call.on_stream_received(own, lent.handle()));
    }

    fn on_stream_dropped(&self, stream_id: &str) {
        let stream = self.lock().streams.remove(stream_id);
        if let Some(stream) = stream {
            let lent = Lent::new(stream);
            self.call(|call, own| call.on_stream_dropped(own, lent.handle()));
        }
    }

    fn on_stream_changed(&self, info: &StreamInfo) {
        let stream = Arc::new(Stream::new(info, self.connection(&info.connection_id)));
        let key = stream.key.clone();
        let before = self.lock().streams.insert(key, Arc::clone(&stream));
        let Some(before) = before else {
            return;
        };
        let lent = Lent::new(Arc::clone(&stream));
        let at = lent.handle();
        if before.has_audio() != stream.has_audio() {
            let is_on = stream.has_audio().into();
            self.call(|call, own| call.on_stream_has_audio_changed(own, at, is_on));
        }
        if before.has_video() != stream.has_video() {
            let is_on = stream.has_video().into();
            self.call(|call, own| call.on_stream_has_video_changed(own, at, is_on));
        }
        if before.size() != stream.size() {
            let (width, height) = stream.size();
            self.call(|call, own| call.on_stream_video_dimensions_changed(own, at, width, height));
        }
    }

    fn on_signal(&self, from: Option<&str>, kind: &str, data: &str) {
        let lent = from.map(|from| Lent::new(self.connection(from)));
        let sender = lent.as_ref().map_or(std::ptr::null_mut(), Lent::handle);
        let (kind, data) = (c_text(kind), c_text(data));
        self.call(|call, own| call.on_signal_received(own, kind.as_ptr(), data.as_ptr(), sender));
    }
}
