//! Rewrites RTP headers for one outgoing SSRC: sequence number, timestamp, VP8 picture id.
//!
//! Data flow: [`Rewriter::start`] opens a mapping epoch at the first packet of a stream, an
//! encoding or a resumption. [`Rewriter::map`] assigns each packet of the epoch a
//! [`RewrittenHeader`], by constant offsets minus the dropped sequence numbers before it.
//! [`Rewriter::stop`] ends the epoch, and the next one continues after the last assigned sequence
//! number. The receiver sees one stream without gaps across switches, pauses, and even other
//! streams that use the SSRC later.
//!
//! States: no epoch (before the first packet, paused), or one current epoch; the previous one is
//! kept, so that a packet lost before a switch still fills its own gap (`map_late`).
//!
//! Invariant: a sequence number is never assigned to two different packets, because with AES-GCM
//! that would reveal the key. The headers of sent packets are therefore remembered for
//! retransmission, and a sequence number is reused only if nothing was encrypted under it
//! (`take_back`).
//!
//! Left out: only VP8 payload descriptors are rewritten, those of other codecs pass unchanged. Which
//! packets are forwarded is decided in `down_track/`.

mod dropped_sequences;
mod mapping_epoch;

use std::time::Instant;

use sealroute_rtp::FullSequence;
use sealroute_rtp::descriptor::Vp8Descriptor;

use crate::packet_cache::CachedPacket;
use crate::up_track::EncodingIndex;

pub(crate) use dropped_sequences::DroppedSequences;

use mapping_epoch::{MappingEpoch, Offsets};

/// How many sent packets can be retransmitted.
const HISTORY: usize = 512;
const PICTURE_ID_MASK: u16 = 0x7FFF;
/// The first sequence number lies in the lower half: a receiver takes the rollover counter of the
/// first packet that it sees to be 0 (RFC 3711, section 3.3.1), and the first ones can be lost.
const FIRST_SEQUENCE_MASK: u64 = 0x7FFF;

#[derive(Clone, Copy, Debug)]
struct Last {
    sequence: u64,
    timestamp: u32,
    at: Instant,
}

/// A sent packet, as needed for its retransmission.
#[derive(Clone, Copy, Debug)]
pub(crate) struct Sent {
    pub(crate) rewritten: RewrittenHeader,
    pub(crate) encoding: EncodingIndex,
    pub(crate) input: FullSequence,
    pub(crate) resent: Option<Instant>,
    /// Still queued in the pacer.
    pub(crate) waits: bool,
}

/// The rewritten header of an outgoing packet.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub(crate) struct RewrittenHeader {
    pub(crate) sequence: u64,
    pub(crate) timestamp: u32,
    picture_offset: u16,
    tl0_offset: u8,
    /// It ends the frame for this receiver, though not for the sender.
    pub(crate) ends_frame: bool,
    /// Padding: a later sequence number was sent before this packet was known to be above the
    /// receiver's layers.
    pub(crate) is_padding: bool,
}

impl RewrittenHeader {
    /// Writes the descriptor of a VP8 payload with its ids shifted. Returns how many bytes of the
    /// payload it replaces: 0 if nothing changes.
    #[inline]
    pub(crate) fn rewrite_vp8(self, packet: CachedPacket<'_>, out: &mut [u8]) -> usize {
        if self.picture_offset == 0 && self.tl0_offset == 0 {
            return 0;
        }
        self.shift_ids(packet, out)
    }

    fn shift_ids(self, packet: CachedPacket<'_>, out: &mut [u8]) -> usize {
        let Some(descriptor) = packet.vp8 else {
            return 0;
        };
        let length = usize::from(descriptor.length);
        let Some(out) = out.get_mut(..length) else {
            return 0;
        };
        out.copy_from_slice(&packet.payload[..length]);
        if let Some((id, true)) = descriptor.picture_id {
            let moved = id.wrapping_add(self.picture_offset) & PICTURE_ID_MASK | 0x8000;
            out[usize::from(descriptor.picture_id_at)..][..2].copy_from_slice(&moved.to_be_bytes());
        }
        if let Some(index) = descriptor.tl0_picture_index {
            out[usize::from(descriptor.tl0_at)] = index.wrapping_add(self.tl0_offset);
        }
        length
    }
}

