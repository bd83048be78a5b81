//! Framing of packets over TCP: each follows its length in two bytes (RFC 4571). Sans-IO.

use crate::demux::{PacketKind, classify};

/// Bytes of the length before each packet.
pub const LENGTH_BYTES: usize = 2;

/// The framing is invalid, or media arrived before the first valid check.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct BadFrame;

/// Extracts packets from a byte stream, however it is fragmented.
pub struct Deframer {
    inbound: Box<[u8]>,
    filled: usize,
    max_packet_bytes: usize,
    confirmed: bool,
}

impl Deframer {
    /// Accepts packets of up to `max_packet_bytes`. The buffer holds `buffer_bytes`, and at least
    /// one packet with its length.
    pub fn new(max_packet_bytes: usize, buffer_bytes: usize) -> Self {
        let buffer_bytes = buffer_bytes.max(LENGTH_BYTES + max_packet_bytes);
        Self {
            inbound: vec![0; buffer_bytes].into_boxed_slice(),
            filled: 0,
            max_packet_bytes,
            confirmed: false,
        }
    }

    /// A valid check arrived: packets other than checks are accepted from now on.
    pub fn confirm(&mut self) {
        self.confirmed = true;
    }

    /// The buffer space to read into. Never empty.
    pub fn space(&mut self) -> &mut [u8] {
        &mut self.inbound[self.filled..]
    }

    /// Call after reading `bytes` bytes into `space`: passes every complete, non-empty packet to
    /// `take`.
    ///
    /// # Errors
    /// `BadFrame`: close the connection.
    pub fn advance(&mut self, bytes: usize, mut take: impl FnMut(&[u8])) -> Result<(), BadFrame> {
        self.filled = (self.filled + bytes).min(self.inbound.len());
        let mut at = 0;
        while let Some(packet) = self.whole_packet(at)? {
            if !packet.is_empty() {
                take(packet);
            }
            at += LENGTH_BYTES + packet.len();
        }
        self.inbound.copy_within(at..self.filled, 0);
        self.filled -= at;
        Ok(())
    }

    fn whole_packet(&self, at: usize) -> Result<Option<&[u8]>, BadFrame> {
        let pending = &self.inbound[at..self.filled];
        let Some((length, rest)) = pending.split_first_chunk::<LENGTH_BYTES>() else {
            return Ok(None);
        };
        let length = usize::from(u16::from_be_bytes(*length));
        if length > self.max_packet_bytes {
            return Err(BadFrame);
        }
        let packet = rest.get(..length);
        let is_early = |packet: &[u8]| {
            !self.confirmed && !packet.is_empty() && classify(packet) != PacketKind::Stun
        };
        if packet.is_some_and(is_early) {
            return Err(BadFrame);
        }
        Ok(packet)
    }
}

/// Writes a packet with its length. Returns the bytes written, or `None` if they do not fit.
pub fn frame(packet: &[u8], out: &mut [u8]) -> Option<usize> {
    let length = LENGTH_BYTES + packet.len();
    let stated = u16::try_from(packet.len()).ok()?;
    let out = out.get_mut(..length)?;
    out[..LENGTH_BYTES].copy_from_slice(&stated.to_be_bytes());
    out[LENGTH_BYTES..].copy_from_slice(packet);
    Some(length)
}

#[cfg(test)]
mod tests {
    use super::*;

    fn framed(packets: &[&[u8]]) -> Vec<u8> {
        let mut bytes = Vec::new();
        for packet in packets {
            let mut out = vec![0; LENGTH_BYTES + packet.len()];
            assert_eq!(frame(packet, &mut out), Some(out.len()));
            bytes.extend(out);
        }
        bytes
    }

    fn feed(
        deframer: &mut Deframer,
        bytes: &[u8],
        pieces: usize,
    ) -> Result<Vec<Vec<u8>>, BadFrame> {
        let mut found = Vec::new();
        for piece in bytes.chunks(pieces) {
            let mut rest = piece;
            while !rest.is_empty() {
                let space = deframer.space();
                let count = space.len().min(rest.len());
                space[..count].copy_from_slice(&rest[..count]);
                deframer.advance(count, |packet| found.push(packet.to_vec()))?;
                rest = &rest[count..];
            }
        }
        Ok(found)
    }

    #[test]
    fn packets_survive_any_fragmentation_of_the_stream() {
        let packets: [&[u8]; 4] = [&[0; 20], &[1; 1], &[], &[2; 99]];
        for pieces in 1..130 {
            let mut deframer = Deframer::new(100, 0);
            let found = feed(&mut deframer, &framed(&packets), pieces).unwrap();
            assert_eq!(found, [vec![0; 20], vec![1; 1], vec![2; 99]]);
        }
    }

    #[test]
    fn an_oversized_packet_is_refused_by_its_length() {
        let mut deframer = Deframer::new(100, 0);
        assert_eq!(feed(&mut deframer, &[0, 101], 2), Err(BadFrame));
    }

    #[test]
    fn before_a_valid_check_only_checks_are_accepted() {
        let bytes = framed(&[&[0; 20], &[128; 20]]);
        let mut deframer = Deframer::new(100, 0);
        assert_eq!(feed(&mut deframer, &bytes, 300), Err(BadFrame));
        let mut deframer = Deframer::new(100, 0);
        deframer.confirm();
        assert_eq!(feed(&mut deframer, &bytes, 300).unwrap().len(), 2);
    }

    #[test]
    fn the_rest_of_a_packet_always_fits() {
        let mut deframer = Deframer::new(100, 0);
        feed(&mut deframer, &[0, 100], 1).unwrap();
        feed(&mut deframer, &[0; 99], 1).unwrap();
        assert!(!deframer.space().is_empty());
        assert_eq!(feed(&mut deframer, &[0], 1).unwrap(), [vec![0; 100]]);
    }

    #[test]
    fn a_packet_that_does_not_fit_is_not_framed() {
        assert_eq!(frame(&[1; 10], &mut [0; 11]), None);
        assert_eq!(frame(&vec![1; 70_000], &mut vec![0; 80_000]), None);
    }
}
