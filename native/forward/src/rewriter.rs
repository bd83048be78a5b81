//! The numbers of one outgoing SSRC: sequence, timestamp, VP8 picture id.
//!
//! What a receiver sees counts on without a gap across switches of the encoding, pauses, and
//! even other streams that use the SSRC later. A sequence number is never given to two
//! different packets: with AES-GCM that would give the key away.

use std::collections::VecDeque;
use std::time::Instant;

use sealroute_rtp::FullSequence;
use sealroute_rtp::descriptor::Vp8Descriptor;

/// How many sent packets can be asked for again.
const HISTORY: usize = 512;
/// Uplink numbers that were skipped on purpose and may still lie ahead of late packets.
const MAX_RECENT_SKIPS: usize = 64;
/// A step by which a receiver could miscount the rollovers of 16 bits; as a gap it would be of no
/// use either.
const MAX_STEP: u64 = 0x1000;
const PICTURE_ID_MASK: u16 = 0x7FFF;
const PICTURE_IDS: u64 = 0x8000;

/// Uplink sequence numbers that carried nothing to forward (probes, refused packets).
#[derive(Clone, Debug, Default)]
pub(crate) struct Skips {
    recent: VecDeque<FullSequence>,
    older: u64,
    /// The newest of the older ones: what lies before it can not be counted any more.
    oldest_countable: Option<FullSequence>,
}

impl Skips {
    fn is_empty(&self) -> bool {
        self.recent.is_empty()
    }

    /// Only numbers above all that were taken may be skipped: earlier ones have been counted.
    pub(crate) fn skip(&mut self, sequence: FullSequence) {
        if self.recent.len() == MAX_RECENT_SKIPS {
            self.oldest_countable = self.recent.pop_front();
            self.older += 1;
        }
        self.recent.push_back(sequence);
    }

    /// Whether a number was skipped, or lies so far behind that skips before it are forgotten.
    pub(crate) fn covers(&self, sequence: FullSequence) -> bool {
        self.oldest_countable
            .is_some_and(|oldest| sequence <= oldest)
            || self.recent.binary_search(&sequence).is_ok()
    }

    fn before(&self, sequence: FullSequence) -> u64 {
        let newer = self
            .recent
            .iter()
            .rev()
            .take_while(|&&skipped| skipped > sequence)
            .count();
        self.older + (self.recent.len() - newer) as u64
    }
}

#[derive(Clone, Copy, Debug)]
struct Anchor {
    from: FullSequence,
    skipped_before: u64,
    left_out_before: u64,
    sequence: u64,
    timestamp_offset: u32,
    picture_offset: u16,
    tl0_offset: u8,
}

impl Anchor {
    fn sequence_of(&self, input: &Input<'_>, left_out: &Skips) -> u64 {
        let skipped = input.skips.before(input.sequence) - self.skipped_before;
        let counted = self.sequence + (input.sequence.0 - self.from.0) - skipped;
        if left_out.is_empty() {
            return counted;
        }
        counted - (left_out.before(input.sequence) - self.left_out_before)
    }
}

/// VP8 pictures that a sink does not get: receivers count them, so their ids close up.
#[derive(Clone, Debug, Default)]
struct Pictures {
    newest: Option<FullSequence>,
    left_out: Skips,
}

impl Pictures {
    /// The full number of a 15-bit id, near the newest one.
    fn unwrap(&self, id: u16) -> FullSequence {
        let Some(newest) = self.newest else {
            // Room for late ones below.
            return FullSequence(u64::from(id) + PICTURE_IDS);
        };
        let ahead = i64::from(id.wrapping_sub(newest.0 as u16) & PICTURE_ID_MASK);
        let ahead = if ahead >= PICTURE_IDS as i64 / 2 {
            ahead - PICTURE_IDS as i64
        } else {
            ahead
        };
        FullSequence(newest.0.saturating_add_signed(ahead))
    }

    fn see(&mut self, picture: FullSequence) {
        self.newest = self.newest.max(Some(picture));
    }

    fn leave_out(&mut self, picture: FullSequence) {
        if self.newest.is_none_or(|newest| picture > newest) {
            self.left_out.skip(picture);
        }
        self.see(picture);
    }

    /// How many were left out before the picture with this id. Nothing is kept of those before the
    /// first that is.
    fn left_out_before(&mut self, id: u16) -> u16 {
        if self.left_out.is_empty() {
            return 0;
        }
        let picture = self.unwrap(id);
        self.see(picture);
        self.left_out.before(picture) as u16
    }
}

#[derive(Clone, Copy, Debug)]
struct Last {
    sequence: u64,
    timestamp: u32,
    at: Instant,
}

/// A packet that was sent, as it can be sent again.
#[derive(Clone, Copy, Debug)]
pub(crate) struct Sent {
    pub(crate) numbers: Numbers,
    pub(crate) encoding: usize,
    pub(crate) input: FullSequence,
    pub(crate) resent: Option<Instant>,
    /// It has not been sent yet: it waits for its time.
    pub(crate) waits: bool,
}

