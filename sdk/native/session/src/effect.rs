//! What a session asks its shell to do, and what it tells the application.

use std::fmt;

use sealroute_e2ee::{Codec, Track};
use sealroute_protocol::ClientMessage;
use sealroute_protocol::messages::{ConnectionInfo, Direction, StreamInfo};

use crate::SessionError;

/// An own stream, through all transports and ids of the server.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub struct PublicationId(pub(crate) u64);

/// A stream of somebody else, through all transports.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub struct SubscriptionId(pub(crate) u64);

/// A request that may leave, with its number.
#[derive(Clone, PartialEq)]
pub struct Request {
    pub(crate) message: ClientMessage,
    pub(crate) bytes: Vec<u8>,
}

impl Request {
    /// What it says.
    pub fn message(&self) -> &ClientMessage {
        &self.message
    }

    /// One binary message of the WebSocket.
    pub fn bytes(&self) -> &[u8] {
        &self.bytes
    }
}

impl fmt::Debug for Request {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "Request({})", self.message.kind())
    }
}

/// To be done in order.
#[derive(Clone, PartialEq)]
pub enum Effect {
    /// Open a WebSocket; then `on_socket_open` or `on_socket_closed`.
    OpenSocket,
    /// Close it, if there is one; `on_socket_closed` is not to be called for it.
    CloseSocket,
    /// Send over the WebSocket.
    Send(Request),
    /// Add m-lines that send to the uplink, made if there is none; then `on_offered`.
    OfferUplink {
        /// Whose.
        publication: PublicationId,
        /// With audio.
        audio: bool,
        /// With video of this codec.
        video: Option<Codec>,
    },
    /// Apply the server's answer to the uplink's offer; then `on_answer_applied`.
    ApplyAnswer {
        /// Whose offer it answers.
        publication: PublicationId,
        /// The description, checked.
        answer: String,
    },
    /// The offer came to nothing: forget it, with its m-lines.
    DropOffer,
    /// These m-lines of the uplink send no more; the next offer says so.
    RetireLines(Vec<String>),
    /// Answer an offer over the downlink, made if there is none; then `on_answered`.
    AnswerDownlink {
        /// Of the server.
        offer_id: u64,
        /// The description, checked.
        offer: String,
    },
    /// An m-line of the downlink carries this from now on: what was put together is of another.
    LineBound {
        /// The m-line.
        mid: String,
        /// Whose.
        subscription: SubscriptionId,
        /// Its kind.
        track: Track,
    },
    /// An m-line of the downlink carries nothing that anybody asked for.
    LineFreed {
        /// The m-line.
        mid: String,
    },
    /// Close a transport, if there is one.
    CloseLink(Direction),
    /// The encoder of an own stream makes a key frame.
    MakeKeyFrame(PublicationId),
    /// Ask for a key frame of the video that comes over this m-line.
    RequestKeyFrame {
        /// Of the downlink.
        mid: String,
    },
    /// For the application.
    Tell(Event),
}

/// No texts of the server or the application, no descriptions.
impl fmt::Debug for Effect {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::OpenSocket => f.write_str("OpenSocket"),
            Self::CloseSocket => f.write_str("CloseSocket"),
            Self::Send(request) => write!(f, "{request:?}"),
            Self::OfferUplink { publication, .. } => write!(f, "OfferUplink({publication:?})"),
            Self::ApplyAnswer { publication, .. } => write!(f, "ApplyAnswer({publication:?})"),
            Self::DropOffer => f.write_str("DropOffer"),
            Self::RetireLines(mids) => write!(f, "RetireLines({})", mids.len()),
            Self::AnswerDownlink { offer_id, .. } => write!(f, "AnswerDownlink({offer_id})"),
            Self::LineBound {
                subscription,
                track,
                ..
            } => {
                write!(f, "LineBound({subscription:?}, {track:?})")
            }
            Self::LineFreed { .. } => f.write_str("LineFreed"),
            Self::CloseLink(direction) => write!(f, "CloseLink({direction:?})"),
            Self::MakeKeyFrame(publication) => write!(f, "MakeKeyFrame({publication:?})"),
            Self::RequestKeyFrame { .. } => f.write_str("RequestKeyFrame"),
            Self::Tell(event) => write!(f, "{event:?}"),
        }
    }
}

