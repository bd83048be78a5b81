//! A snapshot of a session's forwarding, for operators, tests and support.
//!
//! Plain data: the control plane gets it in this form (`sfu.core_api`).

use serde::Serialize;

use crate::congestion::downlink::Downlink;
use crate::counters::ForwardCounters;
use crate::down_track::DownTrack;
use crate::layers::Allocation;
use crate::outbox::StreamState;
use crate::parameters::{
    Codec, MediaKind, PayloadAccess, PublisherHandle, SubscriberHandle, TransportHandle,
};
use crate::up_track::{Encoding, EncodingIndex, UpTrack};

/// One session's forwarding.
#[derive(Clone, Debug, Serialize)]
#[cfg_attr(feature = "schema", derive(schemars::JsonSchema))]
pub struct ForwardingSnapshot {
    /// How much of a payload may be read.
    pub access: PayloadAccess,
    /// Each m-line of each Publisher.
    pub up_tracks: Vec<UpTrackSnapshot>,
    /// Each m-line of each Subscriber.
    pub down_tracks: Vec<DownTrackSnapshot>,
    /// The dominant speaker.
    pub dominant_speaker: Option<PublisherHandle>,
    /// Each subscriber's downlink.
    pub downlinks: Vec<DownlinkSnapshot>,
    /// Totals of this session.
    pub counters: std::collections::BTreeMap<&'static str, u64>,
}

/// One m-line of a Publisher.
#[derive(Clone, Debug, Serialize)]
#[cfg_attr(feature = "schema", derive(schemars::JsonSchema))]
pub struct UpTrackSnapshot {
    /// Its publisher.
    pub publisher: PublisherHandle,
    /// Its uplink.
    pub transport: TransportHandle,
    /// Its identification tag on the uplink.
    pub mid: String,
    /// Audio or video.
    pub kind: MediaKind,
    /// What it sends.
    pub codec: Codec,
    /// False: muted by the control plane.
    pub forwarding: bool,
    /// Packets accepted for forwarding since the start.
    pub packets: u64,
    /// Its simulcast encodings; a single one without simulcast.
    pub encodings: Vec<EncodingSnapshot>,
}

/// One encoding as its publisher sends it.
#[derive(Clone, Debug, Serialize)]
#[cfg_attr(feature = "schema", derive(schemars::JsonSchema))]
pub struct EncodingSnapshot {
    /// Once known.
    pub ssrc: Option<u32>,
    /// Simulcast only.
    pub rid: Option<String>,
    /// A packet of it was accepted.
    pub active: bool,
    /// It has receivers, so its publisher should send it.
    pub subscribed: bool,
    /// Packets received since the start.
    pub packets: u64,
    /// Last measured bitrate.
    pub bitrate_bps: u64,
    /// Width and height in pixels, if readable.
    pub size: Option<(u16, u16)>,
    /// Frames per second, if readable.
    pub frame_rate: Option<f32>,
    /// The highest spatial and temporal layer.
    pub layers: (u8, u8),
}

/// One m-line of a Subscriber.
#[derive(Clone, Debug, Serialize)]
#[cfg_attr(feature = "schema", derive(schemars::JsonSchema))]
pub struct DownTrackSnapshot {
    /// Its subscriber.
    pub subscriber: SubscriberHandle,
    /// The publisher that it receives.
    pub publisher: PublisherHandle,
    /// Its downlink.
    pub transport: TransportHandle,
    /// Its identification tag on the downlink.
    pub mid: String,
    /// The SSRC for the subscriber.
    pub ssrc: u32,
    /// Audio or video.
    pub kind: MediaKind,
    /// False: paused by the control plane.
    pub forwarding: bool,
    /// The encoding that is forwarded.
    pub encoding: Option<usize>,
    /// The spatial and temporal layer that is forwarded.
    pub level: (u8, u8),
    /// The largest encoding that the downlink has room for; `None`: no limit.
    pub limit: Option<usize>,
    /// The downlink has no room for any of its video: only still frames pass.
    pub paused: bool,
    /// Whether the downlink carries its video.
    pub stream_state: StreamState,
    /// The `DropReason` that currently withholds its media.
    pub waiting: Option<&'static str>,
    /// Packets sent.
    pub packets: u64,
    /// Bytes sent.
    pub bytes: u64,
    /// Retransmitted packets.
    pub resent: u64,
    /// Share of packets lost in the subscriber's last report, in 256ths (RFC 3550 6.4.1).
    pub fraction_lost: u8,
    /// From the subscriber's last report.
    pub round_trip_ms: Option<u64>,
}

