//! Delivery: what has left for the subscriber, and what its reports say of it.

use std::time::{Duration, Instant};

use sealroute_rtp::rtcp::ReportBlock;

/// The last sender report to a subscriber, for the round-trip time.
#[derive(Clone, Copy, Debug)]
pub(crate) struct SentReport {
    pub(crate) ntp_middle: u32,
    pub(crate) at: Instant,
}

/// Totals of the subscriber's last report.
#[derive(Clone, Copy, Debug)]
struct Reported {
    highest: u32,
    lost: i32,
    /// Sequence numbers assigned but never sent, up to a constant.
    gaps: i64,
}

/// The totals and reports of one down track.
#[derive(Default)]
pub(crate) struct Delivery {
    packets: u64,
    bytes: u64,
    padding_packets: u64,
    /// Packets withheld because the reader of a local transport is behind, until it is told.
    withheld: u32,
    /// Queued packets that were given up and are not counted yet.
    overtaken: usize,
    /// A sender report is due: the receiver needs one to synchronize what has started.
    wants_report: bool,
    report: Option<SentReport>,
    reported: Option<Reported>,
    round_trip: Option<Duration>,
    fraction_lost: u8,
}

impl Delivery {
    /// A packet of media was sent.
    #[inline]
    pub(super) fn count_sent(&mut self, bytes: usize) {
        self.packets += 1;
        self.bytes += bytes as u64;
    }

    /// Padding was sent in the place of a packet.
    pub(super) fn count_padding(&mut self) {
        self.padding_packets += 1;
    }

    pub(super) fn count_withheld(&mut self) {
        self.withheld = self.withheld.saturating_add(1);
    }

    /// The packets withheld since the last call.
    pub(crate) fn take_withheld(&mut self) -> u32 {
        std::mem::take(&mut self.withheld)
    }

    pub(super) fn count_overtaken(&mut self) {
        self.overtaken += 1;
    }

    #[inline]
    pub(super) fn take_overtaken(&mut self) -> usize {
        std::mem::take(&mut self.overtaken)
    }

    /// Packets of media sent.
    pub(crate) fn packets(&self) -> u64 {
        self.packets
    }

    /// Payload bytes sent.
    pub(crate) fn bytes(&self) -> u64 {
        self.bytes
    }

    pub(super) fn want_report(&mut self) {
        self.wants_report = true;
    }

    /// Whether a sender report is due.
    #[inline]
    pub(crate) fn wants_report(&self) -> bool {
        self.wants_report
    }

    /// A sender report was sent.
    pub(crate) fn note_report(&mut self, report: SentReport) {
        self.wants_report = false;
        self.report = Some(report);
    }

    /// Handles a subscriber's report. `assigned`: the last sequence number assigned. Returns the
    /// share of packets lost since the last report, 0 to 1, without those that were never sent.
    pub(crate) fn handle_block(&mut self, now: Instant, block: ReportBlock, assigned: u64) -> f64 {
        self.fraction_lost = block.fraction_lost;
        let sent = self.report;
        if let Some(report) = sent.filter(|report| report.ntp_middle == block.last_sr) {
            let held = Duration::from_secs_f64(f64::from(block.delay_since_last_sr) / 65_536.0);
            self.round_trip = now.saturating_duration_since(report.at).checked_sub(held);
        }
        self.lost_share(block, assigned)
    }

    fn lost_share(&mut self, block: ReportBlock, assigned: u64) -> f64 {
        let now = Reported {
            highest: block.highest_sequence,
            lost: block.cumulative_lost,
            gaps: assigned as i64 - (self.packets + self.padding_packets) as i64,
        };
        let Some(before) = self.reported.replace(now) else {
            return 0.0;
        };
        let expected = now.highest.wrapping_sub(before.highest);
        let lost = i64::from(now.lost) - i64::from(before.lost);
        let lost = lost - (now.gaps - before.gaps).max(0);
        if expected == 0 || expected > u32::from(u16::MAX) {
            return 0.0;
        }
        (lost.max(0) as f64 / f64::from(expected)).min(1.0)
    }

    /// From the subscriber's last report.
    pub(crate) fn round_trip(&self) -> Option<Duration> {
        self.round_trip
    }

    /// From the subscriber's last report, in 256ths.
    pub(crate) fn fraction_lost(&self) -> u8 {
        self.fraction_lost
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn block(highest_sequence: u32, cumulative_lost: i32) -> ReportBlock {
        ReportBlock {
            highest_sequence,
            cumulative_lost,
            ..ReportBlock::default()
        }
    }

    fn delivered(packets: u64) -> Delivery {
        Delivery {
            packets,
            ..Delivery::default()
        }
    }

    /// The share lost by a report, in percent.
    fn lost(delivery: &mut Delivery, block: ReportBlock, assigned: u64) -> u32 {
        let share = delivery.handle_block(Instant::now(), block, assigned);
        (share * 100.0).round() as u32
    }

    #[test]
    fn a_share_needs_two_reports() {
        let mut delivery = delivered(100);
        assert_eq!(lost(&mut delivery, block(100, 50), 100), 0);
        delivery.packets = 200;
        assert_eq!(lost(&mut delivery, block(200, 60), 200), 10);
    }

    #[test]
    fn packets_that_were_never_sent_are_not_lost_on_the_downlink() {
        let mut delivery = delivered(100);
        lost(&mut delivery, block(100, 0), 100);
        // Of 100 sequence numbers more, 90 were sent.
        (delivery.packets, delivery.padding_packets) = (180, 10);
        assert_eq!(lost(&mut delivery, block(200, 10), 200), 0);
    }

    #[test]
    fn a_report_that_jumps_says_nothing() {
        let mut delivery = delivered(100);
        lost(&mut delivery, block(100, 0), 100);
        assert_eq!(lost(&mut delivery, block(100, 9), 100), 0);
        assert_eq!(lost(&mut delivery, block(90, 18), 100), 0);
    }

    #[test]
    fn a_round_trip_is_measured_by_the_report_that_it_answers() {
        let (mut delivery, at) = (Delivery::default(), Instant::now());
        delivery.want_report();
        delivery.note_report(SentReport { ntp_middle: 7, at });
        assert!(!delivery.wants_report());
        let now = at + Duration::from_millis(300);
        let answer = |last_sr| ReportBlock {
            last_sr,
            delay_since_last_sr: 65_536 / 4,
            ..ReportBlock::default()
        };
        delivery.handle_block(now, answer(6), 0);
        assert_eq!(delivery.round_trip(), None);
        delivery.handle_block(now, answer(7), 0);
        assert_eq!(delivery.round_trip(), Some(Duration::from_millis(50)));
    }
}
