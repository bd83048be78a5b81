//! Commands from the control plane to the worker: plain data.

use std::fmt;

use sealroute_forward::{
    DownTrackParameters, Kid, MediaKind, PayloadAccess, PreferredLayers, PublisherHandle,
    SubscriberHandle, TransportHandle, UpTrackParameters, kids,
};
use sealroute_transport::SrtpProfile;
use serde::{Deserialize, Serialize};

use crate::local_socket::LocalSocket;

/// Names one session within the worker.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash, PartialOrd, Ord, Serialize, Deserialize)]
#[cfg_attr(feature = "schema", derive(schemars::JsonSchema))]
pub struct RouterHandle(pub u64);

/// Seen from the client.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[cfg_attr(feature = "schema", derive(schemars::JsonSchema))]
#[serde(rename_all = "snake_case")]
pub enum Direction {
    /// The client sends media.
    Uplink,
    /// The client receives media.
    Downlink,
}

/// A value that must never reach a log.
#[derive(Clone, PartialEq, Eq, Deserialize)]
#[serde(transparent)]
pub struct Secret<T = serde_bytes::ByteBuf>(pub T);

/// Marks the field, so that Python does not print it either.
#[cfg(feature = "schema")]
impl schemars::JsonSchema for Secret<String> {
    fn schema_name() -> std::borrow::Cow<'static, str> {
        "SecretText".into()
    }

    fn json_schema(_: &mut schemars::SchemaGenerator) -> schemars::Schema {
        schemars::json_schema!({ "x-python": "str", "x-secret": true })
    }
}

/// See `Secret<String>`.
#[cfg(feature = "schema")]
impl schemars::JsonSchema for Secret {
    fn schema_name() -> std::borrow::Cow<'static, str> {
        "SecretBytes".into()
    }

    fn json_schema(_: &mut schemars::SchemaGenerator) -> schemars::Schema {
        schemars::json_schema!({ "x-python": "bytes", "x-secret": true })
    }
}

impl<T> fmt::Debug for Secret<T> {
    fn fmt(&self, formatter: &mut fmt::Formatter<'_>) -> fmt::Result {
        formatter.write_str("Secret")
    }
}

/// Master keys and salts of a finished DTLS handshake.
#[derive(Clone, Debug, PartialEq, Eq, Deserialize)]
#[cfg_attr(feature = "schema", derive(schemars::JsonSchema))]
pub struct SrtpSecrets {
    /// Negotiated by DTLS.
    pub profile: SrtpProfile,
    /// Decrypts what the client sends (SRTP).
    pub receive_key: Secret,
    /// See `receive_key`.
    pub receive_salt: Secret,
    /// Protects what the client receives (SRTP).
    pub send_key: Secret,
    /// See `send_key`.
    pub send_salt: Secret,
}

/// A new session. `access` is fixed for its lifetime.
#[derive(Clone, Debug, PartialEq, Deserialize)]
#[cfg_attr(feature = "schema", derive(schemars::JsonSchema))]
pub struct OpenRouter {
    /// Not in use.
    pub router: RouterHandle,
    /// Fixed for its lifetime.
    pub access: PayloadAccess,
}

/// Ends a session with every transport, publisher and subscriber in it.
#[derive(Clone, Debug, PartialEq, Deserialize)]
#[cfg_attr(feature = "schema", derive(schemars::JsonSchema))]
pub struct CloseRouter {
    /// Its handle.
    pub router: RouterHandle,
}

/// A new peer transport. ICE checks with USERNAME `local_ufrag:*` are answered from now on
/// (ICE-lite, RFC 8445).
#[derive(Clone, Debug, PartialEq, Deserialize)]
#[cfg_attr(feature = "schema", derive(schemars::JsonSchema))]
pub struct OpenTransport {
    /// Its session.
    pub router: RouterHandle,
    /// Not in use.
    pub transport: TransportHandle,
    /// Its direction.
    pub direction: Direction,
    /// Unique within the worker.
    pub local_ufrag: String,
    /// Authenticates checks.
    pub local_pwd: Secret<String>,
}

