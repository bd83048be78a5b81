//! One connected socket of a client: SRTP, consent checks, and answers to checks.

use crate::Error;
use crate::job::{IceJob, TransportJob};
use crate::srtp;
use crate::system;
use sealroute_transport::stun::{self, BindingRequest, MAX_SUCCESS_BYTES};
use sealroute_transport::{
    MAX_OVERHEAD_BYTES, SrtpError, SrtpReceiver, SrtpSender, rtp_header_bytes,
};
use serde::Serialize;
use std::net::UdpSocket;

/// Counters of a transport other than media.
#[derive(Clone, Copy, Debug, Default, Serialize)]
pub struct TransportCounts {
    /// Consent checks sent.
    pub checks_sent: u64,
    /// Consent checks answered with success.
    pub checks_answered: u64,
    /// Checks of the server, all answered.
    pub checks_received: u64,
    /// Packets with a wrong tag.
    pub unauthentic: u64,
    /// Datagrams of unknown kind.
    pub unknown: u64,
    /// Datagrams that the kernel refused.
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

/// Room for a protected RTCP compound of this client.
const RTCP_SLOT_BYTES: usize = 1_200 + MAX_OVERHEAD_BYTES;
/// Priority of a host candidate (RFC 8445, section 5.1.2.1).
const PRIORITY: u32 = 0x7eff_ffff;

/// The client's end of one transport.
pub struct Transport {
    /// Connected to the server.
    pub socket: UdpSocket,
    /// Counters so far.
    pub counts: TransportCounts,
    /// `None`: plain RTP.
    pub sender: Option<SrtpSender>,
    receiver: Option<SrtpReceiver>,
    ice: Option<IceJob>,
    next_check_unix_ns: u64,
    transaction: u64,
}

impl Transport {
    /// Adopts the job's socket. The first consent check is sent within `consent_ns`, offset by
    /// `index` so that transports do not check all at once.
    pub fn open(
        job: TransportJob,
        index: usize,
        now_unix_ns: u64,
        consent_ns: u64,
    ) -> Result<Self, Error> {
        let socket = system::adopt(job.fd)?;
        let (sender, receiver) = match &job.srtp {
            Some(keys) => {
                let (sender, receiver) = srtp::contexts(keys)?;
                (Some(sender), Some(receiver))
            }
            None => (None, None),
        };
        let offset = (index as u64).wrapping_mul(0x9e37_79b9_7f4a_7c15) % consent_ns.max(1);
        Ok(Self {
            socket,
            counts: TransportCounts::default(),
            sender,
            receiver,
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

    /// Sends a consent check if one is due.
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
        let username = format!("{}:{}", ice.remote_ufrag, ice.local_ufrag);
        let request = BindingRequest {
            transaction_id: transaction,
            username: &username,
            priority: PRIORITY,
            controlling: self.transaction,
            use_candidate: true,
        };
        let mut check = [0; 700];
        let password = ice.remote_password.as_bytes();
        let length = stun::write_binding_request(&request, password, &mut check);
        self.counts.checks_sent += 1;
        self.send(&check[..length]);
    }

    /// Counts a STUN message, and answers a check of the server.
    pub fn handle_stun(&mut self, message: &[u8]) {
        let answer = self.ice.as_ref().and_then(|ice| {
            let remote = ice.remote_password.as_bytes();
            let response = stun::parse_response(message).ok()?;
            (response.success && stun::verify_integrity(message, remote).is_ok()).then_some(())
        });
        if answer.is_some() {
            self.counts.checks_answered += 1;
        } else if !self.answer_check(message) {
            self.counts.unknown += 1;
        }
    }

    /// Returns `false` if the message is not a valid check.
    fn answer_check(&mut self, message: &[u8]) -> bool {
        let (Some(ice), Ok(request)) = (&self.ice, stun::parse_request(message)) else {
            return false;
        };
        let password = ice.local_password.as_bytes();
        if stun::verify_integrity(message, password).is_err() {
            return false;
        }
        self.counts.checks_received += 1;
        if let Ok(peer) = self.socket.peer_addr() {
            let mut answer = [0; MAX_SUCCESS_BYTES];
            let id = request.transaction_id;
            let length = stun::write_success(id, peer, password, &mut answer);
            self.send(&answer[..length]);
        }
        true
    }

    /// Unprotects an RTP packet in place. Returns its payload.
    ///
    /// # Errors
    /// `Replayed`: the packet arrived twice, and the caller counts it. Other errors are counted
    /// here.
    pub fn unprotect_rtp<'p>(&mut self, packet: &'p mut [u8]) -> Result<&'p [u8], SrtpError> {
        let opened = match &mut self.receiver {
            Some(receiver) => receiver.unprotect_rtp(packet),
            None => Ok(packet.len()),
        };
        let payload = opened.and_then(|length| {
            let header = rtp_header_bytes(&packet[..length])?;
            Ok(header..length)
        });
        if payload
            .as_ref()
            .is_err_and(|error| *error != SrtpError::Replayed)
        {
            self.counts.unauthentic += 1;
        }
        Ok(&packet[payload?])
    }

    /// Unprotects an RTCP compound in place.
    pub fn unprotect_rtcp<'p>(&mut self, packet: &'p mut [u8]) -> Option<&'p [u8]> {
        let opened = match &mut self.receiver {
            Some(receiver) => receiver.unprotect_rtcp(packet),
            None => Ok(packet.len()),
        };
        if opened.is_err() {
            self.counts.unauthentic += 1;
        }
        packet.get(..opened.ok()?)
    }

    /// Protects and sends an RTCP compound.
    pub fn send_rtcp(&mut self, compound: &[u8]) -> Result<(), Error> {
        let Some(sender) = &mut self.sender else {
            self.send(compound);
            return Ok(());
        };
        let mut slot = [0; RTCP_SLOT_BYTES];
        let length = sender
            .protect_rtcp(compound, &mut slot)
            .map_err(|_| Error::Crypto)?;
        self.send(&slot[..length]);
        Ok(())
    }
}
