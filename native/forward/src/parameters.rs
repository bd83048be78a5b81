//! The parameters of forwarding: plain data from the control plane.

use std::collections::HashMap;
use std::fmt;

use serde::{Deserialize, Deserializer, Serialize, de};
use serde_bytes::ByteArray;

/// The part of a payload that the forwarding of this session may read. Fixed for its lifetime.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[cfg_attr(feature = "schema", derive(schemars::JsonSchema))]
#[serde(rename_all = "snake_case")]
pub enum PayloadAccess {
    /// An unencrypted session: payloads may be read and tapped.
    Clear,
    /// An end-to-end encrypted session: the RTP header, header extensions, the packetizer's payload
    /// descriptor and the clear prefix that e2ee/2 declares, never more.
    Opaque,
}

macro_rules! handle {
    ($(#[$doc:meta])* $name:ident) => {
        $(#[$doc])*
        #[derive(
            Clone, Copy, Debug, PartialEq, Eq, Hash, PartialOrd, Ord, Serialize, Deserialize,
        )]
        #[cfg_attr(feature = "schema", derive(schemars::JsonSchema))]
        pub struct $name(pub u64);

        impl fmt::Display for $name {
            fn fmt(&self, formatter: &mut fmt::Formatter<'_>) -> fmt::Result {
                self.0.fmt(formatter)
            }
        }
    };
}

handle!(
    /// Names one peer's transport within the worker.
    TransportHandle
);
handle!(
    /// Names one published stream within the worker.
    PublisherHandle
);
handle!(
    /// Names one subscription of a client to a stream within the worker.
    SubscriberHandle
);

/// Audio or video.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash, Serialize, Deserialize)]
#[cfg_attr(feature = "schema", derive(schemars::JsonSchema))]
#[serde(rename_all = "snake_case")]
pub enum MediaKind {
    /// Audio.
    Audio,
    /// Video: camera or screen.
    Video,
}

/// The supported codecs.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash, Serialize, Deserialize)]
#[cfg_attr(feature = "schema", derive(schemars::JsonSchema))]
#[serde(rename_all = "snake_case")]
pub enum Codec {
    /// RFC 7587.
    Opus,
    /// RFC 7741.
    Vp8,
    /// RFC 9628.
    Vp9,
    /// RFC 6184, packetization-mode 1.
    H264,
    /// AV1 RTP specification 1.0.
    Av1,
}