/// An ICE restart: checks need these credentials from now on, and the first valid one selects its
/// source address. The current path, the DTLS association and the SRTP state stay.
#[derive(Clone, Debug, PartialEq, Deserialize)]
#[cfg_attr(feature = "schema", derive(schemars::JsonSchema))]
pub struct RestartIce {
    /// Whose.
    pub transport: TransportHandle,
    /// Unique within the worker.
    pub local_ufrag: String,
    /// Authenticates checks.
    pub local_pwd: Secret<String>,
}

/// The peer's ICE credentials, for our own checks: they find a peer after an address change.
#[derive(Clone, Debug, PartialEq, Deserialize)]
#[cfg_attr(feature = "schema", derive(schemars::JsonSchema))]
pub struct SetPeerCredentials {
    /// Whose.
    pub transport: TransportHandle,
    /// Names the peer.
    pub ufrag: String,
    /// Authenticates checks to the peer.
    pub pwd: Secret<String>,
}

/// The keys of a finished DTLS handshake: media can flow.
#[derive(Clone, Debug, PartialEq, Deserialize)]
#[cfg_attr(feature = "schema", derive(schemars::JsonSchema))]
pub struct SetSrtpKeys {
    /// Whose.
    pub transport: TransportHandle,
    /// Both directions.
    pub secrets: Box<SrtpSecrets>,
}

/// One datagram of the handshake for the validated address.
#[derive(Clone, Debug, PartialEq, Deserialize)]
#[cfg_attr(feature = "schema", derive(schemars::JsonSchema))]
pub struct SendDtls {
    /// Whose.
    pub transport: TransportHandle,
    /// One datagram.
    pub datagram: Secret,
}

/// A tap: a transport whose other end is a process of this host that reads the session's media as
/// records (`native/rtp/src/tap_record.rs`), and publishes as records too. Refused with `opaque` on a
/// session with end-to-end encryption. It has no ICE, DTLS and SRTP; `CloseTransport` ends it.
#[derive(Clone, Debug, PartialEq, Deserialize)]
#[cfg_attr(feature = "schema", derive(schemars::JsonSchema))]
pub struct OpenTap {
    /// Its session.
    pub router: RouterHandle,
    /// Not in use.
    pub transport: TransportHandle,
    /// One end of a connected `SOCK_SEQPACKET` pair, by its number. The core owns it from this call
    /// on, whatever comes of the command, and closes it once.
    pub socket: LocalSocket,
}

/// Writes a JSON object to the reader of a tap, in order with the media.
#[derive(Clone, Debug, PartialEq, Deserialize)]
#[cfg_attr(feature = "schema", derive(schemars::JsonSchema))]
pub struct WriteTap {
    /// Which tap.
    pub transport: TransportHandle,
    /// The object, encoded. It may name people.
    pub body: Secret,
}

/// A trunk: a transport to another worker of this process, on which the same session goes on. What
/// is fed at one end (`FeedTrunk`) is published at the other (`Publish`): with the same payload types
/// and extension ids, and with the SSRCs that it is fed under. `CloseTransport` ends an end.
#[derive(Clone, Debug, PartialEq, Deserialize)]
#[cfg_attr(feature = "schema", derive(schemars::JsonSchema))]
pub struct OpenTrunk {
    /// Its session.
    pub router: RouterHandle,
    /// Not in use.
    pub transport: TransportHandle,
    /// The number of the other worker.
    pub worker: u32,
    /// The handle of the other end there.
    pub remote: TransportHandle,
}

/// Passes one up track of a publisher on over a trunk, as it comes.
#[derive(Clone, Debug, PartialEq, Deserialize)]
#[cfg_attr(feature = "schema", derive(schemars::JsonSchema))]
pub struct FeedTrunk {
    /// Whose.
    pub publisher: PublisherHandle,
    /// Which m-line.
    pub mid: String,
    /// The trunk.
    pub transport: TransportHandle,
    /// One for each encoding, in their order.
    pub ssrcs: Vec<u32>,
}

