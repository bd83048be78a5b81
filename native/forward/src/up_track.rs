//! An up track: one m-line of a Publisher, with its RtpStreams and the packets to forward.

mod encoding;

use std::time::{Duration, Instant};

use sealroute_rtp::layers_allocation::LayersAllocation;
use sealroute_rtp::{FullSequence, RtpPacket, Sequence};

use crate::congestion::OVERHEAD_BYTES;
use crate::drop_reason::DropReason;
use crate::extensions::{BLOCK_BYTES, Entries, IdTable, collect, value_of};
use crate::frame_mark::{FrameHeader, read};
use crate::key_frame_requests::UpTrackBudget;
use crate::layer_filter::LayerMark;
use crate::packet_cache::{CachedPacket, PacketCache};
use crate::parameters::{
    Extension, MediaKind, PayloadAccess, PublisherHandle, TransportHandle, UpTrackParameters,
};
use crate::plaintext_guard::PlaintextGuard;
use crate::registry::DownTrackKey;
use crate::subscribed_layers::SubscribedLayers;
use crate::trunk::{Skipped, TrunkSink};

pub(crate) use encoding::{Encoding, EncodingIndex, Encodings};

/// Bounds the packets between two flushes; the cache must still hold all of them.
const MAX_PENDING: usize = 256;
const ORIGINAL_SEQUENCE_BYTES: usize = 2;
/// Whatever the number of paused subscribers.
const STILL_REQUEST_INTERVAL: Duration = Duration::from_secs(2);

/// The place of a packet in an up track.
#[derive(Clone, Copy, Debug)]
struct Position {
    encoding: EncodingIndex,
    sequence: FullSequence,
}

/// A packet that waits for the next flush.
#[derive(Clone, Copy, Debug)]
pub(crate) struct Pending {
    pub(crate) encoding: EncodingIndex,
    pub(crate) sequence: FullSequence,
    pub(crate) key_frame: bool,
    /// The layer, if the encoding has several.
    pub(crate) layer: Option<LayerMark>,
}

/// One m-line of a Publisher.
pub(crate) struct UpTrack {
    pub(crate) publisher: PublisherHandle,
    pub(crate) transport: TransportHandle,
    pub(crate) parameters: UpTrackParameters,
    pub(crate) ids: IdTable,
    pub(crate) encodings: Encodings,
    pub(crate) guard: PlaintextGuard,
    /// Budget of key-frame requests to its publisher.
    pub(crate) budget: UpTrackBudget,
    /// The last request for a still frame.
    asked_for_still: Option<Instant>,
    pub(crate) forwarding: bool,
    /// Muted by level: louder voices are forwarded instead.
    pub(crate) quiet: bool,
    /// The encodings that its publisher should send. Video only.
    pub(crate) subscribed_layers: Option<SubscribedLayers>,
    pub(crate) pending: Vec<Pending>,
    /// Keys of the down tracks that it feeds.
    pub(crate) down_tracks: Vec<DownTrackKey>,
    /// Where else it is forwarded: by other workers of this process.
    pub(crate) trunks: Vec<TrunkSink>,
    /// Numbers that carry nothing, for them.
    pub(crate) skipped: Vec<Skipped>,
    pub(crate) taken: u64,
    /// It has pending packets or reports for the next flush.
    pub(crate) dirty: bool,
    access: PayloadAccess,
}

impl UpTrack {
    pub(crate) fn new(
        now: Instant,
        access: PayloadAccess,
        publisher: PublisherHandle,
        transport: TransportHandle,
        mut parameters: UpTrackParameters,
    ) -> Self {
        let kids = std::mem::take(&mut parameters.declared_kids);
        Self {
            publisher,
            transport,
            ids: IdTable::new(&parameters.extensions),
            encodings: Encodings(
                { parameters.encodings.iter().cloned() }
                    .map(|parameters| Encoding::new(now, parameters))
                    .collect(),
            ),
            guard: PlaintextGuard::new(kids),
            budget: UpTrackBudget::default(),
            asked_for_still: None,
            forwarding: true,
            quiet: false,
            subscribed_layers: (parameters.kind == MediaKind::Video)
                .then(|| SubscribedLayers::new(now, parameters.encodings.len())),
            pending: Vec::with_capacity(MAX_PENDING),
            down_tracks: Vec::new(),
            trunks: Vec::new(),
            skipped: Vec::new(),
            taken: 0,
            dirty: false,
            access,
            parameters,
        }
    }

    /// Another worker forwards it too and has judged its packets. The key ids of a frame may be
    /// declared here later than it arrives, so its form is enough.
    pub(crate) fn trust_origin(&mut self) {
        self.guard = PlaintextGuard::of_form();
        for stream in self.encodings.iter_mut() {
            stream.encrypted = true;
        }
    }

    /// Its way over a trunk.
    pub(crate) fn trunk(&self, transport: TransportHandle) -> Option<&TrunkSink> {
        { self.trunks.iter() }.find(|sink| sink.transport() == transport)
    }

