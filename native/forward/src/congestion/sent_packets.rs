//! Sent packets by transport-wide sequence number, kept until their feedback arrives.

use std::time::Instant;

/// More than a second at 8 Mbit/s; feedback comes several times a second.
const KEPT: usize = 2_048;

/// One packet in flight.
#[derive(Clone, Copy, Debug)]
pub(crate) struct SentPacket {
    sequence: u64,
    pub(crate) at: Instant,
    pub(crate) bytes: u16,
    /// The probe cluster that it belongs to; 0 = none.
    pub(crate) probe: u16,
    reported: Reported,
}

#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum Reported {
    NotYet,
    Lost,
    Received,
}

/// The outcome of a packet, as far as new feedback changes it.
#[derive(Clone, Copy, Debug)]
pub(crate) enum PacketOutcome {
    Received(SentPacket),
    Lost,
    /// Reported lost before.
    ReceivedLate(SentPacket),
}

/// Assigns the sequence numbers of one transport and stores the last packets.
#[derive(Debug, Default)]
pub(crate) struct SentPackets {
    ring: Vec<SentPacket>,
    next: u64,
}

impl SentPackets {
    /// Registers a packet that is being sent; returns its sequence number.
    pub(crate) fn send(&mut self, at: Instant, bytes: usize, probe: u16) -> u16 {
        let sequence = self.next;
        self.next += 1;
        let packet = SentPacket {
            sequence,
            at,
            bytes: bytes.min(usize::from(u16::MAX)) as u16,
            probe,
            reported: Reported::NotYet,
        };
        if self.ring.len() < KEPT {
            self.ring.push(packet);
        } else {
            self.ring[sequence as usize % KEPT] = packet;
        }
        sequence as u16
    }

    /// Takes a status. Each packet counts as lost at most once and as received at most once.
    pub(crate) fn take(&mut self, sequence: u16, arrived: bool) -> Option<PacketOutcome> {
        let last = self.next.checked_sub(1)?;
        let behind = u64::from((last as u16).wrapping_sub(sequence));
        let full = last.checked_sub(behind)?;
        let packet = self.ring.get_mut(full as usize % KEPT)?;
        if packet.sequence != full {
            return None;
        }
        let before = packet.reported;
        match (before, arrived) {
            (Reported::Received, _) | (Reported::Lost, false) => None,
            (Reported::NotYet, false) => {
                packet.reported = Reported::Lost;
                Some(PacketOutcome::Lost)
            }
            (Reported::NotYet, true) => {
                packet.reported = Reported::Received;
                Some(PacketOutcome::Received(*packet))
            }
            (Reported::Lost, true) => {
                packet.reported = Reported::Received;
                Some(PacketOutcome::ReceivedLate(*packet))
            }
        }
    }
}

#[cfg(test)]
mod tests {
    use super::{KEPT, PacketOutcome, SentPackets};
    use std::time::Instant;

    #[test]
    fn a_packet_is_lost_once_and_arrives_once() {
        let mut sent = SentPackets::default();
        let number = sent.send(Instant::now(), 100, 0);
        assert!(matches!(
            sent.take(number, false),
            Some(PacketOutcome::Lost)
        ));
        assert!(sent.take(number, false).is_none());
        assert!(matches!(
            sent.take(number, true),
            Some(PacketOutcome::ReceivedLate(_))
        ));
        assert!(sent.take(number, true).is_none());
    }

    #[test]
    fn sequence_numbers_never_sent_or_long_forgotten_change_nothing() {
        let mut sent = SentPackets::default();
        assert!(sent.take(0, true).is_none());
        let now = Instant::now();
        for _ in 0..=KEPT {
            sent.send(now, 100, 0);
        }
        assert!(sent.take(0, true).is_none());
        assert!(sent.take(KEPT as u16 + 1, true).is_none());
        assert!(sent.take(1, true).is_some());
    }
}