macro_rules! extensions {
    ($($(#[$doc:meta])* $name:ident,)*) => {
        /// The RTP header extensions that the core knows; their ids differ per transport.
        #[derive(Clone, Copy, Debug, PartialEq, Eq, Hash, Serialize, Deserialize)]
        #[cfg_attr(feature = "schema", derive(schemars::JsonSchema))]
        #[serde(rename_all = "snake_case")]
        #[repr(u8)]
        pub enum Extension { $($(#[$doc])* $name,)* }

        impl Extension {
            /// All of them, ordered by discriminant.
            pub const ALL: &'static [Self] = &[$(Self::$name,)*];
        }
    };
}

extensions! {
    /// urn:ietf:params:rtp-hdrext:sdes:mid (RFC 9143)
    Mid,
    /// urn:ietf:params:rtp-hdrext:sdes:rtp-stream-id (RFC 8852)
    Rid,
    /// urn:ietf:params:rtp-hdrext:sdes:repaired-rtp-stream-id (RFC 8852)
    RepairedRid,
    /// urn:ietf:params:rtp-hdrext:ssrc-audio-level (RFC 6464)
    AudioLevel,
    /// abs-send-time
    AbsSendTime,
    /// draft-holmer-rmcat-transport-wide-cc-extensions-01
    TransportCc,
    /// urn:ietf:params:rtp-hdrext:toffset (RFC 5450)
    TransmissionOffset,
    /// urn:3gpp:video-orientation
    VideoOrientation,
    /// playout-delay
    PlayoutDelay,
    /// video-content-type
    VideoContentType,
    /// video-timing
    VideoTiming,
    /// color-space
    ColorSpace,
    /// AV1 RTP specification, appendix A
    DependencyDescriptor,
    /// video-layers-allocation00
    VideoLayersAllocation,
    /// abs-capture-time
    AbsCaptureTime,
}

/// Negotiated header-extension ids of one m-line (1..=255; 15 is reserved in the one-byte form).
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct ExtensionIds(pub Vec<(Extension, u8)>);

impl<'de> Deserialize<'de> for ExtensionIds {
    /// From a map. Ids are sorted, so equal maps give equal parameters.
    fn deserialize<D: Deserializer<'de>>(deserializer: D) -> Result<Self, D::Error> {
        let map = HashMap::<Extension, u8>::deserialize(deserializer)?;
        let mut ids: Vec<(Extension, u8)> = map.into_iter().collect();
        ids.sort_unstable_by_key(|(_, id)| *id);
        Ok(Self(ids))
    }
}

#[cfg(feature = "schema")]
impl schemars::JsonSchema for ExtensionIds {
    fn schema_name() -> std::borrow::Cow<'static, str> {
        "ExtensionIds".into()
    }

    fn json_schema(generator: &mut schemars::SchemaGenerator) -> schemars::Schema {
        let key = generator.subschema_for::<Extension>();
        schemars::json_schema!({ "x-python": "Mapping[Extension, int]", "x-key": key })
    }
}

/// One `RtpStream` of an up track.
#[derive(Clone, Debug, Default, PartialEq, Eq, Deserialize)]
#[cfg_attr(feature = "schema", derive(schemars::JsonSchema))]
#[serde(default)]
pub struct EncodingParameters {
    /// Known from the offer, else found by RID or MID.
    pub ssrc: Option<u32>,
    /// Its retransmission stream (RFC 4588).
    pub rtx_ssrc: Option<u32>,
    /// Simulcast version (RFC 8853).
    pub rid: Option<String>,
}

/// An 8-byte SFrame key id.
pub type Kid = [u8; 8];

/// Reads key ids from byte strings.
pub fn kids<'de, D: Deserializer<'de>>(deserializer: D) -> Result<Vec<Kid>, D::Error> {
    let kids = Vec::<ByteArray<8>>::deserialize(deserializer)
        .map_err(|_| de::Error::custom("a key id has 8 bytes"))?;
    Ok(kids.into_iter().map(ByteArray::into_array).collect())
}

/// The Python type of key ids.
#[cfg(feature = "schema")]
pub struct KidList;

#[cfg(feature = "schema")]
impl schemars::JsonSchema for KidList {
    fn schema_name() -> std::borrow::Cow<'static, str> {
        "KidList".into()
    }

    fn json_schema(_: &mut schemars::SchemaGenerator) -> schemars::Schema {
        schemars::json_schema!({ "x-python": "tuple[bytes, ...]" })
    }
}

fn yes() -> bool {
    true
}

/// One m-line of a Publisher.
#[derive(Clone, Debug, PartialEq, Eq, Deserialize)]
#[cfg_attr(feature = "schema", derive(schemars::JsonSchema))]
pub struct UpTrackParameters {
    /// The m-line's identification tag on the uplink.
    pub mid: String,
    /// Audio or video.
    pub kind: MediaKind,
    /// What it sends.
    pub codec: Codec,
    /// On the uplink.
    pub payload_type: u8,
    /// RFC 4588 payload type on the uplink, if retransmissions were negotiated.
    pub rtx_payload_type: Option<u8>,
    /// RTP clock.
    pub clock_rate_hz: u32,
    /// At least one.
    pub encodings: Vec<EncodingParameters>,
    /// Ids on the uplink.
    pub extensions: ExtensionIds,
    /// Generic NACK was negotiated.
    pub nack: bool,
    /// Key ids that the plaintext guard accepts; empty on unencrypted sessions.
    #[serde(default, deserialize_with = "kids")]
    #[cfg_attr(feature = "schema", schemars(with = "KidList"))]
    pub declared_kids: Vec<Kid>,
}

/// One m-line of a Subscriber.
#[derive(Clone, Debug, PartialEq, Eq, Deserialize)]
#[cfg_attr(feature = "schema", derive(schemars::JsonSchema))]
pub struct DownTrackParameters {
    /// The m-line's identification tag on the downlink.
    pub mid: String,
    /// The publisher's up track that feeds it.
    pub up_track_mid: String,
    /// The SSRC for the subscriber. It outlives the Subscriber: sequence numbers continue.
    pub ssrc: u32,
    /// Retransmission stream, if the subscriber negotiated one.
    pub rtx_ssrc: Option<u32>,
    /// On the downlink.
    pub payload_type: u8,
    /// RFC 4588 payload type on the downlink.
    pub rtx_payload_type: Option<u8>,
    /// Ids on the downlink.
    pub extensions: ExtensionIds,
    /// Generic NACK was negotiated. Without a retransmission stream, SRTP packets are kept.
    #[serde(default = "yes")]
    pub nack: bool,
}

/// The upper limits that a Subscriber prefers; `None` = no limit but the bandwidth.
#[derive(Clone, Copy, Debug, Default, PartialEq, Deserialize)]
#[cfg_attr(feature = "schema", derive(schemars::JsonSchema))]
#[serde(default)]
pub struct PreferredLayers {
    /// Frame width in pixels.
    pub max_width_px: Option<u32>,
    /// Frame height in pixels.
    pub max_height_px: Option<u32>,
    /// Frames per second.
    pub max_frame_rate: Option<f32>,
}

impl PreferredLayers {
    /// Whether a frame of this width and height in pixels is within the limits.
    pub(crate) fn allows_size(self, (width, height): (u16, u16)) -> bool {
        self.max_width_px
            .is_none_or(|limit| u32::from(width) <= limit)
            && self
                .max_height_px
                .is_none_or(|limit| u32::from(height) <= limit)
    }
}
