//! Everything a session's forwarding knows, for operators, tests and support.
//!
//! Plain data: the control plane gets it as it is written here (`sfu.core_api`).

use serde::Serialize;

use crate::congestion::downlink::Downlink;
use crate::counters::ForwardCounters;
use crate::layers::Allocation;
use crate::outbox::VideoSupply;
use crate::parameters::{
    Codec, MediaKind, PayloadAccess, PublisherHandle, SubscriberHandle, TransportHandle,
};
use crate::sink::Sink;
use crate::source::{Encoding, Source};

/// One session's forwarding.
#[derive(Clone, Debug, Serialize)]
#[cfg_attr(feature = "schema", derive(schemars::JsonSchema))]
pub struct ForwardingSnapshot {
    /// How much of a payload may be read.
    pub access: PayloadAccess,
    /// Each m-line of each Publisher.
    pub sources: Vec<SourceSnapshot>,
    /// Each m-line of each Subscriber.
    pub sinks: Vec<SinkSnapshot>,
    /// The publisher that speaks.
    pub dominant_speaker: Option<PublisherHandle>,
    /// What is known of each subscriber's link.
    pub downlinks: Vec<DownlinkSnapshot>,
    /// Totals of this session.
    pub counters: std::collections::BTreeMap<&'static str, u64>,
}

/// One m-line of a Publisher.
#[derive(Clone, Debug, Serialize)]
#[cfg_attr(feature = "schema", derive(schemars::JsonSchema))]
pub struct SourceSnapshot {
    /// Whose.
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
    /// Packets accepted for forwarding since it began.
    pub packets: u64,
    /// Its simulcast versions; one without simulcast.
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
    /// Somebody could be given it, so that its publisher is to send it.
    pub wanted: bool,
    /// Packets received since it began.
    pub packets: u64,
    /// As last measured.
    pub bitrate_bps: u64,
    /// Width and height in pixels, where they can be read.
    pub size: Option<(u16, u16)>,
    /// Frames per second, where they can be read.
    pub frame_rate: Option<f32>,
    /// The highest spatial and temporal layer.
    pub layers: (u8, u8),
}

/// One m-line of a Subscriber.
#[derive(Clone, Debug, Serialize)]
#[cfg_attr(feature = "schema", derive(schemars::JsonSchema))]
pub struct SinkSnapshot {
    /// Whose.
    pub subscriber: SubscriberHandle,
    /// What it receives.
    pub publisher: PublisherHandle,
    /// Its downlink.
    pub transport: TransportHandle,
    /// Its identification tag on the downlink.
    pub mid: String,
    /// What the subscriber sees.
    pub ssrc: u32,
    /// Audio or video.
    pub kind: MediaKind,
    /// False: held back by the control plane.
    pub forwarding: bool,
    /// The encoding that is being forwarded.
    pub encoding: Option<usize>,
    /// The spatial and temporal layer that is being forwarded.
    pub level: (u8, u8),
    /// The largest encoding that the subscriber's link has room for; `None`: no limit.
    pub limit: Option<usize>,
    /// Its link has no room for any of its video.
    pub paused: bool,
    /// What its link carries of its video.
    pub supply: VideoSupply,
    /// The `DropReason` that withholds its media at the moment.
    pub waiting: Option<&'static str>,
    /// Packets sent.
    pub packets: u64,
    /// Bytes sent.
    pub bytes: u64,
    /// Packets sent again.
    pub resent: u64,
    /// Share of packets that the subscriber missed in its last report, in 256ths (RFC 3550 6.4.1).
    pub fraction_lost: u8,
    /// Of the subscriber's last report.
    pub round_trip_ms: Option<u64>,
}

/// What congestion control knows of one subscriber's link.
#[derive(Clone, Debug, Serialize)]
#[cfg_attr(feature = "schema", derive(schemars::JsonSchema))]
pub struct DownlinkSnapshot {
    /// Which.
    pub transport: TransportHandle,
    /// Its peer sends transport-wide feedback.
    pub has_feedback: bool,
    /// What it is estimated to carry.
    pub estimate_bps: u64,
    /// What may be sent: the estimate less what retransmissions take.
    pub budget_bps: u64,
    /// What the estimate rests on.
    pub reason: &'static str,
    /// The estimate is a limit that was found, not only what was sent so far.
    pub limited: bool,
    /// Delay in the path's own queue.
    pub queueing_ms: u64,
    /// Share of packets lost, 0 to 1.
    pub loss_share: f64,
    /// What is being sent.
    pub sent_bps: Option<u64>,
    /// What its subscriptions could use.
    pub wanted_bps: u64,
    /// What they were given.
    pub granted_bps: u64,
    /// Packets that wait in the pacer.
    pub paced_packets: usize,
}

impl From<&Source> for SourceSnapshot {
    fn from(source: &Source) -> Self {
        let encodings = source.encodings.iter().enumerate();
        Self {
            publisher: source.publisher,
            transport: source.transport,
            mid: source.parameters.mid.clone(),
            kind: source.parameters.kind,
            codec: source.parameters.codec,
            forwarding: source.forwarding,
            packets: source.taken,
            encodings: encodings
                .map(|(index, encoding)| EncodingSnapshot::of(encoding, source.demands(index)))
                .collect(),
        }
    }
}

impl EncodingSnapshot {
    fn of(encoding: &Encoding, wanted: bool) -> Self {
        let view = encoding.view();
        let top = encoding.layers.top();
        Self {
            ssrc: encoding.parameters.ssrc,
            rid: encoding.parameters.rid.clone(),
            active: encoding.active,
            wanted,
            packets: encoding.reception.received(),
            bitrate_bps: view.bitrate_bps as u64,
            size: view.size,
            frame_rate: view.frame_rate,
            layers: (top.spatial, top.temporal),
        }
    }
}

impl From<&Sink> for SinkSnapshot {
    fn from(sink: &Sink) -> Self {
        let level = sink.filter.level();
        Self {
            subscriber: sink.subscriber,
            publisher: sink.publisher,
            transport: sink.transport,
            mid: sink.parameters.mid.clone(),
            ssrc: sink.parameters.ssrc,
            kind: sink.kind,
            forwarding: sink.forwarding,
            encoding: sink.current,
            level: (level.spatial, level.temporal),
            limit: match sink.allocation {
                Allocation::UpTo(layer) => Some(layer.encoding.into()),
                Allocation::Unlimited | Allocation::Paused => None,
            },
            paused: matches!(sink.allocation, Allocation::Paused),
            supply: sink.supply,
            waiting: sink.waiting.map(crate::DropReason::name),
            packets: sink.packets,
            bytes: sink.bytes,
            resent: sink.resent,
            fraction_lost: sink.fraction_lost,
            round_trip_ms: sink.round_trip.map(|time| time.as_millis() as u64),
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
