//! Subscribers: one thread polls all subscribers' sockets every few milliseconds, so that no packet
//! pays for waking a thread, and verifies every packet.

use crate::Error;
use crate::clock::{sleep_until, unix_ns};
use crate::histogram::Histogram;
use crate::rtcp::{self, ReportBlock, SenderReport};
use crate::run::Phases;
use crate::stamp::Stamp;
use crate::system::{BATCH, ReceiveBatch};
use crate::transport::{Transport, TransportCounts};
use sealroute_transport::{PacketKind, SrtpError, classify};
use serde::Serialize;
use std::collections::BTreeMap;

const REPORT_NS: u64 = 1_000_000_000;
/// A larger window would make the bitmaps large: 2^24 is 2 MB per flow.
const MAX_INDICES: u64 = 1 << 24;
/// Maximum streams per subscriber.
const MAX_FLOWS: usize = 256;

/// Counters of all subscribers, except delays.
#[derive(Clone, Copy, Debug, Default, Serialize)]
pub struct SubscriberCounts {
    /// RTP packets that were unprotected and verified.
    pub received: u64,
    /// Payloads with a wrong hash or without a stamp.
    pub corrupt: u64,
    /// Stamps received more than once on a flow.
    pub duplicates: u64,
    /// Stamps that arrived after a later one.
    pub reordered: u64,
    /// RTP sequence numbers that did not follow the previous one of the flow.
    pub sequence_gaps: u64,
    /// Sender reports from the server.
    pub sender_reports: u64,
    /// Counters other than media.
    pub transport: TransportCounts,
}

/// One forwarded stream (SSRC) as it arrives.
#[derive(Default)]
struct Flow {
    publisher: u16,
    clock_hz: f64,
    seen: Vec<u64>,
    last_index: u64,
    last_sequence: u16,
    cycles: u32,
    received: u64,
    first_sequence: u32,
    jitter: f64,
    last_transit: Option<f64>,
    last_expected: u64,
    last_received: u64,
    sender_report: Option<(SenderReport, u64)>,
}

impl Flow {
    fn new(stamp: &Stamp, sequence: u16) -> Self {
        Self {
            publisher: stamp.publisher,
            clock_hz: if stamp.has_vp8_descriptor {
                90_000.0
            } else {
                48_000.0
            },
            last_index: stamp.number,
            last_sequence: sequence.wrapping_sub(1),
            cycles: 1,
            first_sequence: (1 << 16) + u32::from(sequence),
            ..Self::default()
        }
    }

    /// Returns whether the index is new and within bounds.
    fn mark(&mut self, index: u64) -> bool {
        if index >= MAX_INDICES {
            return false;
        }
        let (word, bit) = ((index / 64) as usize, 1_u64 << (index % 64));
        if self.seen.len() <= word {
            self.seen.resize(word + 1, 0);
        }
        let is_new = self.seen[word] & bit == 0;
        self.seen[word] |= bit;
        is_new
    }

    fn count_marked(&self, begin: u64, end: u64) -> u64 {
        (begin..end)
            .filter(|index| {
                let word = self.seen.get((index / 64) as usize).copied().unwrap_or(0);
                word & (1 << (index % 64)) != 0
            })
            .count() as u64
    }

    /// Returns whether `sequence` follows the previous one.
    fn advance(&mut self, sequence: u16) -> bool {
        self.received += 1;
        let step = sequence.wrapping_sub(self.last_sequence);
        if step == 0 || step >= 0x8000 {
            return false;
        }
        if sequence < self.last_sequence {
            self.cycles += 1;
        }
        self.last_sequence = sequence;
        step == 1
    }

    /// Updates the jitter (RFC 3550, A.8).
    fn update_jitter(&mut self, timestamp: u32, at_unix_ns: u64) {
        let arrival = (at_unix_ns as f64 / 1e9 * self.clock_hz) % f64::from(u32::MAX);
        let transit = arrival - f64::from(timestamp);
        if let Some(before) = self.last_transit.replace(transit) {
            let difference = (transit - before).abs().min(self.clock_hz);
            self.jitter += (difference - self.jitter) / 16.0;
        }
    }