/// The numbers of one outgoing packet.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub(crate) struct Numbers {
    pub(crate) sequence: u64,
    pub(crate) timestamp: u32,
    picture_offset: u16,
    tl0_offset: u8,
    /// It is the last one of its picture here, though not where it came from.
    pub(crate) ends_picture: bool,
    /// A later number was sent before it was known that it is not for this receiver.
    pub(crate) is_filler: bool,
}

impl Numbers {
    /// Writes the descriptor of a VP8 payload with its ids moved. Returns how many bytes of the
    /// payload the written ones replace: 0 when nothing has to be moved.
    pub(crate) fn rewrite_vp8(self, payload: &[u8], out: &mut [u8]) -> usize {
        if self.picture_offset == 0 && self.tl0_offset == 0 {
            return 0;
        }
        let Some(descriptor) = Vp8Descriptor::parse(payload) else {
            return 0;
        };
        let Some(out) = out.get_mut(..descriptor.length) else {
            return 0;
        };
        out.copy_from_slice(&payload[..descriptor.length]);
        if let Some((id, true)) = descriptor.picture_id {
            let moved = id.wrapping_add(self.picture_offset) & PICTURE_ID_MASK | 0x8000;
            out[descriptor.picture_id_at..][..2].copy_from_slice(&moved.to_be_bytes());
        }
        if let Some(index) = descriptor.tl0_picture_index {
            out[descriptor.tl0_at] = index.wrapping_add(self.tl0_offset);
        }
        descriptor.length
    }
}

/// What the rewriter has to know of an incoming packet.
#[derive(Clone, Copy, Debug)]
pub(crate) struct Input<'a> {
    pub(crate) now: Instant,
    pub(crate) encoding: usize,
    pub(crate) sequence: FullSequence,
    pub(crate) timestamp: u32,
    pub(crate) skips: &'a Skips,
    /// The payload of a VP8 packet, for its picture id.
    pub(crate) vp8: Option<&'a [u8]>,
}

/// The numbers of one outgoing SSRC. Owner: its sink; kept while the transport lives.
pub(crate) struct Rewriter {
    anchor: Option<Anchor>,
    last: Option<Last>,
    last_picture: Option<(u16, u8)>,
    /// The newest number of the encoding that was counted or left out.
    newest: Option<FullSequence>,
    /// Numbers of the encoding that this receiver does not get: packets of higher layers.
    left_out: Skips,
    pictures: Pictures,
    first_sequence: u64,
    sent: Box<[Option<Sent>]>,
    rtx_sequence: u16,
}

impl Rewriter {
    pub(crate) fn new() -> Self {
        Self {
            anchor: None,
            last: None,
            last_picture: None,
            newest: None,
            left_out: Skips::default(),
            pictures: Pictures::default(),
            first_sequence: 0,
            sent: Box::default(),
            rtx_sequence: 0,
        }
    }

    /// Begins to count from `input` on: the first packet of a stream, encoding or resumption.
    pub(crate) fn start(&mut self, input: &Input<'_>, clock_rate_hz: u32) {
        let (sequence, timestamp) = match self.last {
            None => {
                self.first_sequence = input.sequence.0;
                (input.sequence.0, input.timestamp)
            }
            Some(last) => {
                let elapsed = input.now.saturating_duration_since(last.at).as_secs_f64();
                let ticks = (elapsed * f64::from(clock_rate_hz)) as u64;
                (
                    last.sequence + 1,
                    last.timestamp.wrapping_add((ticks as u32).max(1)),
                )
            }
        };
        self.newest = None;
        self.left_out = Skips::default();
        self.pictures = Pictures::default();
        let mut anchor = Anchor {
            from: input.sequence,
            skipped_before: input.skips.before(input.sequence),
            left_out_before: 0,
            sequence,
            timestamp_offset: timestamp.wrapping_sub(input.timestamp),
            picture_offset: 0,
            tl0_offset: 0,
        };
        if let (Some((picture, tl0)), Some(descriptor)) =
            (self.last_picture, input.vp8.and_then(Vp8Descriptor::parse))
        {
            let (id, _) = descriptor.picture_id.unwrap_or_default();
            anchor.picture_offset = picture.wrapping_add(1).wrapping_sub(id) & PICTURE_ID_MASK;
            let index = descriptor.tl0_picture_index.unwrap_or_default();
            anchor.tl0_offset = tl0.wrapping_add(1).wrapping_sub(index);
        }
        self.anchor = Some(anchor);
    }

