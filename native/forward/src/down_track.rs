//! A down track: one m-line of a Subscriber. It admits packets of its up track, rewrites and paces
//! them, and retransmits lost ones.

mod admission;
mod blame;
mod layering;
mod resending;
mod stills;
mod switching;
mod waiting;

use std::time::{Duration, Instant};

use sealroute_rtp::{FullSequence, RtpHeader};

use crate::congestion::downlink::{Content, Downlink, Stamp};
use crate::congestion::pacer::{MAX_WAIT, Pace, Queued};
use crate::counters::ForwardCounters;
use crate::drop_reason::DropReason;
use crate::extensions::{BLOCK_BYTES, Entries, IdTable, Mapped};
use crate::key_frame_requests::RequestBudget;
use crate::layer_filter::LayerFilter;
use crate::layers::{Allocation, Layer};
use crate::outbox::{Outbox, StreamState};
use crate::packet_cache::CachedPacket;
use crate::parameters::{
    DownTrackParameters, Extension, MediaKind, PreferredLayers, PublisherHandle, SubscriberHandle,
    TransportHandle,
};
use crate::registry::{DownlinkKey, UpTrackKey};
use crate::rewriter::{Rewriter, RewrittenHeader};
use crate::up_track::{EncodingIndex, Pending, UpTrack};

use stills::{STILL_WAIT, Still};
use switching::{Held, Progress};

/// The SDP declares the SSRC, so the MID is only needed until the first packets have arrived.
const PACKETS_WITH_MID: u64 = 64;
/// Round trips take longer than this wherever loss is common.
const RESEND_INTERVAL: Duration = Duration::from_millis(40);
/// Retransmitted bytes as a share of sent bytes: a flood of NACKs must not become a flood of media.
/// With the burst, the total stays below a fifth within a minute, which repairs 13 % loss in each
/// direction.
const RESEND_SHARE: f64 = 0.18;
/// A gap of a third of a second in a stream of 1 Mbit/s.
const RESEND_BURST_BYTES: f64 = 48_000.0;
/// More audio packets than are lost within a round trip.
const RESENT_REMEMBERED: usize = 16;
const SECOND_REPEATS: usize = 8;
/// The cause of a loss often takes the following packets too.
const SECOND_REPEAT_AFTER: Duration = Duration::from_millis(10);
const ORIGINAL_SEQUENCE_BYTES: usize = 2;
/// The largest VP8 payload descriptor.
const DESCRIPTOR_BYTES: usize = 6;

const PADDING_BIT: u8 = 0x20;
/// RFC 3550 section 5.1: the last byte holds the padding length.
const PADDING: [u8; 255] = {
    let mut padding = [0; 255];
    padding[254] = 255;
    padding
};

/// The fixed header, the extensions that are forwarded, and a MID and a stamp of our own. An
/// element that does not fit is dropped.
const HEADER_BYTES: usize = 16 + BLOCK_BYTES + 40;
/// Room for a header, an original sequence number and a payload descriptor. Every packet clears it,
/// so it is not larger.
type HeaderBuffer = [u8; HEADER_BYTES + ORIGINAL_SEQUENCE_BYTES + DESCRIPTOR_BYTES];
const CLEAR: HeaderBuffer = [0; HEADER_BYTES + ORIGINAL_SEQUENCE_BYTES + DESCRIPTOR_BYTES];

/// The last sender report to a subscriber, for the round-trip time.
#[derive(Clone, Copy, Debug)]
pub(crate) struct SentReport {
    pub(crate) ntp_middle: u32,
    pub(crate) at: Instant,
}

