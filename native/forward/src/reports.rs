//! RTCP that forwarding writes: reports to publishers, reports to subscribers.

use std::time::{Duration, Instant};

use sealroute_rtp::rtcp::{
    ReportBlock, SenderInfo, write_cname, write_receiver_report, write_sender_report,
};

use crate::sink::{SentReport, Sink};
use crate::source::Source;

/// RFC 3550 section 6.2 allows 5 s; senders adapt to loss by these, so sooner is better.
pub(crate) const REPORT_INTERVAL: Duration = Duration::from_secs(1);
/// Our own SSRC in packets to publishers: we send no media on uplinks.
pub(crate) const OWN_SSRC: u32 = 1;
const MAX_BLOCKS: usize = 8;

/// A receiver report on every RtpStream of a source; `false` when there is nothing to say.
pub(crate) fn write_reception(now: Instant, source: &mut Source, out: &mut Vec<u8>) -> bool {
    let mut blocks = [ReportBlock::default(); MAX_BLOCKS];
    let mut count = 0;
    for stream in source.encodings.iter_mut().take(MAX_BLOCKS) {
        let report = stream
            .parameters
            .ssrc
            .and_then(|ssrc| stream.reception.report(now, ssrc));
        if let Some(report) = report {
            blocks[count] = report;
            count += 1;
        }
    }
    if count > 0 {
        write_receiver_report(out, OWN_SSRC, &blocks[..count]);
    }
    count > 0
}

/// A sender report for a sink, from its publisher's latest: the publisher's wall clock, and the
/// RTP time as the sink sees it, both moved on to `now`. Audio and video of a stream share a
/// CNAME, so receivers play them in step.
pub(crate) fn write_for_sink(
    now: Instant,
    sink: &mut Sink,
    source: &Source,
    out: &mut Vec<u8>,
) -> bool {
    let report = sink
        .current
        .and_then(|index| source.encodings.get(index))
        .and_then(|stream| stream.reception.sender_report());
    let (Some((info, at)), Some(offset)) = (report, sink.rewriter.timestamp_offset()) else {
        return false;
    };
    let elapsed = now.saturating_duration_since(at).as_secs_f64();
    let ticks = (elapsed * f64::from(source.parameters.clock_rate_hz)) as u32;
    let moved = SenderInfo {
        ntp_time: info
            .ntp_time
            .wrapping_add((elapsed * 4_294_967_296.0) as u64),
        rtp_time: info.rtp_time.wrapping_add(ticks).wrapping_add(offset),
        packets: sink.packets as u32,
        bytes: sink.bytes as u32,
    };
    write_sender_report(out, sink.parameters.ssrc, &moved);
    write_cname(out, sink.parameters.ssrc, &format!("{}", sink.publisher));
    sink.wants_report = false;
    sink.report = Some(SentReport {
        ntp_middle: (moved.ntp_time >> 16) as u32,
        at: now,
    });
    true
}

/// What a subscriber says of a sink. Returns the share that the way to it lost: numbers that were
/// never sent, because the publisher's packets were lost on their way here, are not its fault.
pub(crate) fn handle_block(now: Instant, sink: &mut Sink, block: ReportBlock) -> f64 {
    sink.fraction_lost = block.fraction_lost;
    let lost = sink.blame(block);
    let Some(report) = sink
        .report
        .filter(|report| report.ntp_middle == block.last_sr)
    else {
        return lost;
    };
    let held = Duration::from_secs_f64(f64::from(block.delay_since_last_sr) / 65_536.0);
    sink.round_trip = now.saturating_duration_since(report.at).checked_sub(held);
    lost
}
