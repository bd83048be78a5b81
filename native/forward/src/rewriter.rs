//! The numbers of one outgoing SSRC: sequence, timestamp, VP8 picture id.
//!
//! What a receiver sees counts on without a gap across switches of the encoding, pauses, and
//! even other streams that use the SSRC later. A sequence number is never given to two
//! different packets: with AES-GCM that would give the key away.

mod dropped_sequences;
mod mapping_epoch;

use std::time::Instant;

use sealroute_rtp::FullSequence;
use sealroute_rtp::descriptor::Vp8Descriptor;

pub(crate) use dropped_sequences::DroppedSequences;

use mapping_epoch::{MappingEpoch, Offsets};

/// How many sent packets can be asked for again.
const HISTORY: usize = 512;
const PICTURE_ID_MASK: u16 = 0x7FFF;

#[derive(Clone, Copy, Debug)]
struct Last {
    sequence: u64,
    timestamp: u32,
    at: Instant,
}

/// A packet that was sent, as it can be sent again.
#[derive(Clone, Copy, Debug)]
pub(crate) struct Sent {
    pub(crate) rewritten: RewrittenHeader,
    pub(crate) encoding: usize,
    pub(crate) input: FullSequence,
    pub(crate) resent: Option<Instant>,
    /// It has not been sent yet: it waits for its time.
    pub(crate) waits: bool,
}

/// The numbers of one outgoing packet.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub(crate) struct RewrittenHeader {
    pub(crate) sequence: u64,
    pub(crate) timestamp: u32,
    picture_offset: u16,
    tl0_offset: u8,
    /// It is the last one of its picture here, though not where it came from.
    pub(crate) ends_frame: bool,
    /// A later number was sent before it was known that it is not for this receiver.
    pub(crate) is_padding: bool,
}

impl RewrittenHeader {
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
    pub(crate) dropped: &'a DroppedSequences,
    /// The payload of a VP8 packet, for its picture id.
    pub(crate) vp8: Option<&'a [u8]>,
}

/// A run that has ended.
#[derive(Clone, Debug)]
struct Ended {
    epoch: MappingEpoch,
    /// The last number that it gave.
    end: u64,
}

/// The numbers of one outgoing SSRC. Owner: its down track; kept while the transport lives.
#[derive(Default)]
pub(crate) struct Rewriter {
    epoch: Option<MappingEpoch>,
    /// The run before, for what comes of it late.
    ended: Option<Ended>,
    last: Option<Last>,
    last_picture: Option<(u16, u8)>,
    /// The packet with the highest number that has left.
    newest_sent: Option<(u64, u32)>,
    first_sequence: u64,
    sent: Box<[Option<Sent>]>,
    rtx_sequence: u16,
}

impl Rewriter {
    /// Begins to count from `input` on: the first packet of a stream, encoding or resumption.
    pub(crate) fn start(&mut self, input: &Input<'_>, clock_rate_hz: u32) {
        self.stop();
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
        let mut offsets = Offsets {
            timestamp: timestamp.wrapping_sub(input.timestamp),
            ..Offsets::default()
        };
        if let (Some((picture, tl0)), Some(descriptor)) =
            (self.last_picture, input.vp8.and_then(Vp8Descriptor::parse))
        {
            let (id, _) = descriptor.picture_id.unwrap_or_default();
            offsets.picture = picture.wrapping_add(1).wrapping_sub(id) & PICTURE_ID_MASK;
            let index = descriptor.tl0_picture_index.unwrap_or_default();
            offsets.tl0 = tl0.wrapping_add(1).wrapping_sub(index);
        }
        self.epoch = Some(MappingEpoch::new(input, sequence, offsets));
    }

    /// The numbers of a packet, or `None` when it is from before the start.
    pub(crate) fn map(&mut self, input: &Input<'_>) -> Option<RewrittenHeader> {
        let epoch = self.epoch.as_mut()?;
        let descriptor = input.vp8.and_then(Vp8Descriptor::parse);
        let rewritten = epoch.map(
            input,
            descriptor.as_ref(),
            self.last.map(|last| last.sequence),
        )?;
        if self
            .last
            .is_none_or(|last| rewritten.sequence > last.sequence)
        {
            self.last = Some(Last {
                sequence: rewritten.sequence,
                timestamp: rewritten.timestamp,
                at: input.now,
            });
            if let Some(descriptor) = descriptor {
                let (id, _) = descriptor.picture_id.unwrap_or_default();
                let tl0 = descriptor.tl0_picture_index.unwrap_or_default();
                self.last_picture = Some((
                    id.wrapping_add(rewritten.picture_offset) & PICTURE_ID_MASK,
                    tl0.wrapping_add(rewritten.tl0_offset),
                ));
            }
        }
        Some(rewritten)
    }

