//! What other threads ask of the network thread.

use std::sync::Arc;
use std::sync::atomic::AtomicUsize;
use std::sync::mpsc::{Sender, SyncSender};

use mio::Waker;
use sealroute_e2ee::{SessionKey, Track};
use sealroute_protocol::messages::{Capabilities, ConnectionInfo};
use sealroute_session::{
    PublicationId, PublishOptions, SessionError, SubscribeOptions, SubscriptionId,
};

use crate::opening::Opened;
use crate::traits::{Capturer, MediaFrame, Renderer};

pub(crate) type Reply<T> = SyncSender<Result<T, SessionError>>;

pub(crate) enum Command {
    /// The key of a secret; the first one begins the session.
    Key {
        key: SessionKey,
        immediate: bool,
    },
    /// The attempt of that number to open a WebSocket has ended.
    Socket {
        attempt: u64,
        opened: Box<Result<Opened, &'static str>>,
    },
    Publish {
        options: PublishOptions,
        capturer: Box<dyn Capturer>,
        reply: Reply<PublicationId>,
    },
    Unpublish {
        publication: PublicationId,
        reply: Reply<()>,
    },
    SetSending {
        publication: PublicationId,
        track: Track,
        is_on: bool,
        reply: Reply<()>,
    },
    Subscribe {
        stream_id: String,
        options: SubscribeOptions,
        renderer: Box<dyn Renderer>,
        reply: Reply<SubscriptionId>,
    },
    Unsubscribe {
        subscription: SubscriptionId,
        reply: Reply<()>,
    },
    SetSubscribed {
        subscription: SubscriptionId,
        options: SubscribeOptions,
        reply: Reply<()>,
    },
    Signal {
        to: Option<String>,
        kind: String,
        data: String,
        reply: Reply<()>,
    },
    Frame {
        publication: PublicationId,
        frame: MediaFrame,
        waiting: Arc<AtomicUsize>,
    },
    VerificationCode {
        reply: Reply<String>,
    },
    ConnectionId {
        reply: Reply<String>,
    },
    OwnConnection {
        reply: Reply<(ConnectionInfo, Capabilities)>,
    },
    RequestKeyFrame {
        subscription: SubscriptionId,
    },
    Disconnect,
}

/// The way to the network thread, from any other.
#[derive(Clone)]
pub(crate) struct Commands {
    pub(crate) sender: Sender<Command>,
    pub(crate) waker: Arc<Waker>,
}

impl Commands {
    /// False: the client has ended.
    pub(crate) fn send(&self, command: Command) -> bool {
        self.sender.send(command).is_ok() && self.waker.wake().is_ok()
    }
}
