//! The configuration of a run, as JSON.

use std::collections::BTreeMap;

use sealroute_forward::{
    Codec, DownTrackParameters, EncodingParameters, Extension, ExtensionIds, Kid, MediaKind,
    PayloadAccess, PublisherHandle, SubscriberHandle, TransportHandle, UpTrackParameters,
};
use serde::Deserialize;

/// The publisher's transport.
pub const UPLINK: TransportHandle = TransportHandle(1);
/// The publisher's handle.
pub const PUBLISHER: PublisherHandle = PublisherHandle(1);
/// Subscriber `n` and its transport have this handle plus `n`.
pub const FIRST_SUBSCRIBER: u64 = 100;
/// MID of the up track and of every down track.
pub const MID: &str = "0";
/// Payload type on both sides; RTX uses the next one.
pub const PAYLOAD_TYPE: u8 = 96;
/// Subscriber `n` receives this SSRC plus `2 n`; its RTX stream uses the next one.
pub const FIRST_DOWN_TRACK_SSRC: u32 = 0x9000;

/// One publisher of one video track, and its subscribers.
#[derive(Debug, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct Setup {
    codec: String,
    opaque: bool,
    /// Key ids in hexadecimal.
    kids: Vec<String>,
    /// RIDs of the encodings in order; empty: one encoding with `ssrc`.
    rids: Vec<String>,
    ssrc: Option<u32>,
    uplink: Side,
    downlink: Side,
    /// Number of subscribers.
    pub subscribers: u64,
}

/// The negotiated parameters of one side.
#[derive(Debug, Deserialize)]
#[serde(deny_unknown_fields)]
struct Side {
    nack: bool,
    rtx: bool,
    extensions: BTreeMap<String, u8>,
}

impl Setup {
    /// How much of a payload the core may read.
    pub fn access(&self) -> PayloadAccess {
        if self.opaque {
            PayloadAccess::Opaque
        } else {
            PayloadAccess::Clear
        }
    }

    /// The parameters of the publisher's video.
    pub fn up_track(&self) -> Result<UpTrackParameters, String> {
        let encoding = |rid: &String| EncodingParameters {
            rid: Some(rid.clone()),
            ..EncodingParameters::default()
        };
        let mut encodings: Vec<_> = self.rids.iter().map(encoding).collect();
        if encodings.is_empty() {
            encodings.push(EncodingParameters {
                ssrc: self.ssrc,
                rtx_ssrc: self.ssrc.map(|ssrc| ssrc.wrapping_add(1)),
                rid: None,
            });
        }
        Ok(UpTrackParameters {
            mid: MID.to_owned(),
            kind: MediaKind::Video,
            codec: codec(&self.codec)?,
            payload_type: PAYLOAD_TYPE,
            rtx_payload_type: self.uplink.rtx.then_some(PAYLOAD_TYPE + 1),
            clock_rate_hz: 90_000,
            encodings,
            extensions: self.uplink.extensions()?,
            nack: self.uplink.nack,
            declared_kids: self
                .kids
                .iter()
                .map(|text| kid(text))
                .collect::<Result<_, _>>()?,
        })
    }

    /// A subscriber, its transport and the parameters of what it receives.
    pub fn down_track(
        &self,
        number: u64,
    ) -> Result<(SubscriberHandle, TransportHandle, DownTrackParameters), String> {
        let handle = FIRST_SUBSCRIBER + number;
        let ssrc = FIRST_DOWN_TRACK_SSRC + 2 * number as u32;
        let down_track = DownTrackParameters {
            mid: MID.to_owned(),
            up_track_mid: MID.to_owned(),
            ssrc,
            rtx_ssrc: self.downlink.rtx.then_some(ssrc + 1),
            payload_type: PAYLOAD_TYPE,
            rtx_payload_type: self.downlink.rtx.then_some(PAYLOAD_TYPE + 1),
            extensions: self.downlink.extensions()?,
            nack: self.downlink.nack,
        };
        Ok((
            SubscriberHandle(handle),
            TransportHandle(handle),
            down_track,
        ))
    }
}

impl Side {
    fn extensions(&self) -> Result<ExtensionIds, String> {
        let known = |(name, &id): (&String, &u8)| extension(name).map(|kind| (kind, id));
        let ids: Result<_, _> = self.extensions.iter().map(known).collect();
        Ok(ExtensionIds(ids?))
    }
}

fn codec(name: &str) -> Result<Codec, String> {
    match name {
        "vp8" => Ok(Codec::Vp8),
        "vp9" => Ok(Codec::Vp9),
        "h264" => Ok(Codec::H264),
        "av1" => Ok(Codec::Av1),
        other => Err(format!("unknown codec {other}")),
    }
}

fn extension(name: &str) -> Result<Extension, String> {
    match name {
        "mid" => Ok(Extension::Mid),
        "rid" => Ok(Extension::Rid),
        "repaired_rid" => Ok(Extension::RepairedRid),
        "dependency_descriptor" => Ok(Extension::DependencyDescriptor),
        "video_layers_allocation" => Ok(Extension::VideoLayersAllocation),
        other => Err(format!("unknown extension {other}")),
    }
}

fn kid(text: &str) -> Result<Kid, String> {
    let number = u64::from_str_radix(text, 16).map_err(|error| error.to_string())?;
    Ok(number.to_be_bytes())
}