    /// Takes a packet of one of its RtpStreams for the next flush.
    pub(crate) fn take(
        &mut self,
        now: Instant,
        encoding: EncodingIndex,
        packet: &RtpPacket<'_>,
    ) -> Result<(), DropReason> {
        if packet.payload_type() != self.parameters.payload_type {
            return Err(DropReason::PayloadType);
        }
        let clock_rate_hz = self.parameters.clock_rate_hz;
        let stream = &mut self.encodings[encoding];
        let before = stream.unwrapper.highest();
        let sequence = stream.unwrapper.unwrap(packet.sequence());
        stream.first.get_or_insert(sequence);
        let newest = before.is_none_or(|before| sequence > before);
        if self.parameters.nack {
            stream.nack.handle_arrival(now, sequence);
        }
        stream
            .reception
            .handle_arrival(now, sequence, packet.timestamp(), clock_rate_hz);
        stream.measure(now, packet.payload().len(), packet.marker());
        let taken = self.admit(
            now,
            Position { encoding, sequence },
            packet,
            packet.payload(),
        );
        if newest
            && matches!(
                taken,
                Err(DropReason::PaddingOnly | DropReason::NotEncrypted)
            )
        {
            // The sequence number carries nothing. Receivers must not wait for it.
            self.encodings[encoding].dropped.push(sequence);
            if !self.trunks.is_empty() && self.skipped.len() < MAX_PENDING {
                self.skipped.push(Skipped {
                    after: self.pending.len(),
                    encoding,
                    sequence,
                    timestamp: packet.timestamp(),
                });
            }
        }
        taken
    }

    /// Takes a packet of a retransmission stream (RFC 4588): a late original.
    pub(crate) fn take_retransmission(
        &mut self,
        now: Instant,
        encoding: EncodingIndex,
        packet: &RtpPacket<'_>,
    ) -> Result<(), DropReason> {
        if self.parameters.rtx_payload_type != Some(packet.payload_type()) {
            return Err(DropReason::PayloadType);
        }
        let Some((original, payload)) = packet
            .payload()
            .split_first_chunk::<ORIGINAL_SEQUENCE_BYTES>()
        else {
            return Err(DropReason::PaddingOnly);
        };
        let stream = &mut self.encodings[encoding];
        if stream.unwrapper.highest().is_none() {
            return Err(DropReason::TooLate);
        }
        let sequence = stream
            .unwrapper
            .unwrap(Sequence(u16::from_be_bytes(*original)));
        stream.nack.handle_arrival(now, sequence);
        self.admit(now, Position { encoding, sequence }, packet, payload)
    }

    fn admit(
        &mut self,
        now: Instant,
        Position { encoding, sequence }: Position,
        packet: &RtpPacket<'_>,
        payload: &[u8],
    ) -> Result<(), DropReason> {
        if payload.is_empty() {
            return Err(DropReason::PaddingOnly);
        }
        if !self.forwarding {
            return Err(DropReason::Muted);
        }
        let reading = read(self.parameters.codec, payload);
        let descriptor = value_of(&self.ids, packet, Extension::DependencyDescriptor);
        let stream = &mut self.encodings[encoding];
        if self.access == PayloadAccess::Opaque
            && !self
                .guard
                .admit(now, reading.frame_header, &mut stream.encrypted)
        {
            return Err(DropReason::NotEncrypted);
        }
        if stream.dropped.covers(sequence) {
            // Receivers do not count this sequence number: its mapped number belongs to another
            // packet.
            return Err(DropReason::TooLate);
        }
        if self.pending.len() >= MAX_PENDING {
            return Err(DropReason::Overflow);
        }
        let mut block = [0; BLOCK_BYTES];
        let length = collect(&self.parameters.extensions, packet.extensions(), &mut block);
        let kept = CachedPacket {
            timestamp: packet.timestamp(),
            marker: packet.marker(),
            extensions: &block[..length],
            payload,
            vp8: reading.vp8,
        };
        let kind = self.parameters.kind;
        let cache = stream.cache.get_or_insert_with(|| PacketCache::new(kind));
        if !cache.insert(sequence, kept) {
            return Err(DropReason::Duplicate);
        }
        if let FrameHeader::Kid(kid) = reading.frame_header
            && self.access == PayloadAccess::Opaque
            && kind == MediaKind::Video
            && stream.highest() == Some(sequence)
        {
            stream.note_kid(now, kid);
        }
        let (layer, declared) = stream.layers.mark(reading.layer, descriptor);
        let own =
            || reading.key_frame && (!reading.needs_earlier || stream.has_frame_up_to(sequence));
        let key_frame = declared.unwrap_or_else(own);
        if key_frame {
            stream.requests.handle_key_frame();
            // The size in the dependency descriptor takes precedence over the one in the payload.
            let declared_size = declared.and_then(|_| stream.layers.full_size());
            stream.size = declared_size.or(reading.size).or(stream.size);
        }
        let layers = &mut stream.layers;
        if let Some(mark) = layer {
            let bytes = payload.len() + OVERHEAD_BYTES;
            layers.count(mark.level, bytes, packet.marker());
        }
        self.read_sizes(encoding, packet);
        self.taken += 1;
        self.pending.push(Pending {
            encoding,
            sequence,
            key_frame,
            layer,
        });
        Ok(())
    }