    fn report(&mut self, ssrc: u32, now_unix_ns: u64) -> ReportBlock {
        let highest = self.cycles << 16 | u32::from(self.last_sequence);
        let expected = u64::from(highest.wrapping_sub(self.first_sequence)) + 1;
        let lost = expected.saturating_sub(self.received);
        let expected_since = expected.saturating_sub(self.last_expected);
        let received_since = self.received - self.last_received;
        (self.last_expected, self.last_received) = (expected, self.received);
        let lost_since = expected_since.saturating_sub(received_since);
        let fraction = (lost_since * 256)
            .checked_div(expected_since)
            .unwrap_or(0)
            .min(255);
        let (last_sender_report, delay) = self.sender_report.map_or((0, 0), |(report, at)| {
            let since = now_unix_ns.saturating_sub(at);
            (report.compact_ntp, (since as f64 * 65_536.0 / 1e9) as u32)
        });
        ReportBlock {
            ssrc,
            fraction_lost: fraction as u8,
            lost: lost as u32,
            // The count of cycles starts at one so that late packets cannot underflow it.
            highest: highest.wrapping_sub(1 << 16),
            jitter: self.jitter as u32,
            last_sender_report,
            delay,
        }
    }
}

/// One receiving client.
pub struct Subscriber {
    transport: Transport,
    ssrc: u32,
    flows: BTreeMap<u32, Flow>,
    next_report_unix_ns: u64,
}

/// The results of the subscribers' thread.
#[derive(Default)]
pub struct Received {
    /// Sums over all subscribers.
    pub counts: SubscriberCounts,
    /// Delay of the packets sent within the window.
    pub delay: Histogram,
    flows: Vec<(u16, Flow)>,
}

impl Received {
    /// Packets of the window that arrived at least once, per flow: (publisher, count).
    pub fn arrived(&self, window: impl Fn(u16) -> (u64, u64)) -> Vec<(u16, u64)> {
        let count = |(publisher, flow): &(u16, Flow)| {
            let (begin, end) = window(*publisher);
            (*publisher, flow.count_marked(begin, end))
        };
        self.flows.iter().map(count).collect()
    }
}

impl Subscriber {
    /// `index` spreads the reports over a second.
    pub fn new(transport: Transport, index: usize, now_unix_ns: u64) -> Self {
        let offset = (index as u64).wrapping_mul(0x9e37_79b9_7f4a_7c15) % REPORT_NS;
        Self {
            transport,
            ssrc: 0x1000_0000 + index as u32,
            flows: BTreeMap::new(),
            next_report_unix_ns: now_unix_ns + offset,
        }
    }

    fn receive(
        &mut self,
        batch: &mut ReceiveBatch,
        phases: &Phases,
        into: &mut Received,
    ) -> Result<(), Error> {
        loop {
            let count = batch.receive(&self.transport.socket)?;
            for index in 0..count {
                let (datagram, at) = batch.packet(index);
                match classify(datagram) {
                    PacketKind::Rtp => self.handle_rtp(datagram, at, phases, into),
                    PacketKind::Rtcp => self.handle_rtcp(datagram, at, &mut into.counts),
                    PacketKind::Stun => self.transport.handle_stun(datagram),
                    PacketKind::Dtls | PacketKind::Unknown => self.transport.counts.unknown += 1,
                }
            }
            if count < BATCH {
                return Ok(());
            }
        }
    }

    fn handle_rtp(&mut self, packet: &mut [u8], at: u64, phases: &Phases, into: &mut Received) {
        let &mut [_, _, s0, s1, t0, t1, t2, t3, a, b, c, d, ..] = packet else {
            self.transport.counts.unknown += 1;
            return;
        };
        let payload = match self.transport.unprotect_rtp(packet) {
            Ok(payload) => payload,
            Err(error) => {
                into.counts.duplicates += u64::from(error == SrtpError::Replayed);
                return;
            }
        };
        into.counts.received += 1;
        let Some(stamp) = Stamp::read(payload) else {
            into.counts.corrupt += 1;
            return;
        };
        let (ssrc, sequence) = (
            u32::from_be_bytes([a, b, c, d]),
            u16::from_be_bytes([s0, s1]),
        );
        if self.flows.len() >= MAX_FLOWS && !self.flows.contains_key(&ssrc) {
            into.counts.corrupt += 1;
            return;
        }
        let flow = self
            .flows
            .entry(ssrc)
            .or_insert_with(|| Flow::new(&stamp, sequence));
        if stamp.publisher != flow.publisher {
            into.counts.corrupt += 1;
        }
        if !flow.advance(sequence) {
            into.counts.sequence_gaps += 1;
        }
        flow.update_jitter(u32::from_be_bytes([t0, t1, t2, t3]), at);
        if !flow.mark(stamp.number) {
            into.counts.duplicates += 1;
        }
        into.counts.reordered += u64::from(stamp.number < flow.last_index);
        flow.last_index = flow.last_index.max(stamp.number);
        if phases.in_window(stamp.sent_unix_ns) {
            into.delay.record(at.saturating_sub(stamp.sent_unix_ns));
        }
    }