/// What an application is told, in the order in which it happens.
#[derive(Clone, PartialEq)]
pub enum Event {
    /// The session is joined; everything may begin.
    Connected,
    /// The WebSocket is lost; the media goes on meanwhile.
    Reconnecting,
    /// It is back, or another connection of the same session.
    Reconnected {
        /// All streams were published and subscribed to again.
        is_new_connection: bool,
    },
    /// It is over.
    Disconnected {
        /// As the server has them, or `trustRefused`.
        reason: &'static str,
    },
    /// Something is wrong, and the session goes on.
    Error(SessionError),
    /// It is over by that: `Disconnected` follows if it was joined, and nothing otherwise.
    Failed(SessionError),
    /// Somebody joined.
    ConnectionCreated(ConnectionInfo),
    /// Somebody left.
    ConnectionDestroyed {
        /// Whose.
        connection_id: String,
    },
    /// Somebody publishes.
    StreamReceived(StreamInfo),
    /// A stream of somebody else ended.
    StreamDropped {
        /// Which.
        stream_id: String,
    },
    /// A stream of somebody else changed, to this.
    StreamChanged(StreamInfo),
    /// An own stream is there, for the first time or again.
    Published {
        /// Which.
        publication: PublicationId,
        /// As others know it.
        stream_id: String,
    },
    /// An own stream is over: unpublished, ended by somebody, or by an error before.
    PublicationEnded {
        /// Which.
        publication: PublicationId,
    },
    /// An own stream cannot go on, or could not begin.
    PublicationError {
        /// Which.
        publication: PublicationId,
        /// Why.
        error: SessionError,
    },
    /// Somebody muted an own stream's audio, or (without one) that of all.
    MuteForced {
        /// Which, if it is an own one.
        publication: Option<PublicationId>,
        /// Whether new streams begin muted.
        is_active: bool,
    },
    /// The server drops what is sent: it is not encrypted as it was declared.
    NotEncrypted {
        /// Which.
        publication: PublicationId,
    },
    /// Nobody watches, or somebody does again: an encoder may rest.
    DemandChanged {
        /// Which.
        publication: PublicationId,
        /// Somebody does.
        is_wanted: bool,
    },
    /// Media may arrive.
    SubscriptionConnected {
        /// Which.
        subscription: SubscriptionId,
    },
    /// The stream or the subscription is over.
    SubscriptionEnded {
        /// Which.
        subscription: SubscriptionId,
    },
    /// It could not begin, or cannot be played.
    SubscriptionError {
        /// Which.
        subscription: SubscriptionId,
        /// Why.
        error: SessionError,
    },
    /// What arrives does not open with any secret that is held.
    EncryptionSecretMismatch {
        /// Which.
        subscription: SubscriptionId,
    },
    /// It opens again.
    EncryptionSecretMatch {
        /// Which.
        subscription: SubscriptionId,
    },
    /// The network carries no video of it, or does again.
    VideoDisabled {
        /// Which.
        subscription: SubscriptionId,
        /// For now.
        is_disabled: bool,
    },
    /// A stream's trust, as a widget shows it.
    PublicationTrust {
        /// Which.
        publication: PublicationId,
        /// From now on.
        state: crate::StreamState,
    },
    /// A stream's trust, as a widget shows it.
    SubscriptionTrust {
        /// Which.
        subscription: SubscriptionId,
        /// From now on.
        state: crate::StreamState,
    },
    /// Somebody said something.
    Signal {
        /// A member; none for the application, over REST.
        from: Option<String>,
        /// Of the application.
        kind: String,
        /// Of the application.
        data: String,
        /// False for those of the application.
        is_encrypted: bool,
    },
    /// A request of moderation was answered.
    Moderated(Result<(), SessionError>),
}

/// Names alone: what an application says to another is never printed.
impl fmt::Debug for Event {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::Error(error) => write!(f, "Error({})", error.code()),
            Self::Failed(error) => write!(f, "Failed({})", error.code()),
            Self::PublicationError { error, .. } => write!(f, "PublicationError({})", error.code()),
            Self::SubscriptionError { error, .. } => {
                write!(f, "SubscriptionError({})", error.code())
            }
            Self::Disconnected { reason } => write!(f, "Disconnected({reason})"),
            other => f.write_str(other.name()),
        }
    }
}

impl Event {
    /// As the other SDKs have it, where they do.
    pub fn name(&self) -> &'static str {
        match self {
            Self::Connected => "sessionConnected",
            Self::Reconnecting => "sessionReconnecting",
            Self::Reconnected { .. } => "sessionReconnected",
            Self::Disconnected { .. } => "sessionDisconnected",
            Self::Error(_) => "error",
            Self::Failed(_) => "failed",
            Self::ConnectionCreated(_) => "connectionCreated",
            Self::ConnectionDestroyed { .. } => "connectionDestroyed",
            Self::StreamReceived(_) => "streamCreated",
            Self::StreamDropped { .. } => "streamDestroyed",
            Self::StreamChanged(_) => "streamPropertyChanged",
            Self::Published { .. } => "published",
            Self::PublicationEnded { .. } => "unpublished",
            Self::PublicationError { .. } => "publisherError",
            Self::MuteForced { .. } => "muteForced",
            Self::NotEncrypted { .. } => "notEncrypted",
            Self::DemandChanged { .. } => "videoDemandChanged",
            Self::SubscriptionConnected { .. } => "subscriberConnected",
            Self::SubscriptionEnded { .. } => "subscriberDestroyed",
            Self::SubscriptionError { .. } => "subscriberError",
            Self::EncryptionSecretMismatch { .. } => "encryptionSecretMismatch",
            Self::EncryptionSecretMatch { .. } => "encryptionSecretMatch",
            Self::VideoDisabled {
                is_disabled: true, ..
            } => "videoDisabled",
            Self::VideoDisabled { .. } => "videoEnabled",
            Self::PublicationTrust { .. } | Self::SubscriptionTrust { .. } => {
                "encryptionStateChanged"
            }
            Self::Signal { .. } => "signal",
            Self::Moderated(_) => "moderated",
        }
    }
}