/// What the rewriter needs of an incoming packet.
#[derive(Clone, Copy, Debug)]
pub(crate) struct Input<'a> {
    pub(crate) now: Instant,
    pub(crate) encoding: EncodingIndex,
    pub(crate) sequence: FullSequence,
    pub(crate) timestamp: u32,
    pub(crate) dropped: &'a DroppedSequences,
    /// The descriptor of a VP8 packet, for its picture id.
    pub(crate) vp8: Option<Vp8Descriptor>,
}

/// An ended epoch.
#[derive(Clone, Debug)]
struct Ended {
    epoch: MappingEpoch,
    /// The last sequence number that it assigned.
    end: u64,
}

/// The header state of one outgoing SSRC. Owner: its down track; kept while the transport lives.
#[derive(Default)]
pub(crate) struct Rewriter {
    epoch: Option<MappingEpoch>,
    /// The previous epoch, for its late packets.
    ended: Option<Ended>,
    last: Option<Last>,
    last_picture: Option<(u16, u8)>,
    /// The highest sequence number sent, with its timestamp.
    newest_sent: Option<(u64, u32)>,
    first_sequence: u64,
    sent: Box<[Option<Sent>]>,
    rtx_sequence: u16,
}

impl Rewriter {
    /// Opens an epoch at `input`: the first packet of a stream, an encoding or a resumption.
    pub(crate) fn start(&mut self, input: &Input<'_>, clock_rate_hz: u32) {
        self.stop();
        let (sequence, timestamp) = match self.last {
            None => {
                self.first_sequence = input.sequence.0 & FIRST_SEQUENCE_MASK;
                (self.first_sequence, input.timestamp)
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
        if let (Some((picture, tl0)), Some(descriptor)) = (self.last_picture, input.vp8) {
            let (id, _) = descriptor.picture_id.unwrap_or_default();
            offsets.picture = picture.wrapping_add(1).wrapping_sub(id) & PICTURE_ID_MASK;
            let index = descriptor.tl0_picture_index.unwrap_or_default();
            offsets.tl0 = tl0.wrapping_add(1).wrapping_sub(index);
        }
        self.epoch = Some(MappingEpoch::new(input, sequence, offsets));
    }

    /// The rewritten header of a packet; `None` if it precedes the epoch.
    #[inline]
    pub(crate) fn map(&mut self, input: &Input<'_>) -> Option<RewrittenHeader> {
        let epoch = self.epoch.as_mut()?;
        let rewritten = epoch.map(input, self.last.map(|last| last.sequence))?;
        if self
            .last
            .is_none_or(|last| rewritten.sequence > last.sequence)
        {
            self.last = Some(Last {
                sequence: rewritten.sequence,
                timestamp: rewritten.timestamp,
                at: input.now,
            });
            if let Some(descriptor) = input.vp8 {
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

    /// The rewritten header of a packet that was lost in the previous epoch: the one its gap was
    /// left for. `None`: there is no such gap, or it is too old to be of use.
    pub(crate) fn map_late(&mut self, input: &Input<'_>) -> Option<RewrittenHeader> {
        if self.epoch.as_ref().is_some_and(|epoch| epoch.counts(input)) {
            // It is mapped already, or left out on purpose.
            return None;
        }
        let last = self.last?.sequence;
        let ended = self.ended.as_mut()?;
        let rewritten = ended.epoch.map_late(input, ended.end)?;
        (last - rewritten.sequence < HISTORY as u64).then_some(rewritten)
    }

    /// Leaves a packet and its picture out of the count. `false`: its sequence number is already
    /// assigned, because a later packet was sent.
    pub(crate) fn leave_out(&mut self, input: &Input<'_>) -> bool {
        self.epoch
            .as_mut()
            .is_some_and(|epoch| epoch.leave_out(input))
    }

    /// The newest packet of the current encoding that was mapped or left out.
    pub(crate) fn newest(&self) -> Option<FullSequence> {
        self.epoch.as_ref()?.newest
    }

    /// Stores a packet for retransmission.
    pub(crate) fn remember(
        &mut self,
        encoding: EncodingIndex,
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

    /// Registers a packet that leaves.
    pub(crate) fn count_sent(&mut self, rewritten: RewrittenHeader) {
        let newest = (rewritten.sequence, rewritten.timestamp);
        if self.newest_sent.is_none_or(|sent| sent.0 < newest.0) {
            self.newest_sent = Some(newest);
        }
    }

    /// Whether part of the queued packet's frame has been sent.
    pub(crate) fn has_begun(&self, waiting: RewrittenHeader) -> bool {
        self.newest_sent
            .is_some_and(|(_, timestamp)| timestamp == waiting.timestamp)
    }

    /// Whether the header was assigned in the current epoch.
    pub(crate) fn is_of_epoch(&self, rewritten: RewrittenHeader) -> bool {
        self.epoch
            .as_ref()
            .is_some_and(|epoch| epoch.gave(rewritten.sequence))
    }

    /// Forgets a queued packet that will not be sent: it cannot be retransmitted.
    pub(crate) fn forget_waiting(&mut self, rewritten: RewrittenHeader) {
        if let Some(place) = self.sent.get_mut(rewritten.sequence as usize % HISTORY)
            && place.is_some_and(|sent| sent.rewritten == rewritten)
        {
            *place = None;
        }
    }

    /// Makes the sequence numbers above all sent ones and above `kept`, the last queued one,
    /// available again: nothing was encrypted under them. The current epoch must end.
    pub(crate) fn take_back(&mut self, kept: Option<u64>) {
        let newest_sent = self.newest_sent.map(|(sequence, _)| sequence);
        let Some(end) = newest_sent.max(kept) else {
            // As if nothing had been mapped.
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

    /// The unwrapped sequence number of a sent packet.
    pub(crate) fn full(&self, sequence: u16) -> Option<u64> {
        let last = self.last?.sequence;
        let behind = u64::from((last as u16).wrapping_sub(sequence));
        last.checked_sub(behind)
    }

    /// The packet sent under a 16-bit sequence number, if it is remembered.
    pub(crate) fn sent(&mut self, sequence: u16) -> Option<&mut Sent> {
        let full = self.full(sequence)?;
        let length = self.sent.len().max(1);
        let entry = self.sent.get_mut(full as usize % length)?.as_mut()?;
        (entry.rewritten.sequence == full).then_some(entry)
    }

    /// Registers that a queued packet was sent.
    pub(crate) fn note_sent(&mut self, rewritten: RewrittenHeader) {
        if let Some(sent) = self.sent(rewritten.sequence as u16)
            && sent.rewritten == rewritten
        {
            sent.waits = false;
        }
    }

    /// Forgets the packets for retransmission: the next ones belong to another stream.
    pub(crate) fn forget(&mut self) {
        self.epoch = None;
        self.ended = None;
        self.sent = Box::default();
    }

    /// The last sequence number of the retransmission stream.
    pub(crate) fn rtx_sequence(&self) -> u16 {
        self.rtx_sequence
    }

    /// Continues the sequence numbers of a retransmission stream.
    pub(crate) fn set_rtx_sequence(&mut self, sequence: u16) {
        self.rtx_sequence = sequence;
    }

    /// The next sequence number of the retransmission stream.
    pub(crate) fn next_rtx_sequence(&mut self) -> u16 {
        self.rtx_sequence = self.rtx_sequence.wrapping_add(1);
        self.rtx_sequence
    }

    /// The position of the packet in the receiver's stream. A packet and its repetition have the
    /// same one, so both have the same bytes.
    pub(crate) fn age(&self, rewritten: RewrittenHeader) -> u64 {
        rewritten.sequence - self.first_sequence
    }

    /// The last assigned sequence number.
    pub(crate) fn last_sequence(&self) -> u64 {
        self.last.map_or(0, |last| last.sequence)
    }

    /// The last assigned timestamp, for padding.
    pub(crate) fn last_timestamp(&self) -> u32 {
        self.last.map_or(0, |last| last.timestamp)
    }

    /// The timestamp offset of the current epoch.
    pub(crate) fn timestamp_offset(&self) -> Option<u32> {
        self.epoch.as_ref().map(|epoch| epoch.offsets.timestamp)
    }

    /// Ends the epoch: the stream ends or pauses, and the next packet begins with `start`. `false`:
    /// it had already ended.
    pub(crate) fn stop(&mut self) -> bool {
        let Some(epoch) = self.epoch.take() else {
            return false;
        };
        let end = self.last_sequence();
        self.ended = Some(Ended { epoch, end });
        true
    }
}
