//! Admission: which packets of the up track are forwarded, and with which rewritten header.

use std::time::Instant;

use super::{Candidate, DownTrack};
use crate::congestion::downlink::Downlink;
use crate::drop_reason::DropReason;
use crate::layer_filter::Verdict;
use crate::layer_selector::choose;
use crate::layers::Allocation;
use crate::packet_cache::CachedPacket;
use crate::parameters::MediaKind;
use crate::rewriter::{Input, RewrittenHeader};
use crate::up_track::{Encoding, EncodingIndex, Pending, UpTrack};

impl DownTrack {
    /// The encoding to forward. `None`: not known yet.
    pub(crate) fn target(&self, now: Instant, up_track: &UpTrack) -> Option<EncodingIndex> {
        if up_track.encodings.len() == 1 {
            return Some(EncodingIndex(0));
        }
        // A local reader that is behind gets no smaller encoding, but nothing for a while.
        let allocation = if self.is_local {
            Allocation::Unlimited
        } else {
            self.allocation
        };
        choose(
            now,
            up_track.encodings.iter().map(Encoding::view),
            self.preferred,
            allocation,
        )
        .or(self.current)
    }

    pub(super) fn admit<'s>(
        &mut self,
        now: Instant,
        candidate: Candidate,
        up_track: &'s UpTrack,
        downlink: &mut Downlink,
    ) -> Result<(CachedPacket<'s>, RewrittenHeader), DropReason> {
        let pending = candidate.pending;
        if !self.forwarding {
            return Err(DropReason::Paused);
        }
        if up_track.quiet && !self.is_local {
            return Err(DropReason::QuietVoice);
        }
        let stream = &up_track.encodings[pending.encoding];
        let packet = stream
            .packet(pending.sequence)
            .ok_or(DropReason::Overflow)?;
        if stream.dropped.covers(pending.sequence) {
            return Err(DropReason::TooLate);
        }
        if self.lacks_room() && !self.is_of_still(now, candidate, packet.timestamp) {
            if self.is_local {
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
        self.withheld = self.withheld.saturating_add(1);
        DropReason::TapFull
    }

    /// Whether the packet can start another encoding. An error if its encoding is neither current
    /// nor targeted.
    fn starts(&self, target: Option<EncodingIndex>, pending: Pending) -> Result<bool, DropReason> {
        if self.current == Some(pending.encoding) {
            return Ok(false);
        }
        if Some(pending.encoding) != target {
            return Err(DropReason::OtherEncoding);
        }
        if self.kind == MediaKind::Video && !pending.key_frame {
            return Err(DropReason::AwaitingKeyFrame);
        }
        Ok(true)
    }

    fn start(&mut self, input: &Input<'_>, downlink: &mut Downlink) {
        if self.kind == MediaKind::Video {
            self.withdraw(downlink);
        }
        self.restart();
        self.rewriter.start(input, self.clock_rate_hz);
        self.current = Some(input.encoding);
        self.wants_report = true;
    }

    /// The next packet starts a new mapping epoch: video waits for a key frame.
    pub(crate) fn restart(&mut self) {
        self.current = None;
        self.held = None;
        if self.rewriter.stop() {
            self.ended_filter = self.filter.restart();
        }
    }

    fn admit_present(
        &mut self,
        candidate: Candidate,
        input: &Input<'_>,
        up_track: &UpTrack,
        downlink: &mut Downlink,
    ) -> Result<RewrittenHeader, DropReason> {
        let Candidate { target, pending } = candidate;
        if self.starts(target, pending)? {
            if self.holds(input.now, pending, up_track) {
                return Err(DropReason::OtherEncoding);
            }
            self.start(input, downlink);
        }
        let stream = &up_track.encodings[pending.encoding];
        let verdict = self.judge(pending, input.timestamp, stream);
        if verdict == Verdict::Above && self.rewriter.leave_out(input) {
            return Err(DropReason::UpperLayer);
        }
        let rewritten = self.rewriter.map(input).ok_or(DropReason::TooLate)?;
        Ok(judged(rewritten, verdict))
    }

    /// Admits a packet of the previous epoch that was lost and arrives late: receivers wait for it.
    fn admit_late(&mut self, pending: Pending, input: &Input<'_>) -> Option<RewrittenHeader> {
        let rewritten = self.rewriter.map_late(input)?;
        let Some(mark) = pending.layer else {
            return Some(rewritten);
        };
        // A frame of a past epoch keeps its level.
        let level = self.ended_filter.level();
        let verdict = self
            .ended_filter
            .judge(mark, input.timestamp, pending.key_frame, level);
        Some(judged(rewritten, verdict))
    }
}

fn judged(mut rewritten: RewrittenHeader, verdict: Verdict) -> RewrittenHeader {
    match verdict {
        Verdict::Pass { ends_frame } => rewritten.ends_frame = ends_frame,
        Verdict::Above => rewritten.is_padding = true,
    }
    rewritten
}
