//! Forwarding state of one session: commands and packets in, rewritten packets out.
//!
//! # Theory of operation
//!
//! The router owns every up track, down track and downlink of a session, each in a registry with
//! keys of its own type; they refer to each other by key only. An up track lists the down tracks
//! that it feeds, a downlink those that it carries.
//!
//! ```text
//!  handle_rtp ─> route by (transport, SSRC) ─> UpTrack: guard, cache, pending       packets.rs
//!  flush ──────> each dirty up track ─> each DownTrack: admit, rewrite, pace ─> Outbox
//!  handle_rtcp ─> reports, NACK, PLI, feedback                                      reports.rs
//!  poll_timeout, handle_timeout ─> releases, probes, allocation                     bandwidth.rs
//!                               ├> still frames of paused video                    stills.rs
//!                               ├> feedback to publishers                          uplinks.rs
//!                               └> NACKs, key-frame requests, reviews, reports
//!  commands ───> publish, subscribe, pause, prefer, end                             commands.rs
//!                local transports: readers of clear media on this host                local.rs
//!                trunks: other workers of this process                                trunks.rs
//! ```
//!
//! - A batch calls `handle_rtp` for each packet, then `flush` once: packets leave subscriber by
//!   subscriber, so that the worker can send several as one segmented datagram.
//! - A packet is parsed once, when it arrives. What receivers need of it is in the cache of its
//!   encoding, under its unwrapped sequence number.
//! - An SSRC that was not declared is bound to an encoding by MID and RID, a bounded number of
//!   times for each transport.
//! - A command adds all of its tracks or none. What a publisher fed ends with it, and what used a
//!   transport ends with that; nobody else keeps what exists in a session.
//! - Rewriters and retransmission counters of ended down tracks are parked while the transport
//!   lives: its SRTP keys must not protect a second packet under a used sequence number.
//! - Timeouts: `up_tracks.rs` keeps those of up tracks in order and computes one again only after a
//!   change; `downlinks.rs` lists the downlinks that have one, and ticks for allocation.
//!
//! # What is left out
//!
//! Sockets, clocks, SRTP and peers' addresses are the worker's; who may publish or subscribe is
//! decided in the control plane. Mixing, transcoding and decryption are not possible by design.

mod bandwidth;
mod commands;
mod downlinks;
mod local;
mod packets;
mod reports;
mod stills;
mod subscribed_layers;
mod trunks;
mod up_tracks;
mod uplinks;

use std::collections::{HashMap, HashSet};
use std::time::{Duration, Instant};

use sealroute_rtp::{DataRate, Sequence};

use crate::counters::ForwardCounters;
use crate::down_track::DownTrack;
use crate::parameters::{PayloadAccess, PublisherHandle, SubscriberHandle, TransportHandle};
use crate::registry::{DownTrackKey, Registry, UpTrackKey};
use crate::rewriter::Rewriter;
use crate::snapshot::{self, DownlinkSnapshot, ForwardingSnapshot};
use crate::speakers::Speakers;
use crate::up_track::EncodingIndex;

pub use local::ClearMedia;

use downlinks::Downlinks;
use local::Local;
use trunks::Trunks;
use up_tracks::UpTracks;
use uplinks::Uplinks;

/// Settings of forwarding.
#[derive(Clone, Copy, Debug)]
pub struct ForwardSettings {
    /// Minimum time between key-frame requests to the publisher of a video. Persistent requests are
    /// sent half as often.
    pub key_frame_interval: Duration,
    /// Large sessions forward only this many audio tracks, the loudest; 0: all.
    pub loudest_voices: usize,
    /// A session with more audio tracks than this is large.
    pub voices_of_large_session: usize,
    /// Initial bandwidth estimate per subscriber, used until feedback arrives.
    pub start_downlink: DataRate,
    /// Upper limit of the estimate, whatever a peer reports.
    pub max_downlink: DataRate,
}

impl Default for ForwardSettings {
    fn default() -> Self {
        Self {
            key_frame_interval: Duration::from_millis(500),
            loudest_voices: 0,
            voices_of_large_session: 0,
            start_downlink: DataRate::from_kbps(800.0),
            max_downlink: DataRate::from_kbps(100_000.0),
        }
    }
}