/// Congestion control of one subscriber's downlink.
#[derive(Clone, Debug, Serialize)]
#[cfg_attr(feature = "schema", derive(schemars::JsonSchema))]
pub struct DownlinkSnapshot {
    /// Its transport.
    pub transport: TransportHandle,
    /// Its peer sends transport-wide feedback.
    pub has_feedback: bool,
    /// Estimated bandwidth.
    pub estimate_bps: u64,
    /// Bitrate that may be sent: less than the estimate while the path's queue is long.
    pub budget_bps: u64,
    /// What the last change of the estimate came from.
    pub reason: &'static str,
    /// The path has shown a limit; otherwise the estimate is only what was shown to pass.
    pub limited: bool,
    /// Delay in the path's own queue.
    pub queueing_ms: u64,
    /// Share of packets lost, 0 to 1.
    pub loss_share: f64,
    /// Sent bitrate.
    pub sent_bps: Option<u64>,
    /// Bitrate that its subscriptions could use.
    pub wanted_bps: u64,
    /// Bitrate allocated to them.
    pub granted_bps: u64,
    /// Packets queued in the pacer.
    pub paced_packets: usize,
}

impl From<&UpTrack> for UpTrackSnapshot {
    fn from(up_track: &UpTrack) -> Self {
        let encodings = up_track.encodings.indexed();
        Self {
            publisher: up_track.publisher,
            transport: up_track.transport,
            mid: up_track.parameters.mid.clone(),
            kind: up_track.parameters.kind,
            codec: up_track.parameters.codec,
            forwarding: up_track.forwarding,
            packets: up_track.taken,
            encodings: encodings
                .map(|(index, encoding)| {
                    EncodingSnapshot::of(encoding, up_track.is_subscribed(index))
                })
                .collect(),
        }
    }
}

impl EncodingSnapshot {
    fn of(encoding: &Encoding, subscribed: bool) -> Self {
        let view = encoding.view();
        let top = encoding.layers.top();
        Self {
            ssrc: encoding.parameters.ssrc,
            rid: encoding.parameters.rid.clone(),
            active: encoding.active,
            subscribed,
            packets: encoding.reception.received(),
            bitrate_bps: view.bitrate.whole_bps(),
            size: view.size,
            frame_rate: view.frame_rate,
            layers: (top.spatial, top.temporal),
        }
    }
}

impl From<&DownTrack> for DownTrackSnapshot {
    fn from(down_track: &DownTrack) -> Self {
        let DownTrack {
            route,
            selection,
            outgoing,
            repair,
            delivery,
        } = down_track;
        let level = selection.level();
        let paused = selection.lacks_room();
        let round_trip = delivery.round_trip();
        Self {
            subscriber: route.subscriber,
            publisher: route.publisher,
            transport: route.transport,
            mid: outgoing.parameters().mid.clone(),
            ssrc: outgoing.ssrc(),
            kind: route.kind,
            forwarding: selection.forwards(),
            encoding: { selection.current() }
                .filter(|_| !paused)
                .map(|EncodingIndex(index)| index.into()),
            level: (level.spatial, level.temporal),
            limit: match selection.allocation() {
                Allocation::UpTo(layer) => Some(layer.encoding.into()),
                Allocation::Unlimited | Allocation::Paused => None,
            },
            paused,
            stream_state: selection.stream_state(),
            waiting: selection.waiting().map(crate::DropReason::name),
            packets: delivery.packets(),
            bytes: delivery.bytes(),
            resent: repair.resent(),
            fraction_lost: delivery.fraction_lost(),
            round_trip_ms: round_trip.map(|time| time.as_millis() as u64),
        }
    }
}

impl From<&Downlink> for DownlinkSnapshot {
    fn from(downlink: &Downlink) -> Self {
        downlink.snapshot()
    }
}

/// Totals by name.
pub(crate) fn counters(
    counters: &ForwardCounters,
) -> std::collections::BTreeMap<&'static str, u64> {
    counters.iter().collect()
}
