//! One session of a program, through all its connections.

use std::collections::HashMap;
use std::ffi::CString;
use std::sync::{Arc, Mutex, MutexGuard, OnceLock, PoisonError, Weak};

use sealroute_client::{
    Capabilities, Client, Codec, EncryptionSecret, Event, Observer, PublicationId, PublishOptions,
    SessionError, Settings, SubscriptionId, Track,
};

use crate::callbacks::SessionCallbacks;
use crate::dispatcher::Dispatcher;
use crate::gate::{self, Gate};
use crate::handles::{self, Handle, Lent};
use crate::publisher::{Publisher, Source};
use crate::receiving::Receiving;
use crate::settings::SessionSettings;
use crate::stream::{Connection, Stream, c_text};
use crate::subscriber::Subscriber;

/// What a program says of the server's address for all sessions.
static SERVER_URL: Mutex<Option<String>> = Mutex::new(None);
const URL_VARIABLE: &str = "SEALROUTE_URL";
const BUSY: SessionError = SessionError::InvalidParameter("The session is connected already");
const TAKEN: SessionError =
    SessionError::InvalidParameter("That publisher or subscriber is part of a session already");

pub(crate) fn set_server_url(url: &str) {
    let mut present = SERVER_URL.lock().unwrap_or_else(PoisonError::into_inner);
    *present = Some(url.to_owned());
}

#[derive(Default)]
pub(crate) struct State {
    client: Option<Arc<Client>>,
    /// Which of its clients the events are of.
    attempt: u64,
    secret: Option<EncryptionSecret>,
    pub(crate) is_connected: bool,
    /// Why it is not.
    pub(crate) refusal: Option<SessionError>,
    pub(crate) own: Option<(Arc<Connection>, Lent)>,
    pub(crate) capabilities: Option<Capabilities>,
    pub(crate) connections: HashMap<String, Arc<Connection>>,
    pub(crate) streams: HashMap<String, Arc<Stream>>,
    pub(crate) publishers: HashMap<PublicationId, Arc<Publisher>>,
    pub(crate) subscribers: HashMap<SubscriptionId, Arc<Subscriber>>,
}

/// Its client, and what was part of it.
type All = (
    Option<Arc<Client>>,
    Vec<Arc<Publisher>>,
    Vec<Arc<Subscriber>>,
);

pub(crate) struct Session {
    api_key: String,
    key: String,
    pub(crate) id: CString,
    pub(crate) callbacks: SessionCallbacks,
    pub(crate) settings: SessionSettings,
    pub(crate) gate: Gate,
    dispatcher: Dispatcher,
    handle: OnceLock<usize>,
    state: Mutex<State>,
}

/// The end of a client: it waits for its threads, which a callback must not.
fn retire(client: Option<Arc<Client>>) {
    let Some(client) = client else {
        return;
    };
    client.disconnect();
    if gate::is_calling() {
        std::thread::spawn(move || drop(client));
    }
}

impl Session {
    pub(crate) fn begin(
        api_key: &str,
        id: &str,
        callbacks: SessionCallbacks,
        settings: SessionSettings,
    ) -> Handle {
        let session = Arc::new(Self {
            api_key: api_key.to_owned(),
            key: id.to_owned(),
            id: c_text(id),
            callbacks,
            settings,
            gate: Gate::new(),
            dispatcher: Dispatcher::new(),
            handle: OnceLock::new(),
            state: Mutex::default(),
        });
        let handle = handles::insert(Arc::clone(&session));
        let _ = session.handle.set(handle as usize);
        handle
    }