    fn handle_rtcp(&mut self, packet: &mut [u8], at: u64, counts: &mut SubscriberCounts) {
        let Some(compound) = self.transport.unprotect_rtcp(packet) else {
            return;
        };
        for report in rtcp::sender_reports(compound) {
            counts.sender_reports += 1;
            if let Some(flow) = self.flows.get_mut(&report.ssrc) {
                flow.sender_report = Some((report, at));
            }
        }
    }

    fn send_report(&mut self, now_unix_ns: u64) -> Result<(), Error> {
        if now_unix_ns < self.next_report_unix_ns {
            return Ok(());
        }
        self.next_report_unix_ns = now_unix_ns + REPORT_NS;
        if self.flows.is_empty() {
            return Ok(());
        }
        let blocks: Vec<ReportBlock> = self
            .flows
            .iter_mut()
            .map(|(ssrc, flow)| flow.report(*ssrc, now_unix_ns))
            .collect();
        for blocks in blocks.chunks(31) {
            self.transport
                .send_rtcp(&rtcp::build_receiver_report(self.ssrc, blocks))?;
        }
        Ok(())
    }
}

/// The subscribers' thread: polls until the phases end.
pub fn drive(
    mut subscribers: Vec<Subscriber>,
    phases: &Phases,
    poll_ns: u64,
    consent_ns: u64,
) -> Result<Received, Error> {
    let mut batch = ReceiveBatch::default();
    let mut into = Received::default();
    loop {
        let ended = phases.ended();
        let now = unix_ns();
        for subscriber in &mut subscribers {
            subscriber.receive(&mut batch, phases, &mut into)?;
            subscriber.transport.check_consent(now, consent_ns);
            subscriber.send_report(now)?;
        }
        if ended {
            break;
        }
        sleep_until(now + poll_ns);
    }
    for subscriber in subscribers {
        into.counts.transport.add(&subscriber.transport.counts);
        into.flows.extend(
            subscriber
                .flows
                .into_values()
                .map(|flow| (flow.publisher, flow)),
        );
    }
    Ok(into)
}

#[cfg(test)]
mod tests {
    use super::*;

    fn flow() -> Flow {
        let stamp = Stamp {
            publisher: 0,
            has_vp8_descriptor: true,
            number: 0,
            sent_unix_ns: 0,
        };
        Flow::new(&stamp, 65_534)
    }

    #[test]
    fn a_flow_in_order_has_no_gaps_across_the_wrap_and_its_report_counts_the_loss() {
        let mut flow = flow();
        for sequence in [65_534, 65_535, 0, 1] {
            assert!(flow.advance(sequence));
        }
        let report = flow.report(9, 0);
        assert_eq!(
            (report.lost, report.fraction_lost, report.highest),
            (0, 0, (1 << 16) + 1)
        );
        assert!(!flow.advance(3), "2 is missing");
        let report = flow.report(9, 0);
        assert_eq!((report.lost, report.fraction_lost), (1, 128));
    }

    #[test]
    fn every_index_counts_once() {
        let mut flow = flow();
        for (index, is_new) in [(0, true), (64, true), (64, false), (200, true)] {
            assert_eq!(flow.mark(index), is_new);
        }
        assert_eq!(flow.count_marked(0, 300), 3);
        assert_eq!(flow.count_marked(1, 200), 1);
        assert!(!flow.mark(u64::MAX), "a forged index uses no memory");
    }
}
