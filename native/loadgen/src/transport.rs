//! One connected socket of a client: SRTP, consent checks, and answers to checks.

use crate::Error;
use crate::job::{IceJob, TransportJob};
use crate::srtp::{self, Opener, Sealer};
use crate::stun::{self, Incoming};
use crate::system;
use serde::Serialize;
use std::net::UdpSocket;

/// What a transport saw apart from media.
#[derive(Clone, Copy, Debug, Default, Serialize)]
pub struct TransportCounts {
    /// Consent checks sent.
    pub checks_sent: u64,
    /// Of these, answered with success.
    pub checks_answered: u64,
    /// The server's checks, answered.
    pub checks_received: u64,
    /// Packets whose tag was wrong.
    pub unauthentic: u64,
    /// Datagrams of no known kind.
    pub unknown: u64,
    /// Datagrams the kernel did not take.
    pub send_failures: u64,
}

impl TransportCounts {
    /// Adds another transport's counts.
    pub fn add(&mut self, other: &Self) {
        self.checks_sent += other.checks_sent;
        self.checks_answered += other.checks_answered;
        self.checks_received += other.checks_received;
        self.unauthentic += other.unauthentic;
        self.unknown += other.unknown;
        self.send_failures += other.send_failures;
    }
}

/// A datagram's kind by its first bytes (RFC 7983, RFC 5761).
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Kind {
    /// STUN.
    Stun,
    /// RTP.
    Rtp,
    /// RTCP.
    Rtcp,
    /// DTLS or anything else: late handshake records are of no interest here.
    Other,
}

/// Sorts a datagram.
pub fn kind(datagram: &[u8]) -> Kind {
    match datagram {
        [0..=3, ..] => Kind::Stun,
        [128..=191, 192..=223, ..] => Kind::Rtcp,
        [128..=191, ..] => Kind::Rtp,
        _ => Kind::Other,
    }
}

/// The client's end of one transport.
pub struct Transport {
    /// Connected to the server.
    pub socket: UdpSocket,
    /// Events so far.
    pub counts: TransportCounts,
    /// `None`: plain RTP.
    pub sealer: Option<Sealer>,
    opener: Option<Opener>,
    ice: Option<IceJob>,
    next_check_unix_ns: u64,
    transaction: u64,
}

impl Transport {
    /// Takes over the job's socket. The first consent check leaves within `consent_ns`, by
    /// `index`, so that many transports do not check at once.
    pub fn open(
        job: TransportJob,
        index: usize,
        now_unix_ns: u64,
        consent_ns: u64,
    ) -> Result<Self, Error> {
        let socket = system::adopt(job.fd)?;
        let (sealer, opener) = match &job.srtp {
            Some(keys) => {
                let (sealer, opener) = srtp::both(keys)?;
                (Some(sealer), Some(opener))
            }
            None => (None, None),
        };
        let offset = (index as u64).wrapping_mul(0x9e37_79b9_7f4a_7c15) % consent_ns.max(1);
        Ok(Self {
            socket,
            counts: TransportCounts::default(),
            sealer,
            opener,
            ice: job.ice,
            next_check_unix_ns: now_unix_ns + offset,
            transaction: now_unix_ns.rotate_left(17) ^ index as u64,
        })
    }

    fn send(&mut self, datagram: &[u8]) {
        if self.socket.send(datagram).is_err() {
            self.counts.send_failures += 1;
        }
    }

    /// Sends a consent check when one is due.
    pub fn check_consent(&mut self, now_unix_ns: u64, consent_ns: u64) {
        let Some(ice) = self
            .ice
            .as_ref()
            .filter(|_| now_unix_ns >= self.next_check_unix_ns)
        else {
            return;
        };
        self.next_check_unix_ns = now_unix_ns + consent_ns;
        self.transaction = self.transaction.wrapping_add(0x9e37_79b9_7f4a_7c15);
        let mut transaction = [0; 12];
        transaction[..8].copy_from_slice(&self.transaction.to_be_bytes());
        let (remote, local) = (&ice.remote_ufrag, &ice.local_ufrag);
        let check = stun::request(transaction, remote, local, &ice.remote_password);
        self.counts.checks_sent += 1;
        self.send(&check);
    }

    /// Counts a STUN message; answers a check of the server.
    pub fn handle_stun(&mut self, message: &[u8]) {
        match stun::classify(message) {
            Some(Incoming::Success) => self.counts.checks_answered += 1,
            Some(Incoming::Request(transaction)) => {
                self.counts.checks_received += 1;
                let (Some(ice), Ok(peer)) = (&self.ice, self.socket.peer_addr()) else {
                    return;
                };
                let answer = stun::success(transaction, peer, &ice.local_password);
                self.send(&answer);
            }
            _ => self.counts.unknown += 1,
        }
    }

    /// Opens an RTP packet in place; its payload.
    pub fn open_rtp<'p>(&mut self, packet: &'p mut [u8]) -> Option<&'p [u8]> {
        let range = match &mut self.opener {
            Some(opener) => opener.rtp(packet).map(|(range, _)| range),
            None => srtp::rtp_header_bytes(packet).map(|header| header..packet.len()),
        };
        if range.is_none() {
            self.counts.unauthentic += 1;
        }
        packet.get(range?)
    }

    /// Opens an RTCP compound in place.
    pub fn open_rtcp<'p>(&mut self, packet: &'p mut [u8]) -> Option<&'p [u8]> {
        let length = match &self.opener {
            Some(opener) => opener.rtcp(packet),
            None => Some(packet.len()),
        };
        if length.is_none() {
            self.counts.unauthentic += 1;
        }
        packet.get(..length?)
    }

    /// Seals and sends an RTCP compound.
    pub fn send_rtcp(&mut self, compound: &[u8]) -> Result<(), Error> {
        let sealed = match &mut self.sealer {
            Some(sealer) => sealer.rtcp(compound)?,
            None => compound.to_vec(),
        };
        self.send(&sealed);
        Ok(())
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn datagrams_are_sorted_by_their_first_bytes() {
        for (bytes, right) in [
            (&[0, 1][..], Kind::Stun),
            (&[128, 96], Kind::Rtp),
            (&[144, 224], Kind::Rtp),
            (&[129, 200], Kind::Rtcp),
            (&[22, 254], Kind::Other),
            (&[128], Kind::Rtp),
            (&[], Kind::Other),
        ] {
            assert_eq!(kind(bytes), right, "{bytes:?}");
        }
    }
}