/// One m-line of a Subscriber.
pub(crate) struct DownTrack {
    pub(crate) subscriber: SubscriberHandle,
    pub(crate) publisher: PublisherHandle,
    pub(crate) transport: TransportHandle,
    pub(crate) up_track: UpTrackKey,
    pub(crate) downlink: DownlinkKey,
    pub(crate) kind: MediaKind,
    pub(crate) parameters: DownTrackParameters,
    pub(crate) forwarding: bool,
    pub(crate) preferred: PreferredLayers,
    pub(crate) allocation: Allocation,
    pub(crate) stream_state: StreamState,
    /// Its transport is local: no network, and a reader that gets every voice.
    pub(crate) is_local: bool,
    /// Packets withheld because the reader of a local transport is behind, until it is told.
    pub(crate) withheld: u32,
    /// Since when the downlink has not carried the smallest layer.
    pub(crate) starved: Option<Instant>,
    pub(crate) current: Option<EncodingIndex>,
    still: Still,
    pub(crate) budget: RequestBudget,
    pub(crate) packets: u64,
    pub(crate) bytes: u64,
    pub(crate) resent: u64,
    padding_packets: u64,
    pub(crate) waiting: Option<DropReason>,
    pub(crate) wants_report: bool,
    pub(crate) report: Option<SentReport>,
    pub(crate) round_trip: Option<Duration>,
    pub(crate) fraction_lost: u8,
    reported: Option<blame::Reported>,
    /// A switch that waits for the end of a frame.
    held: Option<Held>,
    pub(crate) rewriter: Rewriter,
    pub(crate) filter: LayerFilter,
    /// The layer filter of the previous mapping epoch.
    ended_filter: LayerFilter,
    ids: IdTable,
    clock_rate_hz: u32,
    resend_bytes: f64,
    /// The first sequence number that this down track assigned. Earlier ones belong to another
    /// stream.
    first: Option<u64>,
    /// Packets retransmitted under their own sequence number.
    resent_at: [Option<(u16, Instant)>; RESENT_REMEMBERED],
    second_repeats: [Option<u16>; SECOND_REPEATS],
    /// The audio packet that is sent again together with the next one.
    twice: Option<u16>,
    /// Packets to send a second time over the retransmission stream, each with its due time.
    second_retransmissions: [Option<(u16, Instant)>; SECOND_REPEATS],
    /// The earliest of those due times.
    repeats_from: Option<Instant>,
    /// Queued packets that were given up and are not counted yet.
    overtaken: usize,
    /// Unrequested repetitions that are not counted yet.
    unasked: u64,
}

/// A packet that may be forwarded.
#[derive(Clone, Copy)]
struct Candidate {
    /// The encoding to forward.
    target: Option<EncodingIndex>,
    pending: Pending,
}

/// A header as this down track writes it, before the extensions of the packet.
#[derive(Clone, Copy)]
struct OwnHeader {
    header: RtpHeader,
    with_mid: bool,
    stamp: Stamp,
}

/// The registry keys of the m-line's neighbors.
#[derive(Clone, Copy)]
pub(crate) struct DownTrackPlace {
    pub(crate) subscriber: SubscriberHandle,
    pub(crate) transport: TransportHandle,
    pub(crate) up_track: UpTrackKey,
    pub(crate) downlink: DownlinkKey,
    /// On a local transport: the allocation to start with.
    pub(crate) local: Option<Allocation>,
}

impl DownTrack {
    pub(crate) fn new(
        place: DownTrackPlace,
        up_track: &UpTrack,
        parameters: DownTrackParameters,
        mut rewriter: Rewriter,
    ) -> Self {
        rewriter.stop();
        Self {
            subscriber: place.subscriber,
            publisher: up_track.publisher,
            transport: place.transport,
            up_track: place.up_track,
            downlink: place.downlink,
            kind: up_track.parameters.kind,
            ids: IdTable::new(&parameters.extensions),
            parameters,
            forwarding: true,
            preferred: PreferredLayers::default(),
            allocation: place.local.unwrap_or_default(),
            stream_state: StreamState::Ok,
            is_local: place.local.is_some(),
            withheld: 0,
            starved: None,
            current: None,
            still: Still::default(),
            budget: RequestBudget::default(),
            packets: 0,
            bytes: 0,
            resent: 0,
            padding_packets: 0,
            waiting: None,
            wants_report: false,
            report: None,
            round_trip: None,
            fraction_lost: 0,
            reported: None,
            held: None,
            rewriter,
            filter: LayerFilter::default(),
            ended_filter: LayerFilter::default(),
            clock_rate_hz: up_track.parameters.clock_rate_hz,
            resend_bytes: RESEND_BURST_BYTES,
            first: None,
            resent_at: [None; RESENT_REMEMBERED],
            second_repeats: [None; SECOND_REPEATS],
            twice: None,
            second_retransmissions: [None; SECOND_REPEATS],
            repeats_from: None,
            overtaken: 0,
            unasked: 0,
        }
    }