/// Why a command was refused.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum ForwardError {
    /// No such publisher, subscriber or up track.
    UnknownHandle,
    /// The handle is in use already.
    HandleTaken,
    /// Another up track or down track of the transport has this SSRC, MID or RID.
    Conflict,
    /// The parameters are inconsistent.
    Invalid,
    /// The session's payloads must not be read.
    Opaque,
}

impl ForwardError {
    /// Stable text for `CommandFailed`.
    pub fn name(self) -> &'static str {
        match self {
            Self::UnknownHandle => "unknown_handle",
            Self::HandleTaken => "handle_taken",
            Self::Conflict => "conflict",
            Self::Invalid => "invalid",
            Self::Opaque => "opaque",
        }
    }
}

/// The RtpStream of an SSRC on a transport.
#[derive(Clone, Copy, Debug)]
struct Route {
    up_track: UpTrackKey,
    encoding: EncodingIndex,
    retransmission: bool,
}

type BySsrc<T> = HashMap<(TransportHandle, u32), T, foldhash::fast::RandomState>;

/// Forwards among the clients of one session. Owner: the worker thread.
pub struct SessionRouter {
    access: PayloadAccess,
    settings: ForwardSettings,
    up_tracks: UpTracks,
    down_tracks: Registry<DownTrackKey, DownTrack>,
    publishers: HashMap<PublisherHandle, Vec<UpTrackKey>>,
    subscribers: HashMap<SubscriberHandle, Vec<DownTrackKey>>,
    routes: BySsrc<Route>,
    down_track_ssrcs: BySsrc<DownTrackKey>,
    /// Rewriters of SSRCs without a down track at the moment.
    parked: BySsrc<Rewriter>,
    /// The last sequence numbers of retransmission SSRCs without a down track at the moment.
    parked_rtx: BySsrc<u16>,
    /// Retransmission SSRCs of down tracks.
    rtx_ssrcs: HashSet<(TransportHandle, u32), foldhash::fast::RandomState>,
    uplinks: Uplinks,
    downlinks: Downlinks,
    /// Transports to processes of this host.
    locals: HashMap<TransportHandle, Local>,
    /// Transports to other workers of this process.
    trunks: Trunks,
    /// Keys of up tracks with pending packets.
    dirty: Vec<UpTrackKey>,
    speakers: Speakers,
    /// A change that is not reported yet.
    new_speaker: Option<PublisherHandle>,
    next_report: Option<Instant>,
    lost: Vec<Sequence>,
    compound: Vec<u8>,
    counters: ForwardCounters,
}

impl SessionRouter {
    /// An empty session.
    pub fn new(access: PayloadAccess, settings: ForwardSettings) -> Self {
        Self {
            access,
            settings,
            up_tracks: UpTracks::default(),
            down_tracks: Registry::default(),
            publishers: HashMap::new(),
            subscribers: HashMap::new(),
            routes: HashMap::default(),
            down_track_ssrcs: HashMap::default(),
            parked: HashMap::default(),
            parked_rtx: HashMap::default(),
            rtx_ssrcs: HashSet::default(),
            uplinks: Uplinks::default(),
            downlinks: Downlinks::default(),
            locals: HashMap::new(),
            trunks: Trunks::default(),
            dirty: Vec::new(),
            speakers: Speakers::default(),
            new_speaker: None,
            next_report: None,
            lost: Vec::new(),
            compound: Vec::new(),
            counters: ForwardCounters::default(),
        }
    }

    /// Whether the publisher is in this session.
    pub fn has_publisher(&self, publisher: PublisherHandle) -> bool {
        self.publishers.contains_key(&publisher)
    }

    /// Whether the subscriber is in this session.
    pub fn has_subscriber(&self, subscriber: SubscriberHandle) -> bool {
        self.subscribers.contains_key(&subscriber)
    }

    /// Totals since start.
    pub fn counters(&self) -> &ForwardCounters {
        &self.counters
    }

    /// A snapshot of the session.
    pub fn snapshot(&self) -> ForwardingSnapshot {
        ForwardingSnapshot {
            access: self.access,
            up_tracks: self
                .up_tracks
                .iter()
                .map(|(_, up_track)| up_track.into())
                .collect(),
            down_tracks: self
                .down_tracks
                .iter()
                .map(|(_, down_track)| down_track.into())
                .collect(),
            dominant_speaker: self.speakers.dominant(),
            downlinks: self.downlinks.iter().map(DownlinkSnapshot::from).collect(),
            counters: snapshot::counters(&self.counters),
        }
    }
}
