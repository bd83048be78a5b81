//! Unprotects the packets of a peer.

use super::index::{SeenIndices, estimate};
use super::session_keys::{PacketId, Purpose, SessionKeys, Trailer};
use super::{
    CM_TAG_BYTES, ENCRYPTED_FLAG, INDEX_BYTES, RTCP_HEADER_BYTES, SrtpError, SrtpKeys, SrtpProfile,
    be32, rtp_header_bytes,
};
use crate::demux::{PacketKind, classify};
use std::collections::HashMap;

/// SSRCs a peer may use, for RTP and RTCP each, in the life of a transport. Only authentic packets
/// take a place.
const MAX_STREAMS: usize = 1_024;

/// RTCP packets that may be lost during a path migration.
pub const MAX_MISSED_REPORTS: u64 = 256;

/// The clear-text fields of a packet that hint at its sender. Anybody can forge them.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum SrtpClue {
    /// An RTP packet.
    Rtp {
        /// SSRC of the sender.
        ssrc: u32,
    },
    /// An RTCP compound.
    Rtcp {
        /// SSRC of the sender.
        ssrc: u32,
        /// The SRTCP index, read at its position in AEAD profiles and in the others.
        indices: [Option<u64>; 2],
    },
}

impl SrtpClue {
    /// `None` if the packet is too short.
    pub fn of(packet: &[u8]) -> Option<Self> {
        if classify(packet) == PacketKind::Rtp {
            return be32(packet, 8).map(|ssrc| Self::Rtp { ssrc });
        }
        let index = |behind: usize| {
            let at = packet.len().checked_sub(INDEX_BYTES + behind)?;
            be32(packet, at).map(|word| u64::from(word & !ENCRYPTED_FLAG))
        };
        let indices = [index(0), index(CM_TAG_BYTES)];
        be32(packet, 4).map(|ssrc| Self::Rtcp { ssrc, indices })
    }
}

/// Unprotects the SRTP and SRTCP packets of one peer. State changes only after a tag is verified.
pub struct SrtpReceiver {
    profile: SrtpProfile,
    rtp_keys: SessionKeys,
    rtcp_keys: SessionKeys,
    /// Replay lists of 1,024 packets by SSRC.
    pub(super) rtp_streams: HashMap<u32, SeenIndices<16>>,
    /// Replay lists of 128 packets by SSRC.
    rtcp_streams: HashMap<u32, SeenIndices<2>>,
}

impl SrtpReceiver {
    /// Derives the session keys.
    ///
    /// # Errors
    /// `KeyLength`.
    pub fn new(profile: SrtpProfile, keys: SrtpKeys<'_>) -> Result<Self, SrtpError> {
        Ok(Self {
            profile,
            rtp_keys: SessionKeys::derive(profile, keys, Purpose::Rtp)?,
            rtcp_keys: SessionKeys::derive(profile, keys, Purpose::Rtcp)?,
            rtp_streams: HashMap::new(),
            rtcp_streams: HashMap::new(),
        })
    }

    /// Whether a packet from an unknown address could be this peer's next one: cheap, and no proof.
    pub fn expects(&self, packet: &[u8]) -> bool {
        match SrtpClue::of(packet) {
            None => false,
            Some(SrtpClue::Rtp { ssrc }) => self.rtp_streams.contains_key(&ssrc),
            Some(SrtpClue::Rtcp { ssrc, indices }) => {
                let index = indices[usize::from(!self.profile.is_gcm())];
                let seen = self.rtcp_streams.get(&ssrc);
                let ahead = seen
                    .zip(index)
                    .and_then(|(seen, index)| index.checked_sub(seen.highest()));
                ahead.is_some_and(|ahead| (1..=MAX_MISSED_REPORTS).contains(&ahead))
            }
        }
    }

    /// RTP SSRCs that the peer has used.
    pub fn rtp_ssrcs(&self) -> impl Iterator<Item = u32> {
        self.rtp_streams.keys().copied()
    }

    /// RTCP SSRCs that the peer has used, each with the highest index received.
    pub fn rtcp_indices(&self) -> impl Iterator<Item = (u32, u64)> {
        let streams = self.rtcp_streams.iter();
        streams.map(|(ssrc, seen)| (*ssrc, seen.highest()))
    }

    /// Unprotects an SRTP packet in place. Returns the length of the RTP packet.
    ///
    /// # Errors
    /// `TooShort`, `Malformed`, `Replayed`, `TooManyStreams`, `BadTag`; the payload is unusable
    /// then.
    pub fn unprotect_rtp(&mut self, packet: &mut [u8]) -> Result<usize, SrtpError> {
        self.decrypt_rtp(packet, true)
    }