    /// The numbers of a packet, or `None` when it is from before the start.
    pub(crate) fn map(&mut self, input: &Input<'_>) -> Option<Numbers> {
        let mut anchor = self.anchor.filter(|anchor| input.sequence >= anchor.from)?;
        if !self.left_out.is_empty() && self.left_out.covers(input.sequence) {
            return None;
        }
        let mut sequence = anchor.sequence_of(input, &self.left_out);
        if let Some(last) = self.last
            && sequence > last.sequence + MAX_STEP
        {
            anchor.from = input.sequence;
            anchor.skipped_before = input.skips.before(input.sequence);
            anchor.left_out_before = self.left_out.before(input.sequence);
            anchor.sequence = last.sequence + 1;
            self.anchor = Some(anchor);
            sequence = anchor.sequence;
        }
        self.newest = self.newest.max(Some(input.sequence));
        let descriptor = input.vp8.and_then(Vp8Descriptor::parse);
        let mut picture_offset = anchor.picture_offset;
        if let Some((id, true)) = descriptor.and_then(|descriptor| descriptor.picture_id) {
            picture_offset = picture_offset.wrapping_sub(self.pictures.left_out_before(id));
        }
        let numbers = Numbers {
            sequence,
            timestamp: input.timestamp.wrapping_add(anchor.timestamp_offset),
            picture_offset,
            tl0_offset: anchor.tl0_offset,
            ends_picture: false,
            is_filler: false,
        };
        if self
            .last
            .is_none_or(|last| numbers.sequence > last.sequence)
        {
            self.last = Some(Last {
                sequence: numbers.sequence,
                timestamp: numbers.timestamp,
                at: input.now,
            });
            if let Some(descriptor) = descriptor {
                let (id, _) = descriptor.picture_id.unwrap_or_default();
                let tl0 = descriptor.tl0_picture_index.unwrap_or_default();
                self.last_picture = Some((
                    id.wrapping_add(picture_offset) & PICTURE_ID_MASK,
                    tl0.wrapping_add(anchor.tl0_offset),
                ));
            }
        }
        Some(numbers)
    }

    /// Leaves a packet out of the count, with its picture. `false`: its number has been counted, a
    /// later one was sent.
    pub(crate) fn leave_out(&mut self, input: &Input<'_>) -> bool {
        if self.newest.is_some_and(|newest| input.sequence <= newest) {
            return self.left_out.covers(input.sequence);
        }
        self.newest = Some(input.sequence);
        self.left_out.skip(input.sequence);
        let descriptor = input.vp8.and_then(Vp8Descriptor::parse);
        if let Some((id, true)) = descriptor.and_then(|descriptor| descriptor.picture_id) {
            self.pictures.leave_out(self.pictures.unwrap(id));
        }
        true
    }

    /// Remembers a packet so that it can be sent again.
    pub(crate) fn remember(
        &mut self,
        encoding: usize,
        input: FullSequence,
        numbers: Numbers,
        waits: bool,
    ) {
        if self.sent.is_empty() {
            self.sent = vec![None; HISTORY].into_boxed_slice();
        }
        let entry = Sent {
            numbers,
            encoding,
            input,
            resent: None,
            waits,
        };
        self.sent[numbers.sequence as usize % HISTORY] = Some(entry);
    }

    /// The full number of one that was sent.
    pub(crate) fn full(&self, sequence: u16) -> Option<u64> {
        let last = self.last?.sequence;
        let behind = u64::from((last as u16).wrapping_sub(sequence));
        last.checked_sub(behind)
    }

    /// What was sent under a 16-bit number, if it is remembered.
    pub(crate) fn sent(&mut self, sequence: u16) -> Option<&mut Sent> {
        let full = self.full(sequence)?;
        let length = self.sent.len().max(1);
        let entry = self.sent.get_mut(full as usize % length)?.as_mut()?;
        (entry.numbers.sequence == full).then_some(entry)
    }

    /// A packet that waited has been sent.
    pub(crate) fn note_sent(&mut self, numbers: Numbers) {
        if let Some(sent) = self.sent(numbers.sequence as u16)
            && sent.numbers == numbers
        {
            sent.waits = false;
        }
    }

    /// Forgets what can be sent again: the next packets are of another stream.
    pub(crate) fn forget(&mut self) {
        self.anchor = None;
        self.sent = Box::default();
    }

    /// The last number of the retransmission stream.
    pub(crate) fn rtx_sequence(&self) -> u16 {
        self.rtx_sequence
    }

    /// Goes on with the numbers of a retransmission stream.
    pub(crate) fn set_rtx_sequence(&mut self, sequence: u16) {
        self.rtx_sequence = sequence;
    }

    /// The next number of the retransmission stream.
    pub(crate) fn next_rtx_sequence(&mut self) -> u16 {
        self.rtx_sequence = self.rtx_sequence.wrapping_add(1);
        self.rtx_sequence
    }

    /// How many packets before this one the receiver could have got. The same for a packet and
    /// its repetition, so that both are the same bytes.
    pub(crate) fn age(&self, numbers: Numbers) -> u64 {
        numbers.sequence - self.first_sequence
    }

    /// The last number that was given.
    pub(crate) fn last_sequence(&self) -> u64 {
        self.last.map_or(0, |last| last.sequence)
    }

    /// The last timestamp that was sent, for padding.
    pub(crate) fn last_timestamp(&self) -> u32 {
        self.last.map_or(0, |last| last.timestamp)
    }

    /// What is added to the timestamps of the present encoding.
    pub(crate) fn timestamp_offset(&self) -> Option<u32> {
        self.anchor.map(|anchor| anchor.timestamp_offset)
    }

    /// The receiver's stream ends or pauses; the next packet begins with `start`.
    pub(crate) fn stop(&mut self) {
        self.anchor = None;
    }
}
