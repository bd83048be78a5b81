//! Reception statistics of a publisher's RtpStream: loss and jitter (RFC 3550 A.3, A.8).

use std::time::Instant;

use sealroute_rtp::FullSequence;
use sealroute_rtp::rtcp::{ReportBlock, SenderInfo};

/// Counts the arrivals of one RtpStream.
#[derive(Clone, Debug, Default)]
pub struct Reception {
    base: Option<FullSequence>,
    highest: Option<FullSequence>,
    received: u64,
    expected_before: u64,
    received_before: u64,
    jitter: f64,
    last_arrival: Option<(Instant, u32)>,
    sender_report: Option<(SenderInfo, Instant)>,
}

impl Reception {
    /// Packets so far, without duplicates.
    pub fn received(&self) -> u64 {
        self.received
    }

    /// Registers the first arrival of a packet.
    pub fn handle_arrival(
        &mut self,
        now: Instant,
        sequence: FullSequence,
        timestamp: u32,
        clock_hz: u32,
    ) {
        self.received += 1;
        self.base = Some(self.base.map_or(sequence, |base| base.min(sequence)));
        self.highest = Some(
            self.highest
                .map_or(sequence, |highest| highest.max(sequence)),
        );
        if let Some((at, before)) = self.last_arrival {
            let arrived = now.duration_since(at).as_secs_f64() * f64::from(clock_hz);
            let sent = f64::from(timestamp.wrapping_sub(before) as i32);
            self.jitter += ((arrived - sent).abs() - self.jitter) / 16.0;
        }
        self.last_arrival = Some((now, timestamp));
    }

    /// Stores the publisher's sender report.
    pub fn handle_sender_report(&mut self, now: Instant, info: SenderInfo) {
        self.sender_report = Some((info, now));
    }

    /// The latest sender report and its arrival time.
    pub fn sender_report(&self) -> Option<(SenderInfo, Instant)> {
        self.sender_report
    }

    /// The report on the time since the last call; `None` before the first packet.
    pub fn report(&mut self, now: Instant, ssrc: u32) -> Option<ReportBlock> {
        let (base, highest) = (self.base?, self.highest?);
        let expected = highest.0 - base.0 + 1;
        let expected_interval = expected - self.expected_before;
        let received_interval = self.received - self.received_before;
        self.expected_before = expected;
        self.received_before = self.received;
        let lost_interval = expected_interval.saturating_sub(received_interval);
        let fraction = (lost_interval * 256)
            .checked_div(expected_interval)
            .unwrap_or(0);
        let (last_sr, delay) = self.sender_report.map_or((0, 0), |(info, at)| {
            let delay = now.duration_since(at).as_secs_f64() * 65_536.0;
            ((info.ntp_time >> 16) as u32, delay as u32)
        });
        Some(ReportBlock {
            ssrc,
            fraction_lost: fraction.min(255) as u8,
            cumulative_lost: (expected as i64 - self.received as i64) as i32,
            highest_sequence: highest.0 as u32,
            jitter: self.jitter as u32,
            last_sr,
            delay_since_last_sr: delay,
        })
    }
}
