//! Protects the packets to a peer.

use super::index::{SeenIndices, estimate};
use super::session_keys::{PacketId, Purpose, SessionKeys, Trailer};
use super::{
    ENCRYPTED_FLAG, INDEX_BYTES, RTCP_HEADER_BYTES, SrtpError, SrtpKeys, SrtpProfile, be32,
    rtp_header_bytes,
};
use std::collections::HashMap;

/// SSRCs sent to one peer in the life of its keys. Index lists are never dropped: a returning SSRC
/// could repeat nonces.
const MAX_STREAMS: usize = 16_384;

/// Packets per stream that can be sent again: more than a second of audio.
const KEPT_PACKETS: usize = 128;

/// The last protected packets of one SSRC, indexed by the low bits of their sequence numbers.
struct KeptPackets(Box<[Vec<u8>]>);

impl KeptPackets {
    fn new() -> Self {
        Self(vec![Vec::new(); KEPT_PACKETS].into_boxed_slice())
    }

    fn keep(&mut self, sequence: u16, protected: &[u8]) {
        let place = &mut self.0[usize::from(sequence) % KEPT_PACKETS];
        place.clear();
        place.extend_from_slice(protected);
    }

    fn get(&self, sequence: u16) -> Option<&[u8]> {
        let packet = &self.0[usize::from(sequence) % KEPT_PACKETS];
        (packet.get(2..4)? == sequence.to_be_bytes()).then_some(packet.as_slice())
    }
}

/// We choose the SSRCs, so a hash without protection against chosen keys is safe.
type BySsrc<T> = HashMap<u32, T, foldhash::fast::RandomState>;

/// Protects the RTP and RTCP packets to one peer. Keeps the rollover counter of each SSRC, and
/// refuses to use an index twice: with AEAD a repeated nonce reveals the authentication key.
pub struct SrtpSender {
    profile: SrtpProfile,
    rtp_keys: SessionKeys,
    rtcp_keys: SessionKeys,
    rtp_streams: BySsrc<SeenIndices<16>>,
    kept: BySsrc<KeptPackets>,
    next_rtcp_index: u32,
}

impl SrtpSender {
    /// Derives the session keys.
    ///
    /// # Errors
    /// `KeyLength`.
    pub fn new(profile: SrtpProfile, keys: SrtpKeys<'_>) -> Result<Self, SrtpError> {
        Ok(Self {
            profile,
            rtp_keys: SessionKeys::derive(profile, keys, Purpose::Rtp)?,
            rtcp_keys: SessionKeys::derive(profile, keys, Purpose::Rtcp)?,
            rtp_streams: BySsrc::default(),
            kept: BySsrc::default(),
            next_rtcp_index: 0,
        })
    }

    /// Protects a packet into `slot`: `header` is the RTP header and, as the case may be, the first
    /// bytes of what follows it, `payload` the rest. With AES-GCM the payload is encrypted straight
    /// into the slot. Returns the protected length.
    ///
    /// # Errors
    /// Those of [`Self::protect_rtp_in_place`].
    pub fn protect_rtp(
        &mut self,
        header: &[u8],
        payload: &[u8],
        slot: &mut [u8],
    ) -> Result<usize, SrtpError> {
        let length = header.len() + payload.len();
        if slot.len() < length + self.profile.tag_bytes() {
            return Err(SrtpError::SlotTooSmall);
        }
        slot[..header.len()].copy_from_slice(header);
        if !self.profile.is_gcm() {
            slot[header.len()..length].copy_from_slice(payload);
            return self.protect_rtp_in_place(slot, length);
        }
        let protected_length = length + self.profile.tag_bytes();
        let (header, space) = slot[..protected_length].split_at_mut(header.len());
        let (header, first) = header.split_at_mut(rtp_header_bytes(header)?);
        let id = self.take_id(header)?;
        self.rtp_keys.seal(id, header, first, payload, space)?;
        Ok(protected_length)
    }

    /// Like [`Self::protect_rtp`], and keeps the protected packet for [`Self::copy_kept`]. Bounded
    /// to the last [`KEPT_PACKETS`] of each SSRC.
    ///
    /// # Errors
    /// Those of [`Self::protect_rtp`].
    pub fn protect_rtp_and_keep(
        &mut self,
        header: &[u8],
        payload: &[u8],
        slot: &mut [u8],
    ) -> Result<usize, SrtpError> {
        let length = self.protect_rtp(header, payload, slot)?;
        let ssrc = be32(header, 8).ok_or(SrtpError::TooShort)?;
        let sequence = u16::from_be_bytes([header[2], header[3]]);
        self.kept
            .entry(ssrc)
            .or_insert_with(KeptPackets::new)
            .keep(sequence, &slot[..length]);
        Ok(length)
    }

