//! RTCP that forwarding writes: reports to publishers, reports to subscribers.

use std::time::{Duration, Instant};

use sealroute_rtp::rtcp::{
    ReportBlock, SenderInfo, write_cname, write_receiver_report, write_sender_report,
};

use crate::down_track::{DownTrack, SentReport};
use crate::up_track::UpTrack;

/// RFC 3550 section 6.2 allows 5 s; senders adapt to loss by these, so sooner is better.
pub(crate) const REPORT_INTERVAL: Duration = Duration::from_secs(1);
/// Our own SSRC in packets to publishers: we send no media on uplinks.
pub(crate) const OWN_SSRC: u32 = 1;
const MAX_BLOCKS: usize = 8;

/// A receiver report on every RtpStream of an up track; `false` when there is nothing to say.
pub(crate) fn write_reception(now: Instant, up_track: &mut UpTrack, out: &mut Vec<u8>) -> bool {
    let mut blocks = [ReportBlock::default(); MAX_BLOCKS];
    let mut count = 0;
    for stream in up_track.encodings.iter_mut().take(MAX_BLOCKS) {
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

/// A sender report for a down track, from its publisher's latest: the publisher's wall clock, and
/// the RTP time as the down track sees it, both moved on to `now`. Audio and video of a stream
/// share a CNAME, so receivers play them in step.
pub(crate) fn write_for_down_track(
    now: Instant,
    down_track: &mut DownTrack,
    up_track: &UpTrack,
    out: &mut Vec<u8>,
) -> bool {
    let report = down_track
        .current
        .and_then(|index| up_track.encodings.get(index))
        .and_then(|stream| stream.reception.sender_report());
    let (Some((info, at)), Some(offset)) = (report, down_track.rewriter.timestamp_offset()) else {
        return false;
    };
    let elapsed = now.saturating_duration_since(at).as_secs_f64();
    let ticks = (elapsed * f64::from(up_track.parameters.clock_rate_hz)) as u32;
    let moved = SenderInfo {
        ntp_time: info
            .ntp_time
            .wrapping_add((elapsed * 4_294_967_296.0) as u64),
        rtp_time: info.rtp_time.wrapping_add(ticks).wrapping_add(offset),
        packets: down_track.packets as u32,
        bytes: down_track.bytes as u32,
    };
    write_sender_report(out, down_track.parameters.ssrc, &moved);
    write_cname(
        out,
        down_track.parameters.ssrc,
        &format!("{}", down_track.publisher),
    );
    down_track.wants_report = false;
    down_track.report = Some(SentReport {
        ntp_middle: (moved.ntp_time >> 16) as u32,
        at: now,
    });
    true
}

/// What a subscriber says of a down track. Returns the share that the way to it lost: numbers that
/// were never sent, because the publisher's packets were lost on their way here, are not its fault.
pub(crate) fn handle_block(now: Instant, down_track: &mut DownTrack, block: ReportBlock) -> f64 {
    down_track.fraction_lost = block.fraction_lost;
    let lost = down_track.blame(block);
    let Some(report) = down_track
        .report
        .filter(|report| report.ntp_middle == block.last_sr)
    else {
        return lost;
    };
    let held = Duration::from_secs_f64(f64::from(block.delay_since_last_sr) / 65_536.0);
    down_track.round_trip = now.saturating_duration_since(report.at).checked_sub(held);
    lost
}