    /// The highest layer that the downlink has room for. `None`: not even the smallest. Resumed
    /// video starts at a key frame, which is requested with the up track's next packet.
    pub(crate) fn set_allocation(&mut self, layer: Option<Layer>) {
        self.allocate(layer.into());
    }

    pub(crate) fn allocate(&mut self, allocation: Allocation) {
        let was_paused = self.lacks_room();
        self.allocation = allocation;
        if self.lacks_room() != was_paused {
            self.still = Still::default();
            self.restart();
        }
    }

    /// Whether the downlink has no room for it.
    pub(crate) fn lacks_room(&self) -> bool {
        self.allocation == Allocation::Paused
    }

    /// Forwards the packets that the up track received since the last flush.
    #[inline]
    pub(crate) fn forward(
        &mut self,
        now: Instant,
        up_track: &mut UpTrack,
        downlink: &mut Downlink,
        counters: &mut ForwardCounters,
        out: &mut impl Outbox,
    ) {
        let target = self.target(now, up_track);
        let mut wants_key_frame = false;
        for (place, &pending) in up_track.pending.iter().enumerate() {
            let before = self.current;
            match self.forward_one(now, Candidate { target, pending }, up_track, downlink, out) {
                Ok(pace) => {
                    counters.rtp_forwarded += u64::from(pace == Pace::Now);
                    self.waiting = self.lacks_room().then_some(DropReason::Bandwidth);
                }
                Err(reason) => {
                    counters.drop_packet(reason);
                    let elsewhere = [DropReason::OtherEncoding, DropReason::UpperLayer];
                    if !elsewhere.contains(&reason) || self.current.is_none() {
                        self.waiting = Some(reason);
                    }
                }
            }
            if self.current == before && self.held.is_none() {
                continue;
            }
            let has_started = self.current.is_some() && self.current != before;
            counters.still_frames += u64::from(has_started && self.lacks_room());
            let started = has_started.then_some(pending);
            let later = &up_track.pending[place + 1..];
            let progress = Progress {
                target,
                started,
                later,
            };
            let (sent, queued) = self.go_on(now, progress, up_track, downlink, out);
            counters.rtp_forwarded += sent;
            counters.rtp_caught_up += sent + queued;
        }
        self.settle(counters);
        let receives = self.forwarding && !self.lacks_room();
        if receives && self.kind == MediaKind::Video {
            let switches = self.current != target && self.held.is_none();
            wants_key_frame = switches || self.awaits_size(up_track);
        }
        if wants_key_frame {
            up_track.want_key_frame(target);
        }
    }

    fn forward_one(
        &mut self,
        now: Instant,
        candidate: Candidate,
        up_track: &UpTrack,
        downlink: &mut Downlink,
        out: &mut impl Outbox,
    ) -> Result<Pace, DropReason> {
        let (packet, rewritten) = self.admit(now, candidate, up_track, downlink)?;
        let pending = candidate.pending;
        if pending.layer.is_some() && rewritten.is_padding {
            self.send_padding_for(now, rewritten, downlink, out);
            self.remember(pending, rewritten, false);
            return Err(DropReason::UpperLayer);
        }
        let pace = self.pace(now, pending, rewritten, packet, downlink);
        match pace {
            Pace::Now => {
                if self.kind == MediaKind::Audio {
                    self.send_twice(now, rewritten, downlink, out);
                }
                if self.repeats_from.is_some_and(|at| at <= now) {
                    self.retransmit_once_more(now, up_track, downlink, out);
                }
                let stamp = self.stamp(now, packet.payload.len(), downlink);
                self.send(packet, rewritten, stamp, out);
            }
            Pace::Later => {}
            Pace::Full => {
                self.fall_behind(now, rewritten, downlink, out);
                return Err(DropReason::PacerFull);
            }
        }
        self.remember(pending, rewritten, pace == Pace::Later);
        Ok(pace)
    }

    fn remember(&mut self, pending: Pending, rewritten: RewrittenHeader, waits: bool) {
        if self.parameters.nack && !self.keeps_protected() {
            let (encoding, input) = (pending.encoding, pending.sequence);
            self.rewriter.remember(encoding, input, rewritten, waits);
        }
    }

