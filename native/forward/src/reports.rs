//! Writes RTCP reports to publishers and subscribers.

use std::time::{Duration, Instant};

use sealroute_rtp::rtcp::{
    ReportBlock, SenderInfo, write_cname, write_receiver_report, write_sender_report,
};

use crate::down_track::{DownTrack, SentReport};
use crate::up_track::UpTrack;

/// RFC 3550 section 6.2 allows 5 s. Senders adapt to loss by these reports, so sooner is better.
pub(crate) const REPORT_INTERVAL: Duration = Duration::from_secs(1);
/// Our SSRC in all RTCP to publishers. The server sends no media on uplinks, so it belongs to no
/// stream.
pub(crate) const OWN_SSRC: u32 = 1;
const MAX_BLOCKS: usize = 8;

/// Writes a receiver report on every RtpStream of an up track; `false` if there is nothing to
/// report.
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

/// Writes a sender report for a down track from its publisher's latest one: the publisher's wall
/// clock and the down track's RTP time, both advanced to `now`. Audio and video of a stream share a
/// CNAME, so receivers synchronize them.
pub(crate) fn write_for_down_track(
    now: Instant,
    down_track: &mut DownTrack,
    up_track: &UpTrack,
    out: &mut Vec<u8>,
) -> bool {
    let DownTrack {
        route,
        selection,
        outgoing,
        delivery,
        ..
    } = down_track;
    let report = selection
        .current()
        .and_then(|index| up_track.encodings.get(index))
        .and_then(|stream| stream.reception.sender_report());
    let (Some((info, at)), Some(offset)) = (report, outgoing.rewriter().timestamp_offset()) else {
        return false;
    };
    let elapsed = now.saturating_duration_since(at).as_secs_f64();
    let ticks = (elapsed * f64::from(up_track.parameters.clock_rate_hz)) as u32;
    let moved = SenderInfo {
        ntp_time: info
            .ntp_time
            .wrapping_add((elapsed * 4_294_967_296.0) as u64),
        rtp_time: info.rtp_time.wrapping_add(ticks).wrapping_add(offset),
        packets: delivery.packets() as u32,
        bytes: delivery.bytes() as u32,
    };
    write_sender_report(out, outgoing.ssrc(), &moved);
    write_cname(out, outgoing.ssrc(), &format!("{}", route.publisher));
    delivery.note_report(SentReport {
        ntp_middle: (moved.ntp_time >> 16) as u32,
        at: now,
    });
    true
}

/// Handles a subscriber's report on a down track. Returns the share lost on the downlink. Sequence
/// numbers that were never sent, because the publisher's packets were lost on the uplink, do not
/// count.
pub(crate) fn handle_block(now: Instant, down_track: &mut DownTrack, block: ReportBlock) -> f64 {
    let assigned = down_track.outgoing.rewriter().last_sequence();
    down_track.delivery.handle_block(now, block, assigned)
}
