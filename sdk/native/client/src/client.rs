//! What an application calls.

use std::sync::Arc;
use std::sync::atomic::AtomicUsize;
use std::sync::mpsc::{self, Sender};
use std::thread::JoinHandle;

use mio::{Poll, Waker};
use sealroute_e2ee::{Codec, EncryptionSecret, Track};
use sealroute_protocol::messages::{Capabilities, CodecName, ConnectionInfo};
use sealroute_rules::is_id;
use sealroute_session::{
    ClientInfo, Credentials, PublicationId, PublishOptions, Session, SessionError,
    SubscribeOptions, SubscriptionId,
};

use crate::address::Address;
use crate::callbacks::{self, Callbacks};
use crate::command::{Command, Commands, Reply};
use crate::deriver::{self, Wanted};
use crate::network::{Network, Parts, WAKER};
use crate::opening::Target;
use crate::settings::Settings;
use crate::traits::{Capturer, Observer, Renderer};

const NO_THREAD: SessionError = SessionError::ConnectFailed("The system has no room for a client");
const CODECS: [(Codec, CodecName); 5] = [
    (Codec::Opus, CodecName::Opus),
    (Codec::Vp8, CodecName::Vp8),
    (Codec::Vp9, CodecName::Vp9),
    (Codec::H264, CodecName::H264),
    (Codec::Av1, CodecName::Av1),
];

/// A client of one session. Every call may come from any thread, also from callbacks.
pub struct Client {
    commands: Commands,
    secrets: Sender<Wanted>,
    threads: Vec<JoinHandle<()>>,
}

impl Client {
    /// Begins to join. `Connected` follows, or `Error`. Errors: what can be known before any use of
    /// the network.
    pub fn connect(settings: Settings, observer: Box<dyn Observer>) -> Result<Self, SessionError> {
        let address = Address::of_url(&settings.url)?;
        if !is_id(&settings.session_id) {
            return Err(SessionError::InvalidParameter("That is no id of a session"));
        }
        let poll = Poll::new().map_err(|_| NO_THREAD)?;
        let waker = Waker::new(poll.registry(), WAKER).map_err(|_| NO_THREAD)?;
        let (sender, inbox) = mpsc::channel();
        let commands = Commands {
            sender,
            waker: Arc::new(waker),
        };
        let mut client = Self {
            commands: commands.clone(),
            secrets: mpsc::channel().0,
            threads: Vec::new(),
        };
        client.derive_keys(settings.session_id.clone())?;
        let callbacks = client.call_back(observer)?;
        let (target, ca_file) = (address, settings.ca_file);
        let target = Target {
            address: target,
            ca_file,
        };
        let credentials = Credentials {
            api_key: settings.api_key,
            session_id: settings.session_id,
            token: settings.token,
        };
        let session = Session::new(credentials, info(settings.codecs.as_deref()), random()?);
        let parts = Parts {
            session,
            poll,
            commands,
            inbox,
            callbacks,
            target,
        };
        let begins = settings.secret.is_none();
        client.spawn("sealroute-network", move || Network::new(parts).run(begins))?;
        if let Some(secret) = settings.secret {
            client.want(secret, false);
        }
        Ok(client)
    }

    fn derive_keys(&mut self, session_id: String) -> Result<(), SessionError> {
        let (sender, wanted) = mpsc::channel();
        self.secrets = sender;
        let commands = self.commands.clone();
        let derive = move || deriver::run(&wanted, &session_id, &commands);
        // It ends with this object, and is not waited for: a key takes its time.
        let named = std::thread::Builder::new().name("sealroute-keys".into());
        named.spawn(derive).map(|_| ()).map_err(|_| NO_THREAD)
    }

    fn call_back(&mut self, mut observer: Box<dyn Observer>) -> Result<Callbacks, SessionError> {
        let (sender, receiver) = mpsc::channel();
        let waiting = Arc::new(AtomicUsize::new(0));
        let seen = Arc::clone(&waiting);
        self.spawn("sealroute-callbacks", move || {
            callbacks::run(&receiver, &mut *observer, &seen);
        })?;
        Ok(Callbacks::new(sender, waiting))
    }

    fn spawn(
        &mut self,
        name: &str,
        work: impl FnOnce() + Send + 'static,
    ) -> Result<(), SessionError> {
        let named = std::thread::Builder::new().name(name.into());
        self.threads.push(named.spawn(work).map_err(|_| NO_THREAD)?);
        Ok(())
    }

    fn want(&self, secret: EncryptionSecret, immediate: bool) {
        let _ = self.secrets.send(Wanted { secret, immediate });
    }