    /// Copies a kept packet into `slot` unchanged: protecting it again would use its nonce for a
    /// second plaintext. Returns its length.
    ///
    /// # Errors
    /// `NotKept`, `SlotTooSmall`.
    pub fn copy_kept(
        &mut self,
        ssrc: u32,
        sequence: u16,
        slot: &mut [u8],
    ) -> Result<usize, SrtpError> {
        let protected = self.kept.get(&ssrc).and_then(|kept| kept.get(sequence));
        let protected = protected.ok_or(SrtpError::NotKept)?;
        let room = slot
            .get_mut(..protected.len())
            .ok_or(SrtpError::SlotTooSmall)?;
        room.copy_from_slice(protected);
        Ok(protected.len())
    }

    /// Protects the RTP packet `slot[..length]` in place. Returns the protected length.
    ///
    /// # Errors
    /// `TooShort`, `Malformed`, `SlotTooSmall`, `IndexReused`, `TooManyStreams`, `Cipher`.
    pub fn protect_rtp_in_place(
        &mut self,
        slot: &mut [u8],
        length: usize,
    ) -> Result<usize, SrtpError> {
        let protected_length = length + self.profile.tag_bytes();
        if slot.len() < protected_length {
            return Err(SrtpError::SlotTooSmall);
        }
        let header = rtp_header_bytes(&slot[..length])?;
        let id = self.take_id(slot)?;
        let (header_bytes, rest) = slot.split_at_mut(header);
        let (body, space) = rest.split_at_mut(length - header);
        let trailer = Trailer::RolloverCounter((id.index >> 16) as u32);
        let tag = self.rtp_keys.encrypt(id, header_bytes, body, trailer)?;
        space[..tag.as_bytes().len()].copy_from_slice(tag.as_bytes());
        Ok(protected_length)
    }

    /// Writes an RTCP compound into `slot` and protects it there. Returns the protected length.
    ///
    /// # Errors
    /// `TooShort`, `Malformed`, `SlotTooSmall`, `KeysExhausted`, `Cipher`.
    pub fn protect_rtcp(&mut self, compound: &[u8], slot: &mut [u8]) -> Result<usize, SrtpError> {
        let length = compound.len();
        let protected_length = length + self.profile.tag_bytes() + INDEX_BYTES;
        if length < RTCP_HEADER_BYTES {
            return Err(SrtpError::TooShort);
        }
        if compound[0] >> 6 != 2 {
            return Err(SrtpError::Malformed);
        }
        if slot.len() < protected_length {
            return Err(SrtpError::SlotTooSmall);
        }
        let ssrc = be32(compound, 4).ok_or(SrtpError::TooShort)?;
        let index = self.next_rtcp_index;
        if index & ENCRYPTED_FLAG != 0 {
            return Err(SrtpError::KeysExhausted);
        }
        self.next_rtcp_index += 1;
        let word = index | ENCRYPTED_FLAG;
        slot[..length].copy_from_slice(compound);
        let (header, rest) = slot.split_at_mut(RTCP_HEADER_BYTES);
        let (body, space) = rest.split_at_mut(length - RTCP_HEADER_BYTES);
        let index = u64::from(index);
        let id = PacketId { ssrc, index };
        let tag = self
            .rtcp_keys
            .encrypt(id, header, body, Trailer::RtcpIndex(word))?;
        let (tag, word) = (tag.as_bytes(), word.to_be_bytes());
        let (first, second): (&[u8], &[u8]) = if self.profile.is_gcm() {
            (tag, &word)
        } else {
            (&word, tag)
        };
        space[..first.len()].copy_from_slice(first);
        space[first.len()..first.len() + second.len()].copy_from_slice(second);
        Ok(protected_length)
    }

    /// The id of the packet with this RTP header, whose index is used from now on.
    fn take_id(&mut self, header: &[u8]) -> Result<PacketId, SrtpError> {
        let ssrc = be32(header, 8).ok_or(SrtpError::TooShort)?;
        let sequence = u16::from_be_bytes([header[2], header[3]]);
        let index = self.take_index(ssrc, sequence)?;
        Ok(PacketId { ssrc, index })
    }

    /// Returns the packet's index and marks it as used.
    fn take_index(&mut self, ssrc: u32, sequence: u16) -> Result<u64, SrtpError> {
        let full = self.rtp_streams.len() >= MAX_STREAMS;
        let Some(seen) = self.rtp_streams.get_mut(&ssrc) else {
            if full {
                return Err(SrtpError::TooManyStreams);
            }
            let index = u64::from(sequence);
            self.rtp_streams
                .insert(ssrc, SeenIndices::starting_with(index));
            return Ok(index);
        };
        let index = estimate(seen.highest(), sequence);
        if index >> 48 != 0 {
            return Err(SrtpError::KeysExhausted);
        }
        if !seen.is_new(index) {
            return Err(SrtpError::IndexReused);
        }
        seen.add(index);
        Ok(index)
    }
}