    /// Whether the keys authenticate a packet that was not received yet. Does not record its index,
    /// so the packet can still be received.
    pub fn authenticates(&mut self, packet: &[u8]) -> bool {
        let mut copy = packet.to_vec();
        let decrypted = if classify(packet) == PacketKind::Rtp {
            self.decrypt_rtp(&mut copy, false)
        } else {
            self.decrypt_rtcp(&mut copy, false)
        };
        decrypted.is_ok()
    }

    fn decrypt_rtp(&mut self, packet: &mut [u8], record_index: bool) -> Result<usize, SrtpError> {
        let header = rtp_header_bytes(packet)?;
        let length = packet
            .len()
            .checked_sub(self.profile.tag_bytes())
            .filter(|length| *length >= header)
            .ok_or(SrtpError::TooShort)?;
        let ssrc = be32(packet, 8).ok_or(SrtpError::TooShort)?;
        let sequence = u16::from_be_bytes([packet[2], packet[3]]);
        let index = match self.rtp_streams.get(&ssrc) {
            Some(seen) => estimate(seen.highest(), sequence),
            None => u64::from(sequence),
        };
        let place = vacancy(&mut self.rtp_streams, ssrc, index)?;
        let (header, body_and_tag) = packet.split_at_mut(header);
        let trailer = Trailer::RolloverCounter((index >> 16) as u32);
        self.rtp_keys
            .decrypt(PacketId { ssrc, index }, header, body_and_tag, trailer)?;
        match place {
            _ if !record_index => {}
            Some(seen) => seen.add(index),
            None => drop(
                self.rtp_streams
                    .insert(ssrc, SeenIndices::starting_with(index)),
            ),
        }
        Ok(length)
    }

    /// Unprotects an SRTCP packet in place. Returns the length of the RTCP compound.
    ///
    /// # Errors
    /// `TooShort`, `Malformed`, `NotEncrypted`, `Replayed`, `TooManyStreams`, `BadTag`; the packet
    /// is unusable then.
    pub fn unprotect_rtcp(&mut self, packet: &mut [u8]) -> Result<usize, SrtpError> {
        self.decrypt_rtcp(packet, true)
    }

    fn decrypt_rtcp(&mut self, packet: &mut [u8], record_index: bool) -> Result<usize, SrtpError> {
        let tag_bytes = self.profile.tag_bytes();
        let length = packet
            .len()
            .checked_sub(tag_bytes + INDEX_BYTES)
            .filter(|length| *length >= RTCP_HEADER_BYTES)
            .ok_or(SrtpError::TooShort)?;
        if packet[0] >> 6 != 2 {
            return Err(SrtpError::Malformed);
        }
        let ssrc = be32(packet, 4).ok_or(SrtpError::TooShort)?;
        let word_at = if self.profile.is_gcm() {
            length + tag_bytes
        } else {
            length
        };
        let word = be32(packet, word_at).ok_or(SrtpError::TooShort)?;
        if word & ENCRYPTED_FLAG == 0 {
            return Err(SrtpError::NotEncrypted);
        }
        let index = u64::from(word & !ENCRYPTED_FLAG);
        let place = vacancy(&mut self.rtcp_streams, ssrc, index)?;
        if !self.profile.is_gcm() {
            // Here the tag follows the index; move it behind the body, where AEAD profiles have it.
            packet.copy_within(length + INDEX_BYTES.., length);
        }
        let (header, rest) = packet.split_at_mut(RTCP_HEADER_BYTES);
        let body_and_tag = &mut rest[..length - RTCP_HEADER_BYTES + tag_bytes];
        let id = PacketId { ssrc, index };
        self.rtcp_keys
            .decrypt(id, header, body_and_tag, Trailer::RtcpIndex(word))?;
        match place {
            _ if !record_index => {}
            Some(seen) => seen.add(index),
            None => drop(
                self.rtcp_streams
                    .insert(ssrc, SeenIndices::starting_with(index)),
            ),
        }
        Ok(length)
    }
}

/// The replay list for the index; `None` if the SSRC is new and there is room for it.
fn vacancy<const WORDS: usize>(
    streams: &mut HashMap<u32, SeenIndices<WORDS>>,
    ssrc: u32,
    index: u64,
) -> Result<Option<&mut SeenIndices<WORDS>>, SrtpError> {
    let full = streams.len() >= MAX_STREAMS;
    match streams.get_mut(&ssrc) {
        Some(seen) if seen.is_new(index) => Ok(Some(seen)),
        Some(_) => Err(SrtpError::Replayed),
        None if full => Err(SrtpError::TooManyStreams),
        None => Ok(None),
    }
}