    fn pace(
        &self,
        now: Instant,
        pending: Pending,
        rewritten: RewrittenHeader,
        packet: CachedPacket<'_>,
        downlink: &mut Downlink,
    ) -> Pace {
        let bytes = packet.payload.len();
        if self.kind == MediaKind::Audio {
            downlink.pacer.spend(now, bytes);
            return Pace::Now;
        }
        let (pacer, wait) = if self.lacks_room() {
            (&mut downlink.stills, STILL_WAIT)
        } else {
            (&mut downlink.pacer, MAX_WAIT)
        };
        let pace = pacer.take(now, bytes);
        if pace == Pace::Later {
            pacer.push(Queued {
                subscriber: self.subscriber,
                ssrc: self.parameters.ssrc,
                encoding: pending.encoding,
                sequence: pending.sequence,
                rewritten,
                bytes,
                expires: now + wait,
            });
            downlink.wake_for_queue(now);
        } else if self.lacks_room() {
            downlink.pacer.spend(now, bytes);
        }
        pace
    }

    fn stamp(&self, now: Instant, bytes: usize, downlink: &mut Downlink) -> Stamp {
        let content = if self.is_reported() {
            Content::Media
        } else if self.ids.id(Extension::AbsSendTime) != 0 {
            Content::Timed
        } else {
            Content::Unreported
        };
        downlink.stamp(now, bytes, content)
    }

    /// Whether the subscriber sends transport-wide feedback on this down track.
    pub(crate) fn is_reported(&self) -> bool {
        self.ids.id(Extension::TransportCc) != 0
    }

    fn send(
        &mut self,
        packet: CachedPacket<'_>,
        rewritten: RewrittenHeader,
        stamp: Stamp,
        out: &mut impl Outbox,
    ) {
        let mut buffer = CLEAR;
        let header = RtpHeader {
            marker: packet.marker || rewritten.ends_frame,
            payload_type: self.parameters.payload_type,
            sequence: rewritten.sequence as u16,
            timestamp: rewritten.timestamp,
            ssrc: self.parameters.ssrc,
        };
        let own = OwnHeader {
            header,
            with_mid: self.rewriter.age(rewritten) < PACKETS_WITH_MID,
            stamp,
        };
        let mut end = self.write_header(own, packet.extensions, &mut buffer);
        let replaced = write_descriptor(rewritten, packet, &mut buffer[end..]);
        end += replaced;
        let payload = &packet.payload[replaced..];
        if self.keeps_protected() {
            self.repeat_once_more(out);
            self.first.get_or_insert(rewritten.sequence);
            out.rtp_kept(self.transport, &buffer[..end], payload);
        } else {
            out.rtp(self.transport, &buffer[..end], payload);
        }
        self.rewriter.count_sent(rewritten);
        self.packets += 1;
        self.bytes += packet.payload.len() as u64;
        let earned = packet.payload.len() as f64 * RESEND_SHARE;
        self.resend_bytes = (self.resend_bytes + earned).min(RESEND_BURST_BYTES);
    }

    fn write_header(&self, own: OwnHeader, block: &[u8], buffer: &mut HeaderBuffer) -> usize {
        let Some(buffer) = buffer.first_chunk_mut::<HEADER_BYTES>() else {
            return 0;
        };
        let mid_id = self.ids.id(Extension::Mid);
        let mid = (own.with_mid && mid_id != 0).then_some((mid_id, self.parameters.mid.as_bytes()));
        let mapped = Mapped {
            entries: Entries(block),
            ids: &self.ids,
        };
        let stamped = match &own.stamp {
            Stamp::None => None,
            Stamp::TransportSequence(value) => Some((Extension::TransportCc, value.as_slice())),
            Stamp::SendTime(value) => Some((Extension::AbsSendTime, value.as_slice())),
        };
        let stamped = stamped.map(|(kind, value)| (self.ids.id(kind), value));
        own.header
            .write(mid.into_iter().chain(stamped).chain(mapped), buffer)
    }
}

fn write_descriptor(rewritten: RewrittenHeader, packet: CachedPacket<'_>, out: &mut [u8]) -> usize {
    let room = out.len().min(DESCRIPTOR_BYTES);
    rewritten.rewrite_vp8(packet, &mut out[..room])
}

fn cached(
    up_track: &UpTrack,
    encoding: EncodingIndex,
    sequence: FullSequence,
) -> Option<CachedPacket<'_>> {
    up_track.encodings.get(encoding)?.packet(sequence)
}
