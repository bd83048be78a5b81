//! Publishers: one thread paces all of them and handles their feedback.

use crate::Error;
use crate::clock::{sleep_until, unix_ns};
use crate::job::{MediaJob, PublisherJob};
use crate::media::Packetizer;
use crate::rtcp::{self, Feedback};
use crate::run::Phases;
use crate::system::{self, ReceiveBatch, send_batch};
use crate::transport::{Transport, TransportCounts};
use sealroute_transport::{MAX_OVERHEAD_BYTES, PacketKind, classify};
use serde::Serialize;

const SLOT_BYTES: usize = 1_500 + MAX_OVERHEAD_BYTES;
const REPORT_NS: u64 = 1_000_000_000;
/// Poll interval for feedback while nothing is due: bounds the delay of a requested key frame.
const IDLE_NS: u64 = 10_000_000;

/// The results of a publisher.
#[derive(Clone, Debug, Default, Serialize)]
pub struct PublisherResult {
    /// Index of the first packet of the measured window.
    pub window_begin: u64,
    /// Index after its last packet.
    pub window_end: u64,
    /// Packets sent in the whole run.
    pub sent: u64,
    /// Maximum delay of a burst behind its due time in the window.
    pub latest_us: f64,
    /// PLI and FIR received.
    pub key_frame_requests: u64,
    /// Generic NACKs received: a sign of loss on the uplink.
    pub nacks: u64,
    /// Counters other than media.
    pub transport: TransportCounts,
}

/// The sender of one stream.
pub struct Publisher {
    transport: Transport,
    media: MediaJob,
    packetizer: Packetizer,
    slots: Vec<[u8; SLOT_BYTES]>,
    lengths: Vec<usize>,
    interval_ns: f64,
    begin_unix_ns: u64,
    bursts: u64,
    next_report_unix_ns: u64,
    payload_bytes: u64,
    feedback: Feedback,
    result: PublisherResult,
}

impl Publisher {
    /// Adopts the job's socket and prepares the media.
    pub fn open(job: PublisherJob, index: usize, consent_ns: u64) -> Result<Self, Error> {
        let packetizer = Packetizer::new(&job.media, index as u16)?;
        let burst = job.media.burst as usize;
        Ok(Self {
            transport: Transport::open(job.transport, index, unix_ns(), consent_ns)?,
            packetizer,
            slots: vec![[0; SLOT_BYTES]; burst],
            lengths: vec![0; burst],
            interval_ns: f64::from(job.media.burst) * 1e9 / job.media.rate_pps,
            media: job.media,
            begin_unix_ns: 0,
            bursts: 0,
            next_report_unix_ns: 0,
            payload_bytes: 0,
            feedback: Feedback::default(),
            result: PublisherResult::default(),
        })
    }

    /// Spreads the publishers' bursts over an interval.
    fn begin(&mut self, now_unix_ns: u64, index: usize, of: usize) {
        let phase = self.interval_ns * index as f64 / of as f64;
        self.begin_unix_ns = now_unix_ns + phase as u64;
        self.next_report_unix_ns = self.begin_unix_ns + REPORT_NS / 2;
    }

    fn due_unix_ns(&self) -> u64 {
        self.begin_unix_ns + (self.bursts as f64 * self.interval_ns) as u64
    }

    fn send_burst(&mut self, now_unix_ns: u64) -> Result<(), Error> {
        for (slot, length) in self.slots.iter_mut().zip(&mut self.lengths) {
            let (clear, _) = self.packetizer.write(slot, now_unix_ns);
            *length = match &mut self.transport.sender {
                Some(sender) => sender
                    .protect_rtp_in_place(slot, clear)
                    .map_err(|_| Error::Crypto)?,
                None => clear,
            };
        }
        let packets: Vec<&[u8]> = self
            .slots
            .iter()
            .zip(&self.lengths)
            .map(|(slot, length)| &slot[..*length])
            .collect();
        let sent = send_batch(&self.transport.socket, &packets).unwrap_or(0);
        self.transport.counts.send_failures += (packets.len() - sent) as u64;
        self.payload_bytes += (packets.len() * self.media.payload_bytes) as u64;
        self.bursts += 1;
        Ok(())
    }

    fn send_report(&mut self, now_unix_ns: u64) -> Result<(), Error> {
        if now_unix_ns < self.next_report_unix_ns {
            return Ok(());
        }
        self.next_report_unix_ns = now_unix_ns + REPORT_NS;
        let (timestamp, packets) = (self.packetizer.timestamp(), self.packetizer.number());
        let report = rtcp::build_sender_report(
            self.media.ssrc,
            now_unix_ns,
            timestamp,
            packets,
            self.payload_bytes,
        );
        self.transport.send_rtcp(&report)
    }

    fn receive(&mut self, batch: &mut ReceiveBatch) -> Result<(), Error> {
        let count = batch.receive(&self.transport.socket)?;
        for index in 0..count {
            let (datagram, _) = batch.packet(index);
            match classify(datagram) {
                PacketKind::Stun => self.transport.handle_stun(datagram),
                PacketKind::Rtcp => {
                    if let Some(compound) = self.transport.unprotect_rtcp(datagram) {
                        self.feedback += rtcp::feedback(compound);
                    }
                }
                PacketKind::Rtp | PacketKind::Dtls | PacketKind::Unknown => {
                    self.transport.counts.unknown += 1;
                }
            }
        }
        if self.feedback.key_frame_requests > self.result.key_frame_requests {
            self.result.key_frame_requests = self.feedback.key_frame_requests;
            self.packetizer.want_key_frame();
        }
        Ok(())
    }

    fn finish(mut self) -> PublisherResult {
        self.result.sent = self.packetizer.number();
        self.result.nacks = self.feedback.nacks;
        self.result.transport = self.transport.counts;
        self.result
    }
}

/// The publishers' thread: sends until the phases end sending, then handles consent and feedback
/// until the end.
pub fn drive(
    mut publishers: Vec<Publisher>,
    phases: &Phases,
    consent_ns: u64,
) -> Result<Vec<PublisherResult>, Error> {
    system::sleep_precisely();
    let mut batch = ReceiveBatch::default();
    let mut sending = false;
    let (mut in_window, mut after_window) = (false, false);
    while !phases.ended() {
        let now = unix_ns();
        if !sending && phases.sending() {
            sending = true;
            let of = publishers.len();
            publishers
                .iter_mut()
                .enumerate()
                .for_each(|(index, one)| one.begin(now, index, of));
        }
        if !in_window && phases.measuring() {
            in_window = true;
            for one in &mut publishers {
                one.result.window_begin = one.packetizer.number();
            }
        }
        if !after_window && phases.measured() {
            after_window = true;
            for one in &mut publishers {
                one.result.window_end = one.packetizer.number();
            }
        }
        let active = sending && !after_window;
        let mut next = now + IDLE_NS;
        for publisher in &mut publishers {
            publisher.transport.check_consent(now, consent_ns);
            if active {
                let due = publisher.due_unix_ns();
                if due <= now {
                    if in_window {
                        let late_us = (now - due) as f64 / 1e3;
                        publisher.result.latest_us = publisher.result.latest_us.max(late_us);
                    }
                    publisher.send_burst(unix_ns())?;
                    publisher.send_report(now)?;
                    publisher.receive(&mut batch)?;
                }
                next = next.min(publisher.due_unix_ns());
            } else {
                publisher.receive(&mut batch)?;
            }
        }
        sleep_until(next);
    }
    Ok(publishers.into_iter().map(Publisher::finish).collect())
}