/// Sets which encodings of an up track are wanted at the other end of a trunk. The others do not
/// cross; one that becomes wanted starts with a key frame. At first all are wanted.
#[derive(Clone, Debug, PartialEq, Deserialize)]
#[cfg_attr(feature = "schema", derive(schemars::JsonSchema))]
pub struct SetTrunkDemand {
    /// Whose.
    pub publisher: PublisherHandle,
    /// Which m-line.
    pub mid: String,
    /// The trunk.
    pub transport: TransportHandle,
    /// RIDs; `None` is the single encoding of a video without RIDs.
    pub rids: Vec<Option<String>>,
}

/// Ends a transport and everything that uses it.
#[derive(Clone, Debug, PartialEq, Deserialize)]
#[cfg_attr(feature = "schema", derive(schemars::JsonSchema))]
pub struct CloseTransport {
    /// Which.
    pub transport: TransportHandle,
}

/// A new publisher.
#[derive(Clone, Debug, PartialEq, Deserialize)]
#[cfg_attr(feature = "schema", derive(schemars::JsonSchema))]
pub struct Publish {
    /// Its session.
    pub router: RouterHandle,
    /// Not in use.
    pub publisher: PublisherHandle,
    /// Its uplink, a tap, or a trunk.
    pub transport: TransportHandle,
    /// Its m-lines.
    pub up_tracks: Vec<UpTrackParameters>,
}

/// Replaces the key ids that the plaintext guard accepts for one up track.
#[derive(Clone, Debug, PartialEq, Deserialize)]
#[cfg_attr(feature = "schema", derive(schemars::JsonSchema))]
pub struct DeclareKids {
    /// Whose.
    pub publisher: PublisherHandle,
    /// Which m-line.
    pub mid: String,
    /// All of them.
    #[serde(deserialize_with = "kids")]
    #[cfg_attr(feature = "schema", schemars(with = "sealroute_forward::KidList"))]
    pub kids: Vec<Kid>,
}

/// Mutes an up track (force mute), or unmutes it.
#[derive(Clone, Debug, PartialEq, Deserialize)]
#[cfg_attr(feature = "schema", derive(schemars::JsonSchema))]
pub struct SetUpTrackForwarding {
    /// Whose.
    pub publisher: PublisherHandle,
    /// Which m-line.
    pub mid: String,
    /// False: muted.
    pub forwarding: bool,
}

/// Ends a publisher and its subscribers.
#[derive(Clone, Debug, PartialEq, Deserialize)]
#[cfg_attr(feature = "schema", derive(schemars::JsonSchema))]
pub struct Unpublish {
    /// Which.
    pub publisher: PublisherHandle,
}

/// A new subscriber.
#[derive(Clone, Debug, PartialEq, Deserialize)]
#[cfg_attr(feature = "schema", derive(schemars::JsonSchema))]
pub struct Subscribe {
    /// Its session.
    pub router: RouterHandle,
    /// Not in use.
    pub subscriber: SubscriberHandle,
    /// The publisher to receive.
    pub publisher: PublisherHandle,
    /// Its downlink.
    pub transport: TransportHandle,
    /// Its m-lines.
    pub down_tracks: Vec<DownTrackParameters>,
}

/// Pauses or resumes one kind of media to a subscriber (subscribeToVideo, mismatched secret).
#[derive(Clone, Debug, PartialEq, Deserialize)]
#[cfg_attr(feature = "schema", derive(schemars::JsonSchema))]
pub struct SetDownTrackForwarding {
    /// Whose.
    pub subscriber: SubscriberHandle,
    /// Audio or video.
    pub kind: MediaKind,
    /// False: paused.
    pub forwarding: bool,
}

/// The upper limits that a subscriber prefers for a video.
#[derive(Clone, Debug, PartialEq, Deserialize)]
#[cfg_attr(feature = "schema", derive(schemars::JsonSchema))]
pub struct SetPreferredLayers {
    /// Whose.
    pub subscriber: SubscriberHandle,
    /// None: no limit.
    pub preferred: PreferredLayers,
}