    /// The layer of a cached packet.
    pub(crate) fn layer_of(
        &self,
        encoding: EncodingIndex,
        packet: CachedPacket<'_>,
    ) -> Option<LayerMark> {
        let own = read(self.parameters.codec, packet.payload).layer;
        let mut entries = Entries(packet.extensions);
        let descriptor = entries.find(|&(kind, _)| kind == Extension::DependencyDescriptor as u8);
        let layers = &self.encodings[encoding].layers;
        layers.look(own, descriptor.map(|(_, value)| value))
    }

    /// Reads the frame sizes of all encodings from the sender's extension. It is the only
    /// information where encryption hides the frames' own headers.
    fn read_sizes(&mut self, encoding: EncodingIndex, packet: &RtpPacket<'_>) {
        let Some(allocation) = value_of(&self.ids, packet, Extension::VideoLayersAllocation)
            .and_then(LayersAllocation::parse)
            .filter(|allocation| EncodingIndex(allocation.stream) == encoding)
        else {
            return;
        };
        for (stream, layers) in self.encodings.iter_mut().zip(allocation.layers) {
            let largest = layers.iter().rev().flatten().next();
            stream.size = largest.and_then(|layer| layer.size).or(stream.size);
        }
    }

    /// A receiver or its preferences changed.
    pub(crate) fn recheck_subscribed_layers(&mut self) {
        if let Some(subscribed_layers) = &mut self.subscribed_layers {
            subscribed_layers.recheck();
        }
    }

    /// Whether the publisher should send the encoding.
    pub(crate) fn is_subscribed(&self, encoding: EncodingIndex) -> bool {
        self.subscribed_layers
            .as_ref()
            .is_none_or(|layers| layers.includes(encoding))
    }

    /// The number of suspended encodings.
    pub(crate) fn paused(&self) -> usize {
        let encodings = self.encodings.indexed();
        encodings
            .filter(|&(one, _)| !self.is_subscribed(one))
            .count()
    }

    /// When lost packets or a key frame are requested, the subscribed layers reviewed, or refused
    /// packets reported.
    pub(crate) fn poll_timeout(&self, interval: Duration) -> Option<Instant> {
        let allowed = self.budget.due(interval);
        let known = self.encodings.indexed();
        let asks = known
            .filter(|(_, stream)| stream.parameters.ssrc.is_some())
            .flat_map(|(encoding, stream)| {
                let key_frame = stream.requests.poll_timeout(interval * 2);
                let key_frame = key_frame.filter(|_| self.is_subscribed(encoding));
                [
                    stream.nack.poll_timeout(),
                    key_frame.map(|due| allowed.map_or(due, |at| at.max(due))),
                ]
            });
        let review = self.subscribed_layers.as_ref();
        asks.chain([
            review.map(SubscribedLayers::poll_timeout),
            self.guard.poll_timeout(),
        ])
        .flatten()
        .min()
    }

    /// Whether its publisher should be asked for key frames now.
    pub(crate) fn is_to_be_asked(&self, now: Instant, interval: Duration) -> bool {
        let allowed = self.budget.due(interval).is_none_or(|due| due <= now);
        let mut streams = self.encodings.indexed();
        allowed
            && streams.any(|(encoding, stream)| {
                let live = stream.view().is_live(now);
                stream.parameters.ssrc.is_some()
                    && self.is_subscribed(encoding)
                    && stream.requests.is_due(now, interval * 2, live)
            })
    }

    /// Whether that key frame is already requested.
    pub(crate) fn wants_key_frame(&self, now: Instant, encoding: Option<EncodingIndex>) -> bool {
        let mut streams = self.encodings.indexed();
        streams.all(|(index, stream)| {
            encoding.is_some_and(|wanted| wanted != index) || stream.requests.is_wanted(now)
        })
    }

    /// Requests a key frame for the still frames of paused subscribers. All of them get the same
    /// one: key frames cost the others bandwidth.
    pub(crate) fn want_still(&mut self, now: Instant, encoding: Option<EncodingIndex>) {
        let recent = |at: Instant| now.saturating_duration_since(at) < STILL_REQUEST_INTERVAL;
        if !self.asked_for_still.is_some_and(recent) {
            self.asked_for_still = Some(now);
            self.want_key_frame(encoding);
        }
    }

    /// Requests a key frame of one encoding, or of all.
    pub(crate) fn want_key_frame(&mut self, encoding: Option<EncodingIndex>) {
        if self.parameters.kind == MediaKind::Audio {
            return;
        }
        for (index, stream) in self.encodings.indexed_mut() {
            if encoding.is_none_or(|wanted| wanted == index) {
                stream.requests.want();
            }
        }
    }
}
