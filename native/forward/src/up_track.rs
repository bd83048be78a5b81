//! An up track: one m-line of a Publisher, with its RtpStreams and the packets to forward.

use std::time::{Duration, Instant};

use sealroute_rtp::layers_allocation::LayersAllocation;
use sealroute_rtp::{FullSequence, RtpPacket, Sequence, SequenceUnwrapper};

use crate::congestion::OVERHEAD_BYTES;
use crate::drop_reason::DropReason;
use crate::encoding_layers::EncodingLayers;
use crate::extensions::{BLOCK_BYTES, Entries, IdTable, collect, value_of};
use crate::frame_mark::{FrameHeader, read};
use crate::key_frame_requests::{KeyFrameRequests, UpTrackBudget};
use crate::layer_filter::LayerMark;
use crate::layer_selector::{EncodingView, SILENCE};
use crate::nack::NackGenerator;
use crate::packet_cache::{CachedPacket, PacketCache};
use crate::parameters::{
    EncodingParameters, Extension, Kid, MediaKind, PayloadAccess, PublisherHandle, TransportHandle,
    UpTrackParameters,
};
use crate::plaintext_guard::PlaintextGuard;
use crate::reception::Reception;
use crate::rewriter::DroppedSequences;
use crate::subscribed_layers::SubscribedLayers;

/// Bounds the packets between two flushes; the cache must still hold all of them.
const MAX_PENDING: usize = 256;
const BITRATE_WINDOW: Duration = Duration::from_secs(1);
/// A gap this long is a pause, not a nearly static video.
const PAUSE: Duration = Duration::from_secs(2);
/// Parameter sets, a delimiter and messages before the slices of a key frame.
const MAX_PARAMETER_PACKETS: u64 = 8;
const ORIGINAL_SEQUENCE_BYTES: usize = 2;
/// Senders that start a new secret with a key frame need this long (e2ee/2 section 9).
const OWN_KEY_FRAME: Duration = Duration::from_millis(300);

/// One RtpStream of an up track.
pub(crate) struct Encoding {
    pub(crate) parameters: EncodingParameters,
    pub(crate) requests: KeyFrameRequests,
    pub(crate) nack: NackGenerator,
    pub(crate) reception: Reception,
    pub(crate) dropped: DroppedSequences,
    pub(crate) active: bool,
    /// It started, for the first time or after a pause, since this flag was last cleared.
    pub(crate) activated: bool,
    cache: Option<PacketCache>,
    unwrapper: SequenceUnwrapper,
    encrypted: bool,
    /// The end of the key id, which identifies the secret of its frames.
    hint: Option<Hint>,
    first: Option<FullSequence>,
    last_packet: Option<Instant>,
    size: Option<(u16, u16)>,
    pub(crate) layers: EncodingLayers,
    window: Window,
    bitrate_bps: f64,
    frame_rate: Option<f32>,
}

type Hint = [u8; 2];

/// Totals since the last measurement.
#[derive(Clone, Copy, Debug, Default)]
struct Window {
    since: Option<Instant>,
    bytes: u64,
    frames: u32,
}

impl Encoding {
    fn new(now: Instant, parameters: EncodingParameters) -> Self {
        Self {
            parameters,
            requests: KeyFrameRequests::new(now),
            nack: NackGenerator::default(),
            reception: Reception::default(),
            dropped: DroppedSequences::default(),
            active: false,
            activated: false,
            cache: None,
            unwrapper: SequenceUnwrapper::default(),
            encrypted: false,
            hint: None,
            first: None,
            last_packet: None,
            size: None,
            layers: EncodingLayers::default(),
            window: Window::default(),
            bitrate_bps: 0.0,
            frame_rate: None,
        }
    }

    pub(crate) fn packet(&self, sequence: FullSequence) -> Option<CachedPacket<'_>> {
        self.cache.as_ref()?.get(sequence)
    }

    /// The newest sequence number received.
    pub(crate) fn highest(&self) -> Option<FullSequence> {
        self.unwrapper.highest()
    }

    /// Whether no earlier packet of this frame was lost, as far as the first packets of a stream
    /// can tell.
    fn has_frame_up_to(&self, sequence: FullSequence) -> bool {
        let Some(timestamp) = self.packet(sequence).map(|packet| packet.timestamp) else {
            return false;
        };
        for back in 1..=MAX_PARAMETER_PACKETS {
            let earlier = sequence.0.checked_sub(back).map(FullSequence);
            if earlier.is_some_and(|earlier| self.dropped.covers(earlier)) {
                continue;
            }
            match earlier.and_then(|earlier| self.packet(earlier)) {
                None => return self.first.is_some_and(|first| sequence.0 < first.0 + back),
                Some(packet) if packet.timestamp != timestamp => return true,
                Some(_) => {}
            }
        }
        false
    }

    /// The newest frame is encrypted under this key id. A receiver that gets the secret late needs
    /// a key frame under it: the sender makes one, or is asked for it.
    fn note_kid(&mut self, now: Instant, kid: Kid) {
        let [.., high, low] = kid;
        let before = self.hint.replace([high, low]);
        if before.is_some_and(|before| before != [high, low]) {
            self.requests.want_after(now + OWN_KEY_FRAME);
        }
    }

    pub(crate) fn view(&self) -> EncodingView {
        EncodingView {
            last_packet: self.last_packet,
            bitrate_bps: self.bitrate_bps,
            size: self.size,
            smallest: (self.layers.top().spatial > 0)
                .then(|| self.layers.size(0, self.size))
                .flatten(),
            frame_rate: self.frame_rate,
        }
    }

    fn measure(&mut self, now: Instant, bytes: usize, frame_end: bool) {
        let before = self.last_packet.replace(now);
        self.activated |= before.is_none_or(|before| now.duration_since(before) > SILENCE);
        let window = &mut self.window;
        if before.is_some_and(|before| now.duration_since(before) >= PAUSE) {
            // The encoding was paused: the previous measurement counts until the next one.
            *window = Window::default();
        }
        let since = *window.since.get_or_insert(now);
        window.bytes += (bytes + OVERHEAD_BYTES) as u64;
        window.frames += u32::from(frame_end);
        let elapsed = now.duration_since(since);
        if elapsed >= BITRATE_WINDOW {
            self.bitrate_bps = (window.bytes * 8) as f64 / elapsed.as_secs_f64();
            self.frame_rate = Some(window.frames as f32 / elapsed.as_secs_f32());
            self.layers.measure(elapsed.as_secs_f64());
            self.window = Window {
                since: Some(now),
                ..Window::default()
            };
        }
    }
}

