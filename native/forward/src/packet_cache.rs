//! The recent packets of one RtpStream, stored once for all receivers.
//!
//! Packets live in a circular byte arena: memory is bounded by bytes, nothing is allocated per
//! packet, and payloads are forwarded and retransmitted from it. A slot is valid until the arena
//! has been overwritten past it.

use sealroute_rtp::FullSequence;
use sealroute_rtp::descriptor::Vp8Descriptor;

use crate::parameters::MediaKind;

/// About a second of video at 4 Mbit/s; three encodings stay below 2 MB.
const VIDEO_ARENA_BYTES: usize = 512 * 1024;
/// More than one receive batch of the largest packets.
const AUDIO_ARENA_BYTES: usize = 128 * 1024;
const VIDEO_SLOTS: usize = 1024;
const AUDIO_SLOTS: usize = 128;

#[derive(Clone, Copy, Default)]
struct Slot {
    sequence: u64,
    begin: u64,
    extension_bytes: u16,
    payload_bytes: u16,
    timestamp: u32,
    marker: bool,
    filled: bool,
    vp8: Option<Vp8Descriptor>,
}

/// A packet in the cache.
#[derive(Clone, Copy, Debug)]
pub(crate) struct CachedPacket<'a> {
    pub(crate) timestamp: u32,
    pub(crate) marker: bool,
    /// Entries as [`crate::extensions::collect`] wrote them.
    pub(crate) extensions: &'a [u8],
    pub(crate) payload: &'a [u8],
    /// Read once, when the packet arrives.
    pub(crate) vp8: Option<Vp8Descriptor>,
}

/// A ring of packets.
pub(crate) struct PacketCache {
    arena: Box<[u8]>,
    /// Total bytes written. The arena holds the last `arena.len()` of them.
    written: u64,
    slots: Box<[Slot]>,
}

impl PacketCache {
    pub(crate) fn new(kind: MediaKind) -> Self {
        let (bytes, slots) = match kind {
            MediaKind::Video => (VIDEO_ARENA_BYTES, VIDEO_SLOTS),
            MediaKind::Audio => (AUDIO_ARENA_BYTES, AUDIO_SLOTS),
        };
        Self {
            arena: vec![0; bytes].into_boxed_slice(),
            written: 0,
            slots: vec![Slot::default(); slots].into_boxed_slice(),
        }
    }

    /// Stores a packet. `false`: it is a duplicate, or older than the content of its slot.
    pub(crate) fn insert(&mut self, sequence: FullSequence, packet: CachedPacket<'_>) -> bool {
        let index = self.index(sequence);
        let slot = &self.slots[index];
        if slot.filled && slot.sequence >= sequence.0 {
            return false;
        }
        let middle = packet.extensions.len();
        let total = middle + packet.payload.len();
        let capacity = self.arena.len() as u64;
        let room = (capacity - self.written % capacity) as usize;
        if total > room {
            // A packet is contiguous, so the rest of the arena is skipped.
            self.written += room as u64;
        }
        let at = (self.written % capacity) as usize;
        let space = &mut self.arena[at..at + total];
        space[..middle].copy_from_slice(packet.extensions);
        space[middle..].copy_from_slice(packet.payload);
        self.slots[index] = Slot {
            sequence: sequence.0,
            begin: self.written,
            extension_bytes: middle as u16,
            payload_bytes: packet.payload.len() as u16,
            timestamp: packet.timestamp,
            marker: packet.marker,
            filled: true,
            vp8: packet.vp8,
        };
        self.written += total as u64;
        true
    }

    /// The packet with that sequence number, unless it has been overwritten.
    pub(crate) fn get(&self, sequence: FullSequence) -> Option<CachedPacket<'_>> {
        let slot = &self.slots[self.index(sequence)];
        let kept = self.written - slot.begin <= self.arena.len() as u64;
        if !slot.filled || slot.sequence != sequence.0 || !kept {
            return None;
        }
        let at = slot.begin as usize & (self.arena.len() - 1);
        let middle = at + usize::from(slot.extension_bytes);
        Some(CachedPacket {
            timestamp: slot.timestamp,
            marker: slot.marker,
            extensions: &self.arena[at..middle],
            payload: &self.arena[middle..middle + usize::from(slot.payload_bytes)],
            vp8: slot.vp8,
        })
    }

    fn index(&self, sequence: FullSequence) -> usize {
        // A power of two.
        sequence.0 as usize & (self.slots.len() - 1)
    }
}
