//! What the control plane tells the worker: plain data, checked where it was taken.

use std::fmt;
use std::sync::mpsc::SyncSender;

use sealroute_forward::{
    Kid, LayerWish, MediaKind, PayloadAccess, PublisherHandle, SinkParameters, SourceParameters,
    SubscriberHandle, TransportHandle,
};
use sealroute_transport::SrtpProfile;

/// Names one session within the worker.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash, PartialOrd, Ord)]
pub struct RouterHandle(pub u64);

/// Seen from the client.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Direction {
    /// The client sends media.
    Uplink,
    /// The client receives media.
    Downlink,
}

/// What must never reach a log.
#[derive(Clone, PartialEq, Eq)]
pub struct Secret<T = Vec<u8>>(pub T);

impl<T> fmt::Debug for Secret<T> {
    fn fmt(&self, formatter: &mut fmt::Formatter<'_>) -> fmt::Result {
        formatter.write_str("Secret")
    }
}

/// Master keys and salts of a finished DTLS handshake.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct SrtpSecrets {
    /// Negotiated by DTLS.
    pub profile: SrtpProfile,
    /// Opens what the client sends.
    pub receive_key: Secret,
    /// See `receive_key`.
    pub receive_salt: Secret,
    /// Seals what the client receives.
    pub send_key: Secret,
    /// See `send_key`.
    pub send_salt: Secret,
}

/// The commands of `sfu.commands`, and those of the thread's owner.
#[derive(Debug)]
pub enum Command {
    /// A new session.
    OpenRouter {
        /// Not in use.
        router: RouterHandle,
        /// Fixed for its life.
        access: PayloadAccess,
    },
    /// Ends a session with all that is in it.
    CloseRouter {
        /// Which.
        router: RouterHandle,
    },
    /// A new peer transport: its STUN checks are answered from now on.
    OpenTransport {
        /// Its session.
        router: RouterHandle,
        /// Not in use.
        transport: TransportHandle,
        /// Its direction.
        direction: Direction,
        /// Unique within the worker.
        local_ufrag: String,
        /// Authenticates checks.
        local_pwd: Secret<String>,
    },
    /// An ICE restart: checks need these credentials from now on; all else stays.
    RestartIce {
        /// Whose.
        transport: TransportHandle,
        /// Unique within the worker.
        local_ufrag: String,
        /// Authenticates checks.
        local_pwd: Secret<String>,
    },
    /// The peer's side of ICE, for checks of ours: they find a peer that moved.
    SetPeerCredentials {
        /// Whose.
        transport: TransportHandle,
        /// Names the peer.
        ufrag: String,
        /// Authenticates checks to the peer.
        pwd: Secret<String>,
    },
    /// From now on SRTP is opened and sealed.
    SetSrtpKeys {
        /// Whose.
        transport: TransportHandle,
        /// Both directions.
        secrets: Box<SrtpSecrets>,
    },
    /// Handshake bytes for the validated address.
    SendDtls {
        /// Whose.
        transport: TransportHandle,
        /// One datagram.
        datagram: Vec<u8>,
    },
    /// Ends a transport and what used it.
    CloseTransport {
        /// Which.
        transport: TransportHandle,
    },
    /// A new publisher.
    Publish {
        /// Its session.
        router: RouterHandle,
        /// Not in use.
        publisher: PublisherHandle,
        /// Its uplink.
        transport: TransportHandle,
        /// Its m-lines.
        sources: Vec<SourceParameters>,
    },
    /// Replaces what the seal guard accepts.
    DeclareKids {
        /// Whose.
        publisher: PublisherHandle,
        /// Which m-line.
        mid: String,
        /// All of them.
        kids: Vec<Kid>,
    },
    /// Mutes or unmutes a source.
    SetSourceForwarding {
        /// Whose.
        publisher: PublisherHandle,
        /// Which m-line.
        mid: String,
        /// False: held back.
        forwarding: bool,
    },
    /// Asks for a key frame.
    RequestKeyFrame {
        /// Of whom.
        publisher: PublisherHandle,
    },
    /// Ends a publisher.
    Unpublish {
        /// Which.
        publisher: PublisherHandle,
    },
    /// A new subscriber.
    Subscribe {
        /// Its session.
        router: RouterHandle,
        /// Not in use.
        subscriber: SubscriberHandle,
        /// What it receives.
        publisher: PublisherHandle,
        /// Its downlink.
        transport: TransportHandle,
        /// Its m-lines.
        sinks: Vec<SinkParameters>,
    },
    /// Holds back or lets pass one kind of media.
    SetSinkForwarding {
        /// Whose.
        subscriber: SubscriberHandle,
        /// Audio or video.
        kind: MediaKind,
        /// False: held back.
        forwarding: bool,
    },
    /// What a subscriber wants at most.
    SetLayerWish {
        /// Whose.
        subscriber: SubscriberHandle,
        /// None: no limit.
        wish: LayerWish,
    },
    /// Ends a subscriber.
    Unsubscribe {
        /// Which.
        subscriber: SubscriberHandle,
    },
    /// Asks for everything known of a session; None where there is no such session.
    Dump {
        /// Which.
        router: RouterHandle,
        /// Takes the answer.
        reply: SyncSender<Option<serde_json::Value>>,
    },
    /// Ends the thread.
    Stop,
}

impl Command {
    /// Its name and main handle, as `CommandFailed` reports them.
    pub(crate) fn identity(&self) -> (&'static str, u64) {
        match self {
            Self::OpenRouter { router, .. } => ("open_router", router.0),
            Self::CloseRouter { router } => ("close_router", router.0),
            Self::OpenTransport { transport, .. } => ("open_transport", transport.0),
            Self::RestartIce { transport, .. } => ("restart_ice", transport.0),
            Self::SetPeerCredentials { transport, .. } => ("set_peer_credentials", transport.0),
            Self::SetSrtpKeys { transport, .. } => ("set_srtp_keys", transport.0),
            Self::SendDtls { transport, .. } => ("send_dtls", transport.0),
            Self::CloseTransport { transport } => ("close_transport", transport.0),
            Self::Publish { publisher, .. } => ("publish", publisher.0),
            Self::DeclareKids { publisher, .. } => ("declare_kids", publisher.0),
            Self::SetSourceForwarding { publisher, .. } => ("set_source_forwarding", publisher.0),
            Self::RequestKeyFrame { publisher } => ("request_key_frame", publisher.0),
            Self::Unpublish { publisher } => ("unpublish", publisher.0),
            Self::Subscribe { subscriber, .. } => ("subscribe", subscriber.0),
            Self::SetSinkForwarding { subscriber, .. } => ("set_sink_forwarding", subscriber.0),
            Self::SetLayerWish { subscriber, .. } => ("set_layer_wish", subscriber.0),
            Self::Unsubscribe { subscriber } => ("unsubscribe", subscriber.0),
            Self::Dump { router, .. } => ("dump", router.0),
            Self::Stop => ("stop", 0),
        }
    }
}