/// A packet that waits for the next flush.
#[derive(Clone, Copy, Debug)]
pub(crate) struct Pending {
    pub(crate) encoding: usize,
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
    pub(crate) encodings: Vec<Encoding>,
    pub(crate) guard: PlaintextGuard,
    /// Budget of key-frame requests to its publisher.
    pub(crate) budget: UpTrackBudget,
    pub(crate) forwarding: bool,
    /// Muted by level: louder voices are forwarded instead.
    pub(crate) quiet: bool,
    /// The encodings that its publisher should send. Video only.
    pub(crate) subscribed_layers: Option<SubscribedLayers>,
    pub(crate) pending: Vec<Pending>,
    /// Keys of the down tracks that it feeds.
    pub(crate) down_tracks: Vec<usize>,
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
            encodings: parameters
                .encodings
                .iter()
                .cloned()
                .map(|parameters| Encoding::new(now, parameters))
                .collect(),
            guard: PlaintextGuard::new(kids),
            budget: UpTrackBudget::default(),
            forwarding: true,
            quiet: false,
            subscribed_layers: (parameters.kind == MediaKind::Video)
                .then(|| SubscribedLayers::new(now, parameters.encodings.len())),
            pending: Vec::with_capacity(MAX_PENDING),
            down_tracks: Vec::new(),
            taken: 0,
            dirty: false,
            access,
            parameters,
        }
    }

    /// Takes a packet of one of its RtpStreams for the next flush.
    pub(crate) fn take(
        &mut self,
        now: Instant,
        encoding: usize,
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
        let taken = self.admit(now, (encoding, sequence), packet, packet.payload());
        if newest
            && matches!(
                taken,
                Err(DropReason::PaddingOnly | DropReason::NotEncrypted)
            )
        {
            // The sequence number carries nothing. Receivers must not wait for it.
            self.encodings[encoding].dropped.push(sequence);
        }
        taken
    }

    /// Takes a packet of a retransmission stream (RFC 4588): a late original.
    pub(crate) fn take_retransmission(
        &mut self,
        now: Instant,
        encoding: usize,
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
        self.admit(now, (encoding, sequence), packet, payload)
    }

    fn admit(
        &mut self,
        now: Instant,
        (encoding, sequence): (usize, FullSequence),
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
    pub(crate) fn layer_of(&self, encoding: usize, packet: CachedPacket<'_>) -> Option<LayerMark> {
        let own = read(self.parameters.codec, packet.payload).layer;
        let mut entries = Entries(packet.extensions);
        let descriptor = entries.find(|&(kind, _)| kind == Extension::DependencyDescriptor as u8);
        let layers = &self.encodings[encoding].layers;
        layers.look(own, descriptor.map(|(_, value)| value))
    }

    /// Reads the frame sizes of all encodings from the sender's extension. It is the only
    /// information where encryption hides the frames' own headers.
    fn read_sizes(&mut self, encoding: usize, packet: &RtpPacket<'_>) {
        let Some(allocation) = value_of(&self.ids, packet, Extension::VideoLayersAllocation)
            .and_then(LayersAllocation::parse)
            .filter(|allocation| usize::from(allocation.stream) == encoding)
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
    pub(crate) fn is_subscribed(&self, encoding: usize) -> bool {
        self.subscribed_layers
            .as_ref()
            .is_none_or(|layers| layers.includes(encoding))
    }

    /// The number of suspended encodings.
    pub(crate) fn paused(&self) -> usize {
        let encodings = 0..self.encodings.len();
        encodings.filter(|&one| !self.is_subscribed(one)).count()
    }

    /// When lost packets or a key frame are requested, the subscribed layers reviewed, or refused
    /// packets reported.
    pub(crate) fn poll_timeout(&self, interval: Duration) -> Option<Instant> {
        let allowed = self.budget.due(interval);
        let known = self.encodings.iter().enumerate();
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
        let mut streams = self.encodings.iter().enumerate();
        allowed
            && streams.any(|(encoding, stream)| {
                let live = stream.view().is_live(now);
                stream.parameters.ssrc.is_some()
                    && self.is_subscribed(encoding)
                    && stream.requests.is_due(now, interval * 2, live)
            })
    }

    /// Whether that key frame is already requested.
    pub(crate) fn wants_key_frame(&self, now: Instant, encoding: Option<usize>) -> bool {
        let mut streams = self.encodings.iter().enumerate();
        streams.all(|(index, stream)| {
            encoding.is_some_and(|wanted| wanted != index) || stream.requests.is_wanted(now)
        })
    }

    /// Requests a key frame of one encoding, or of all.
    pub(crate) fn want_key_frame(&mut self, encoding: Option<usize>) {
        if self.parameters.kind == MediaKind::Audio {
            return;
        }
        for (index, stream) in self.encodings.iter_mut().enumerate() {
            if encoding.is_none_or(|wanted| wanted == index) {
                stream.requests.want();
            }
        }
    }
}
