//! Admission: which packets of the up track are forwarded, and with which rewritten header.

use std::time::Instant;

use super::{Candidate, DownTrack};
use crate::congestion::downlink::Downlink;
use crate::drop_reason::DropReason;
use crate::layer_filter::Verdict;
use crate::packet_cache::CachedPacket;
use crate::parameters::MediaKind;
use crate::rewriter::{Input, RewrittenHeader};
use crate::up_track::{Pending, UpTrack};

impl DownTrack {
    #[inline]
    pub(super) fn admit<'s>(
        &mut self,
        now: Instant,
        candidate: Candidate,
        up_track: &'s UpTrack,
        downlink: &mut Downlink,
    ) -> Result<(CachedPacket<'s>, RewrittenHeader), DropReason> {
        let pending = candidate.pending;
        if !self.selection.forwards() {
            return Err(DropReason::Paused);
        }
        if up_track.quiet && !self.route.is_local {
            return Err(DropReason::QuietVoice);
        }
        let stream = &up_track.encodings[pending.encoding];
        let packet = stream
            .packet(pending.sequence)
            .ok_or(DropReason::Overflow)?;
        if stream.dropped.covers(pending.sequence) {
            return Err(DropReason::TooLate);
        }
        if self.selection.lacks_room()
            && !self.selection.is_of_still(now, candidate, packet.timestamp)
        {
            if self.route.is_local {
                return Err(self.withhold(candidate));
            }
            downlink.keep_ticking();
            return Err(DropReason::Bandwidth);
        }
        let input = Input {
            now,
            encoding: pending.encoding,
            sequence: pending.sequence,
            timestamp: packet.timestamp,
            dropped: &stream.dropped,
            vp8: packet.vp8,
        };
        match self.admit_present(candidate, &input, up_track, downlink) {
            Ok(rewritten) => Ok((packet, rewritten)),
            Err(DropReason::UpperLayer) => Err(DropReason::UpperLayer),
            Err(reason) => {
                let late = self.admit_late(pending, &input);
                late.map(|rewritten| (packet, rewritten)).ok_or(reason)
            }
        }
    }

    /// The reader of a local transport is behind. Counts what it misses, to tell it later.
    #[cold]
    fn withhold(&mut self, candidate: Candidate) -> DropReason {
        if candidate.target != Some(candidate.pending.encoding) {
            return DropReason::OtherEncoding;
        }
        self.delivery.count_withheld();
        DropReason::TapFull
    }

    fn start(&mut self, input: &Input<'_>, downlink: &mut Downlink) {
        if self.route.kind == MediaKind::Video {
            self.withdraw(downlink);
        }
        self.restart();
        self.outgoing.start(input);
        self.selection.start(input.encoding);
        self.delivery.want_report();
    }

    /// The next packet starts a new mapping epoch: video waits for a key frame.
    pub(crate) fn restart(&mut self) {
        let ends_epoch = self.outgoing.rewriter.stop();
        self.selection.restart(ends_epoch);
    }

    #[inline]
    fn admit_present(
        &mut self,
        candidate: Candidate,
        input: &Input<'_>,
        up_track: &UpTrack,
        downlink: &mut Downlink,
    ) -> Result<RewrittenHeader, DropReason> {
        let pending = candidate.pending;
        if self.selection.starts(candidate, self.route.kind)? {
            if self.holds(input.now, pending, up_track) {
                return Err(DropReason::OtherEncoding);
            }
            self.start(input, downlink);
        }
        let stream = &up_track.encodings[pending.encoding];
        let verdict = self.selection.judge(pending, input.timestamp, stream);
        let rewriter = &mut self.outgoing.rewriter;
        if verdict == Verdict::Above && rewriter.leave_out(input) {
            return Err(DropReason::UpperLayer);
        }
        let rewritten = rewriter.map(input).ok_or(DropReason::TooLate)?;
        Ok(judged(rewritten, verdict))
    }

    /// Admits a packet of the previous epoch that was lost and arrives late: receivers wait for it.
    fn admit_late(&mut self, pending: Pending, input: &Input<'_>) -> Option<RewrittenHeader> {
        let rewritten = self.outgoing.rewriter.map_late(input)?;
        let Some(mark) = pending.layer else {
            return Some(rewritten);
        };
        let verdict = self
            .selection
            .judge_late(mark, input.timestamp, pending.key_frame);
        Some(judged(rewritten, verdict))
    }
}

#[inline]
fn judged(mut rewritten: RewrittenHeader, verdict: Verdict) -> RewrittenHeader {
    match verdict {
        Verdict::Pass { ends_frame } => rewritten.ends_frame = ends_frame,
        Verdict::Above => rewritten.is_padding = true,
    }
    rewritten
}