/// Ends a subscriber.
#[derive(Clone, Debug, PartialEq, Deserialize)]
#[cfg_attr(feature = "schema", derive(schemars::JsonSchema))]
pub struct Unsubscribe {
    /// Which.
    pub subscriber: SubscriberHandle,
}

/// The commands to the worker. A conflict with its state is reported as `CommandFailed`.
#[derive(Clone, Debug, PartialEq, Deserialize)]
#[cfg_attr(feature = "schema", derive(schemars::JsonSchema))]
#[serde(rename_all = "snake_case")]
pub enum Command {
    /// See [`OpenRouter`].
    OpenRouter(OpenRouter),
    /// See [`CloseRouter`].
    CloseRouter(CloseRouter),
    /// See [`OpenTransport`].
    OpenTransport(OpenTransport),
    /// See [`RestartIce`].
    RestartIce(RestartIce),
    /// See [`SetPeerCredentials`].
    SetPeerCredentials(SetPeerCredentials),
    /// See [`SetSrtpKeys`].
    SetSrtpKeys(SetSrtpKeys),
    /// See [`SendDtls`].
    SendDtls(SendDtls),
    /// See [`OpenTap`].
    OpenTap(OpenTap),
    /// See [`WriteTap`].
    WriteTap(WriteTap),
    /// See [`OpenTrunk`].
    OpenTrunk(OpenTrunk),
    /// See [`FeedTrunk`].
    FeedTrunk(FeedTrunk),
    /// See [`SetTrunkDemand`].
    SetTrunkDemand(SetTrunkDemand),
    /// See [`CloseTransport`].
    CloseTransport(CloseTransport),
    /// See [`Publish`].
    Publish(Publish),
    /// See [`DeclareKids`].
    DeclareKids(DeclareKids),
    /// See [`SetUpTrackForwarding`].
    SetUpTrackForwarding(SetUpTrackForwarding),
    /// See [`Unpublish`].
    Unpublish(Unpublish),
    /// See [`Subscribe`].
    Subscribe(Subscribe),
    /// See [`SetDownTrackForwarding`].
    SetDownTrackForwarding(SetDownTrackForwarding),
    /// See [`SetPreferredLayers`].
    SetPreferredLayers(SetPreferredLayers),
    /// See [`Unsubscribe`].
    Unsubscribe(Unsubscribe),
}

impl Command {
    /// Its name and main handle, as in `CommandFailed`.
    pub(crate) fn identity(&self) -> (&'static str, u64) {
        match self {
            Self::OpenRouter(of) => ("open_router", of.router.0),
            Self::CloseRouter(of) => ("close_router", of.router.0),
            Self::OpenTransport(of) => ("open_transport", of.transport.0),
            Self::RestartIce(of) => ("restart_ice", of.transport.0),
            Self::SetPeerCredentials(of) => ("set_peer_credentials", of.transport.0),
            Self::SetSrtpKeys(of) => ("set_srtp_keys", of.transport.0),
            Self::SendDtls(of) => ("send_dtls", of.transport.0),
            Self::OpenTap(of) => ("open_tap", of.transport.0),
            Self::WriteTap(of) => ("write_tap", of.transport.0),
            Self::OpenTrunk(of) => ("open_trunk", of.transport.0),
            Self::FeedTrunk(of) => ("feed_trunk", of.publisher.0),
            Self::SetTrunkDemand(of) => ("set_trunk_demand", of.publisher.0),
            Self::CloseTransport(of) => ("close_transport", of.transport.0),
            Self::Publish(of) => ("publish", of.publisher.0),
            Self::DeclareKids(of) => ("declare_kids", of.publisher.0),
            Self::SetUpTrackForwarding(of) => ("set_up_track_forwarding", of.publisher.0),
            Self::Unpublish(of) => ("unpublish", of.publisher.0),
            Self::Subscribe(of) => ("subscribe", of.subscriber.0),
            Self::SetDownTrackForwarding(of) => ("set_down_track_forwarding", of.subscriber.0),
            Self::SetPreferredLayers(of) => ("set_preferred_layers", of.subscriber.0),
            Self::Unsubscribe(of) => ("unsubscribe", of.subscriber.0),
        }
    }
}