    /// The numbers of a packet that was lost in the run before and comes now: those that its gap
    /// was left for. `None`: there is no such gap, or what stands there can no longer be of use.
    pub(crate) fn map_late(&mut self, input: &Input<'_>) -> Option<RewrittenHeader> {
        if self.epoch.as_ref().is_some_and(|epoch| epoch.counts(input)) {
            // It has a number, or none on purpose.
            return None;
        }
        let last = self.last?.sequence;
        let ended = self.ended.as_mut()?;
        let rewritten = ended.epoch.map_late(input, ended.end)?;
        (last - rewritten.sequence < HISTORY as u64).then_some(rewritten)
    }

    /// Leaves a packet out of the count, with its picture. `false`: its number has been counted, a
    /// later one was sent.
    pub(crate) fn leave_out(&mut self, input: &Input<'_>) -> bool {
        self.epoch
            .as_mut()
            .is_some_and(|epoch| epoch.leave_out(input))
    }

    /// The newest packet of the present encoding that was counted or left out.
    pub(crate) fn newest(&self) -> Option<FullSequence> {
        self.epoch.as_ref()?.newest
    }

    /// Remembers a packet so that it can be sent again.
    pub(crate) fn remember(
        &mut self,
        encoding: usize,
        input: FullSequence,
        rewritten: RewrittenHeader,
        waits: bool,
    ) {
        if self.sent.is_empty() {
            self.sent = vec![None; HISTORY].into_boxed_slice();
        }
        let entry = Sent {
            rewritten,
            encoding,
            input,
            resent: None,
            waits,
        };
        self.sent[rewritten.sequence as usize % HISTORY] = Some(entry);
    }

    /// A packet leaves.
    pub(crate) fn count_sent(&mut self, rewritten: RewrittenHeader) {
        let newest = (rewritten.sequence, rewritten.timestamp);
        if self.newest_sent.is_none_or(|sent| sent.0 < newest.0) {
            self.newest_sent = Some(newest);
        }
    }

    /// Whether some of the picture has left that the packet is of, which waits.
    pub(crate) fn has_begun(&self, waiting: RewrittenHeader) -> bool {
        self.newest_sent
            .is_some_and(|(_, timestamp)| timestamp == waiting.timestamp)
    }

    /// Whether a number was given in the present run.
    pub(crate) fn is_of_epoch(&self, rewritten: RewrittenHeader) -> bool {
        self.epoch
            .as_ref()
            .is_some_and(|epoch| epoch.gave(rewritten.sequence))
    }

    /// A packet that waited will not be sent: it can not be asked for.
    pub(crate) fn forget_waiting(&mut self, rewritten: RewrittenHeader) {
        if let Some(place) = self.sent.get_mut(rewritten.sequence as usize % HISTORY)
            && place.is_some_and(|sent| sent.rewritten == rewritten)
        {
            *place = None;
        }
    }

    /// Numbers above all that were sent and above `kept`, the last that still waits, are given
    /// again: nothing was sealed under them. The present run must end.
    pub(crate) fn take_back(&mut self, kept: Option<u64>) {
        let newest_sent = self.newest_sent.map(|(sequence, _)| sequence);
        let Some(end) = newest_sent.max(kept) else {
            // As if nothing had ever been.
            (self.epoch, self.ended, self.last) = (None, None, None);
            return;
        };
        if let Some(last) = &mut self.last {
            last.sequence = last.sequence.min(end);
        }
        if let Some(ended) = &mut self.ended {
            ended.end = ended.end.min(end);
        }
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
        (entry.rewritten.sequence == full).then_some(entry)
    }

    /// A packet that waited has been sent.
    pub(crate) fn note_sent(&mut self, rewritten: RewrittenHeader) {
        if let Some(sent) = self.sent(rewritten.sequence as u16)
            && sent.rewritten == rewritten
        {
            sent.waits = false;
        }
    }

    /// Forgets what can be sent again: the next packets are of another stream.
    pub(crate) fn forget(&mut self) {
        self.epoch = None;
        self.ended = None;
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
    pub(crate) fn age(&self, rewritten: RewrittenHeader) -> u64 {
        rewritten.sequence - self.first_sequence
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
        self.epoch.as_ref().map(|epoch| epoch.offsets.timestamp)
    }

    /// The receiver's stream ends or pauses; the next packet begins with `start`. `false`: it had
    /// ended before.
    pub(crate) fn stop(&mut self) -> bool {
        let Some(epoch) = self.epoch.take() else {
            return false;
        };
        let end = self.last_sequence();
        self.ended = Some(Ended { epoch, end });
        true
    }
}