    /// Asks the network thread, which answers at once and waits for nothing.
    fn ask<T>(&self, command: impl FnOnce(Reply<T>) -> Command) -> Result<T, SessionError> {
        let (reply, answer) = mpsc::sync_channel(1);
        if !self.commands.send(command(reply)) {
            return Err(SessionError::NotConnected);
        }
        answer.recv().unwrap_or(Err(SessionError::NotConnected))
    }

    /// Another secret: what is received opens with it as soon as its key is derived; what is sent
    /// follows when the others are ready, or in five seconds; with `immediate` at once, and older
    /// secrets open nothing any more.
    pub fn set_encryption_secret(&self, secret: EncryptionSecret, immediate: bool) {
        self.want(secret, immediate);
    }

    /// What members read to each other.
    pub fn verification_code(&self) -> Result<String, SessionError> {
        self.ask(|reply| Command::VerificationCode { reply })
    }

    /// This client, as the others know it; empty before it is connected.
    pub fn connection_id(&self) -> Result<String, SessionError> {
        self.ask(|reply| Command::ConnectionId { reply })
    }

    /// What the server says of this client, and what its token permits.
    pub fn own_connection(&self) -> Result<(ConnectionInfo, Capabilities), SessionError> {
        self.ask(|reply| Command::OwnConnection { reply })
    }

    /// A decoder cannot go on: the video of a subscription begins again, with a key frame.
    pub fn request_key_frame(&self, subscription: SubscriptionId) {
        self.commands
            .send(Command::RequestKeyFrame { subscription });
    }

    /// Begins to publish what the capturer makes.
    pub fn publish(
        &self,
        options: PublishOptions,
        capturer: Box<dyn Capturer>,
    ) -> Result<PublicationId, SessionError> {
        self.ask(|reply| Command::Publish {
            options,
            capturer,
            reply,
        })
    }

    /// Ends an own stream foreverybody.
    pub fn unpublish(&self, publication: PublicationId) -> Result<(), SessionError> {
        self.ask(|reply| Command::Unpublish { publication, reply })
    }

    /// Stops or resumes audio or video of an own stream.
    pub fn set_sending(
        &self,
        publication: PublicationId,
        track: Track,
        is_on: bool,
    ) -> Result<(), SessionError> {
        self.ask(|reply| Command::SetSending {
            publication,
            track,
            is_on,
            reply,
        })
    }

    /// Begins to receive a stream that was told of.
    pub fn subscribe(
        &self,
        stream_id: &str,
        options: SubscribeOptions,
        renderer: Box<dyn Renderer>,
    ) -> Result<SubscriptionId, SessionError> {
        let stream_id = stream_id.to_owned();
        self.ask(|reply| Command::Subscribe {
            stream_id,
            options,
            renderer,
            reply,
        })
    }

    /// Ends a subscription.
    pub fn unsubscribe(&self, subscription: SubscriptionId) -> Result<(), SessionError> {
        self.ask(|reply| Command::Unsubscribe {
            subscription,
            reply,
        })
    }

    /// What of a stream comes.
    pub fn set_subscribed(
        &self,
        subscription: SubscriptionId,
        options: SubscribeOptions,
    ) -> Result<(), SessionError> {
        self.ask(|reply| Command::SetSubscribed {
            subscription,
            options,
            reply,
        })
    }

    /// To everybody, or to one connection; encrypted in an encrypted session.
    pub fn signal(&self, to: Option<&str>, kind: &str, data: &str) -> Result<(), SessionError> {
        let (to, kind, data) = (to.map(str::to_owned), kind.to_owned(), data.to_owned());
        self.ask(|reply| Command::Signal {
            to,
            kind,
            data,
            reply,
        })
    }

    /// Leaves. Idempotent. `Disconnected` is the last event.
    pub fn disconnect(&self) {
        self.commands.send(Command::Disconnect);
    }
}

impl Drop for Client {
    /// Leaves, and waits until nothing is called back any more, unless a callback does it itself.
    fn drop(&mut self) {
        self.disconnect();
        let own = std::thread::current().id();
        let others = self
            .threads
            .drain(..)
            .filter(|thread| thread.thread().id() != own);
        for thread in others.rev() {
            // A callback that panicked has ended its thread; there is nothing to be done about it.
            let _ = thread.join();
        }
    }
}

fn info(received: Option<&[Codec]>) -> ClientInfo {
    let is_received = |codec| received.is_none_or(|some| some.contains(&codec));
    let known = CODECS.iter().filter(|(codec, _)| is_received(*codec));
    ClientInfo {
        name: "sealroute-native".into(),
        version: env!("CARGO_PKG_VERSION").into(),
        codecs: known.map(|(_, name)| *name).collect(),
    }
}

fn random() -> Result<u8, SessionError> {
    let mut byte = [0];
    getrandom::fill(&mut byte).map_err(|_| NO_THREAD)?;
    Ok(byte[0])
}