    pub(crate) fn lock(&self) -> MutexGuard<'_, State> {
        self.state.lock().unwrap_or_else(PoisonError::into_inner)
    }

    pub(crate) fn handle(&self) -> Handle {
        self.handle
            .get()
            .map_or(std::ptr::null_mut(), |at| *at as Handle)
    }

    pub(crate) fn key(&self) -> &str {
        &self.key
    }

    /// To be called on the thread of this session's callbacks.
    pub(crate) fn ask(&self, job: impl FnOnce() + Send + 'static) {
        self.dispatcher.ask(job);
    }

    pub(crate) fn client(&self) -> Result<Arc<Client>, SessionError> {
        self.lock().client.clone().ok_or(SessionError::NotConnected)
    }

    // --- joining and leaving ---------------------------------------------------------------------

    fn url(&self) -> Option<String> {
        let of_all = || {
            SERVER_URL
                .lock()
                .unwrap_or_else(PoisonError::into_inner)
                .clone()
        };
        let own = self.settings.url.clone();
        own.or_else(of_all)
            .or_else(|| std::env::var(URL_VARIABLE).ok())
    }

    pub(crate) fn connect(self: &Arc<Self>, token: &str) -> Result<(), SessionError> {
        let no_server = "Nobody said where the server is: call otc_set_server_url";
        let url = self.url().ok_or(SessionError::ConnectFailed(no_server))?;
        let before = {
            let mut state = self.lock();
            if state.client.is_some() && state.refusal.is_none() {
                return Err(BUSY);
            }
            state.attempt += 1;
            let observer = Watching {
                session: Arc::downgrade(self),
                attempt: state.attempt,
            };
            let settings = Settings {
                url,
                api_key: self.api_key.clone(),
                session_id: self.key.clone(),
                token: token.to_owned(),
                secret: state.secret.clone(),
                ca_file: self.settings.ca_file.clone(),
                codecs: Some(vec![Codec::Opus, Codec::Vp8]),
            };
            let client = Client::connect(settings, Box::new(observer))?;
            state.refusal = None;
            state.client.replace(Arc::new(client))
        };
        retire(before);
        Ok(())
    }

    pub(crate) fn disconnect(&self) -> Result<(), SessionError> {
        self.client()?.disconnect();
        Ok(())
    }

    pub(crate) fn set_secret(&self, text: &str, immediate: bool) -> Result<(), SessionError> {
        let made = || EncryptionSecret::new(text).map_err(|_| SessionError::InvalidSecret);
        let secret = made()?;
        let mut state = self.lock();
        state.secret = Some(secret.clone());
        if let Some(client) = &state.client {
            client.set_encryption_secret(secret, immediate);
        }
        Ok(())
    }

    /// Deleted. Nothing of it is called any more when this returns.
    pub(crate) fn end(&self) {
        let (client, publishers, subscribers) = self.take_all();
        for publisher in publishers {
            publisher.on_ended();
        }
        for subscriber in subscribers {
            subscriber.on_ended();
        }
        self.gate.close();
        retire(client);
    }

    fn take_all(&self) -> All {
        let mut state = self.lock();
        // What still comes is of no attempt.
        state.attempt += 1;
        state.is_connected = false;
        let client = state.client.take();
        let publishers = std::mem::take(&mut state.publishers);
        let subscribers = std::mem::take(&mut state.subscribers);
        (
            client,
            publishers.into_values().collect(),
            subscribers.into_values().collect(),
        )
    }

    // --- publishing and subscribing ---------------------------------------------------------------

    /// Errors that only the publisher is told of are no errors of the call.
    pub(crate) fn publish(
        self: &Arc<Self>,
        publisher: &Arc<Publisher>,
    ) -> Result<(), SessionError> {
        if !publisher.join(self) {
            return Err(TAKEN);
        }
        let begun = self.begin_publishing(publisher);
        let Err(error) = begun else {
            return Ok(());
        };
        publisher.on_ended();
        match error {
            SessionError::SecretMissing | SessionError::ConnectFailed(_) => {
                let publisher = Arc::clone(publisher);
                self.ask(move || publisher.on_error(&error));
                Ok(())
            }
            error => Err(error),
        }
    }

    fn begin_publishing(&self, publisher: &Arc<Publisher>) -> Result<(), SessionError> {
        let (audio, has_video) = (publisher.has_audio(), publisher.has_video());
        let options = PublishOptions {
            name: Some(publisher.settings.name.clone()),
            audio,
            video: has_video.then_some(Codec::Vp8),
            ..PublishOptions::default()
        };
        // The network thread answers at once, and calls nothing of the program.
        let mut state = self.lock();
        if state.refusal == Some(SessionError::SecretMissing) {
            return Err(SessionError::SecretMissing);
        }
        let client = state.client.clone().ok_or(SessionError::NotConnected)?;
        let is_camera = publisher.settings.has_video && !has_video;
        if is_camera || (!audio && !has_video) {
            return Err(SessionError::Refused {
                code: "no_source".into(),
                number: 1500,
            });
        }
        let source = Source(Arc::downgrade(publisher));
        let publication = client.publish(options, Box::new(source))?;
        publisher.bind(publication);
        state.publishers.insert(publication, Arc::clone(publisher));
        for track in [Track::Audio, Track::Video] {
            if !publisher.sends(track) {
                client.set_sending(publication, track, false)?;
            }
        }
        Ok(())
    }

    pub(crate) fn unpublish(&self, publisher: &Arc<Publisher>) -> Result<(), SessionError> {
        let publication = publisher.publication().ok_or(SessionError::NotConnected)?;
        // Its capturer has stopped when this returns; the rest is told when it is over.
        self.client()?.unpublish(publication)?;
        publisher.stop();
        Ok(())
    }

    pub(crate) fn subscribe(
        self: &Arc<Self>,
        subscriber: &Arc<Subscriber>,
    ) -> Result<(), SessionError> {
        if !subscriber.join(self) {
            return Err(TAKEN);
        }
        let begun = self.begin_subscribing(subscriber);
        let Err(error) = begun else {
            return Ok(());
        };
        subscriber.on_ended();
        if error == SessionError::SecretMissing {
            let subscriber = Arc::clone(subscriber);
            self.ask(move || subscriber.on_error(&error));
            return Ok(());
        }
        Err(error)
    }

    fn begin_subscribing(&self, subscriber: &Arc<Subscriber>) -> Result<(), SessionError> {
        let mut state = self.lock();
        if state.refusal == Some(SessionError::SecretMissing) {
            return Err(SessionError::SecretMissing);
        }
        let client = state.client.clone().ok_or(SessionError::NotConnected)?;
        let receiving = Receiving::new(Arc::downgrade(subscriber));
        let subscription = client.subscribe(
            &subscriber.stream.key,
            subscriber.options(),
            Box::new(receiving),
        )?;
        subscriber.bind(subscription);
        state
            .subscribers
            .insert(subscription, Arc::clone(subscriber));
        Ok(())
    }

    pub(crate) fn unsubscribe(&self, subscriber: &Arc<Subscriber>) -> Result<(), SessionError> {
        let subscription = subscriber
            .subscription()
            .ok_or(SessionError::NotConnected)?;
        self.lock().subscribers.remove(&subscription);
        let ended = self
            .client()
            .and_then(|client| client.unsubscribe(subscription));
        subscriber.on_ended();
        ended
    }
}

/// Between the client and a session.
struct Watching {
    session: Weak<Session>,
    attempt: u64,
}

impl Observer for Watching {
    fn on_event(&mut self, event: &Event) {
        let Some(session) = self.session.upgrade() else {
            return;
        };
        let (this, attempt, event) = (Arc::clone(&session), self.attempt, event.clone());
        session.ask(move || {
            if this.lock().attempt == attempt {
                this.on_event(event);
            }
        });
    }
}
