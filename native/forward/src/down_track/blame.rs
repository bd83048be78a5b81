//! The share of a subscriber's reported loss that its downlink caused.

use sealroute_rtp::rtcp::ReportBlock;

use super::DownTrack;

/// Totals of the subscriber's last report.
#[derive(Clone, Copy, Debug)]
pub(super) struct Reported {
    highest: u32,
    lost: i32,
    /// Sequence numbers assigned but never sent, up to a constant.
    gaps: i64,
}

impl DownTrack {
    /// The share of packets lost since the last report, without sequence numbers that were never
    /// sent.
    pub(crate) fn blame(&mut self, block: ReportBlock) -> f64 {
        let now = Reported {
            highest: block.highest_sequence,
            lost: block.cumulative_lost,
            gaps: self.rewriter.last_sequence() as i64
                - (self.packets + self.padding_packets) as i64,
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
}
