//! An RtpStream of an up track: its sequence numbers, losses, layers and measured bitrate.

use std::ops::{Index, IndexMut};
use std::time::{Duration, Instant};

use sealroute_rtp::{DataRate, FullSequence, SequenceUnwrapper};

use crate::congestion::OVERHEAD_BYTES;
use crate::encoding_layers::EncodingLayers;
use crate::key_frame_requests::KeyFrameRequests;
use crate::layer_selector::{EncodingView, SILENCE};
use crate::nack::NackGenerator;
use crate::packet_cache::{CachedPacket, PacketCache};
use crate::parameters::{EncodingParameters, Kid};
use crate::reception::Reception;
use crate::rewriter::DroppedSequences;

const BITRATE_WINDOW: Duration = Duration::from_secs(1);
/// A gap this long is a pause, not a nearly static video.
const PAUSE: Duration = Duration::from_secs(2);
/// Parameter sets, a delimiter and messages before the slices of a key frame.
const MAX_PARAMETER_PACKETS: u64 = 8;
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
    pub(super) cache: Option<PacketCache>,
    pub(super) unwrapper: SequenceUnwrapper,
    pub(super) encrypted: bool,
    /// The end of the key id, which identifies the secret of its frames.
    hint: Option<Hint>,
    pub(super) first: Option<FullSequence>,
    last_packet: Option<Instant>,
    pub(super) size: Option<(u16, u16)>,
    pub(crate) layers: EncodingLayers,
    window: Window,
    bitrate: DataRate,
    frame_rate: Option<f32>,
}

/// The place of an RtpStream in its up track.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub(crate) struct EncodingIndex(pub(crate) u8);

/// The RtpStreams of an up track, in the order of its description.
pub(crate) struct Encodings(pub(super) Vec<Encoding>);

impl Encodings {
    pub(crate) fn get(&self, index: EncodingIndex) -> Option<&Encoding> {
        self.0.get(usize::from(index.0))
    }

    pub(crate) fn iter(&self) -> impl Iterator<Item = &Encoding> + Clone {
        self.0.iter()
    }

    pub(crate) fn iter_mut(&mut self) -> impl Iterator<Item = &mut Encoding> {
        self.0.iter_mut()
    }

    pub(crate) fn indexed(&self) -> impl Iterator<Item = (EncodingIndex, &Encoding)> + Clone {
        (0..).map(EncodingIndex).zip(&self.0)
    }

    pub(crate) fn indexed_mut(&mut self) -> impl Iterator<Item = (EncodingIndex, &mut Encoding)> {
        (0..).map(EncodingIndex).zip(&mut self.0)
    }

    pub(crate) fn len(&self) -> usize {
        self.0.len()
    }
}

impl Index<EncodingIndex> for Encodings {
    type Output = Encoding;

    fn index(&self, index: EncodingIndex) -> &Encoding {
        &self.0[usize::from(index.0)]
    }
}

impl IndexMut<EncodingIndex> for Encodings {
    fn index_mut(&mut self, index: EncodingIndex) -> &mut Encoding {
        &mut self.0[usize::from(index.0)]
    }
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
    pub(super) fn new(now: Instant, parameters: EncodingParameters) -> Self {
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
            bitrate: DataRate::ZERO,
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
    pub(super) fn has_frame_up_to(&self, sequence: FullSequence) -> bool {
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
    pub(super) fn note_kid(&mut self, now: Instant, kid: Kid) {
        let [.., high, low] = kid;
        let before = self.hint.replace([high, low]);
        if before.is_some_and(|before| before != [high, low]) {
            self.requests.want_after(now + OWN_KEY_FRAME);
        }
    }

    pub(crate) fn view(&self) -> EncodingView {
        EncodingView {
            last_packet: self.last_packet,
            bitrate: self.bitrate,
            size: self.size,
            smallest: (self.layers.top().spatial > 0)
                .then(|| self.layers.size(0, self.size))
                .flatten(),
            frame_rate: self.frame_rate,
        }
    }

    pub(super) fn measure(&mut self, now: Instant, bytes: usize, frame_end: bool) {
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
            self.bitrate = DataRate::of(window.bytes as f64, elapsed);
            self.frame_rate = Some(window.frames as f32 / elapsed.as_secs_f32());
            self.layers.measure(elapsed);
            self.window = Window {
                since: Some(now),
                ..Window::default()
            };
        }
    }
}
