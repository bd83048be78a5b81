//! A trunk sink: what another worker of this process gets of an up track, to forward it to the
//! subscribers there.
//!
//! The other worker has an *input*: an up track of the same description. So everything crosses as it
//! came: sequence numbers, timestamps, payloads with their descriptors, and header extensions under
//! the publisher's ids, except those of one hop (`extensions.rs`). Only the SSRCs are other ones,
//! given by the control plane.
//!
//! - A packet crosses once, however many receive it there, and only if somebody does.
//! - What this router refused never crosses. A number that carries nothing crosses as a bare header,
//!   so that nobody there waits for it.
//! - What is lost on the way is requested and crosses again, out of the cache that serves the
//!   subscribers here.

use std::time::Instant;

use sealroute_rtp::rtcp::{SenderInfo, write_cname, write_sender_report};
use sealroute_rtp::{FullSequence, RtpHeader, Sequence};

use crate::drop_reason::DropReason;
use crate::extensions::{BLOCK_BYTES, Entries, Mapped};
use crate::outbox::Outbox;
use crate::packet_cache::CachedPacket;
use crate::parameters::TransportHandle;
use crate::subscribed_layers::EncodingSet;
use crate::up_track::{Encoding, EncodingIndex, UpTrack};

/// The fixed header, the head of the extensions, all that a block can hold, and alignment.
const HEADER_BYTES: usize = 16 + BLOCK_BYTES + 4;
/// A quarter of what 16 bits can number. The other side takes a number that is half of it ahead for
/// one that is behind.
const STRIDE: u64 = 0x4000;

/// A number that carries nothing to forward, between two packets that do.
#[derive(Clone, Copy, Debug)]
pub(crate) struct Skipped {
    /// It follows this many of the pending packets.
    pub(crate) after: usize,
    pub(crate) encoding: EncodingIndex,
    pub(crate) sequence: FullSequence,
    pub(crate) timestamp: u32,
}

/// What has crossed of one encoding.
#[derive(Clone, Copy, Debug, Default)]
struct Crossed {
    /// The first number since the encoding was wanted last. Earlier ones are not repeated.
    first: Option<FullSequence>,
    newest: Option<FullSequence>,
}

/// One way of an up track to another worker.
#[derive(Debug)]
pub(crate) struct TrunkSink {
    transport: TransportHandle,
    /// Of the encodings, in their order.
    ssrcs: Vec<u32>,
    wanted: EncodingSet,
    crossed: Vec<Crossed>,
}

impl TrunkSink {
    /// `ssrcs`: one for each encoding. All of them are wanted until the other side says otherwise.
    pub(crate) fn new(transport: TransportHandle, ssrcs: Vec<u32>) -> Self {
        Self {
            transport,
            wanted: (0..ssrcs.len() as u8).map(EncodingIndex).collect(),
            crossed: vec![Crossed::default(); ssrcs.len()],
            ssrcs,
        }
    }

    pub(crate) fn transport(&self) -> TransportHandle {
        self.transport
    }

    /// The SSRCs that it uses, with their encodings.
    pub(crate) fn ssrcs(&self) -> impl Iterator<Item = (u32, EncodingIndex)> {
        { self.ssrcs.iter().copied() }.zip((0..).map(EncodingIndex))
    }

    /// The encodings that somebody behind it wants.
    pub(crate) fn wanted(&self) -> EncodingSet {
        self.wanted
    }

    /// Sets the encodings that are wanted. Returns those that were not before.
    pub(crate) fn want(&mut self, wanted: EncodingSet) -> Vec<EncodingIndex> {
        let before = std::mem::replace(&mut self.wanted, wanted);
        for (encoding, crossed) in (0..).map(EncodingIndex).zip(&mut self.crossed) {
            if !wanted.contains(encoding) {
                crossed.first = None;
            }
        }
        let all = (0..self.ssrcs.len() as u8).map(EncodingIndex);
        all.filter(|&one| wanted.contains(one) && !before.contains(one))
            .collect()
    }

    /// Passes one pending packet on.
    pub(crate) fn pass(
        &mut self,
        now: Instant,
        encoding: EncodingIndex,
        sequence: FullSequence,
        up_track: &UpTrack,
        out: &mut impl Outbox,
    ) -> Result<(), DropReason> {
        if !self.wanted.contains(encoding) {
            return Err(DropReason::UnwantedBehindTrunk);
        }
        let stream = &up_track.encodings[encoding];
        let packet = stream.packet(sequence).ok_or(DropReason::Overflow)?;
        let starts = self.go_on(encoding, sequence, packet.timestamp, up_track, out);
        self.send((encoding, sequence), packet, up_track, out);
        if starts {
            // Audio and video are synchronized there from the first frame on.
            self.report(now, encoding, up_track, out);
        }
        Ok(())
    }

    /// Tells the other side that a number carries nothing.
    pub(crate) fn skip(&mut self, skipped: &Skipped, up_track: &UpTrack, out: &mut impl Outbox) {
        let place = (skipped.encoding, skipped.sequence);
        if self.crossed_of(skipped.encoding).first.is_some() {
            self.note(place);
            self.send(place, bare(skipped.timestamp), up_track, out);
        }
    }

    fn crossed_of(&self, EncodingIndex(index): EncodingIndex) -> Crossed {
        { self.crossed.get(usize::from(index)).copied() }.unwrap_or_default()
    }

    fn note(&mut self, (EncodingIndex(index), sequence): (EncodingIndex, FullSequence)) {
        if let Some(crossed) = self.crossed.get_mut(usize::from(index)) {
            crossed.first.get_or_insert(sequence);
            crossed.newest = crossed.newest.max(Some(sequence));
        }
    }

    /// Before a packet crosses. After a long pause its number could be taken for an earlier one, so
    /// the other side is led up to it. Returns whether the encoding starts.
    fn go_on(
        &mut self,
        encoding: EncodingIndex,
        sequence: FullSequence,
        timestamp: u32,
        up_track: &UpTrack,
        out: &mut impl Outbox,
    ) -> bool {
        let Crossed { first, newest } = self.crossed_of(encoding);
        self.note((encoding, sequence));
        if let Some(newest) = newest.filter(|newest| sequence.0 > newest.0 + STRIDE) {
            for step in steps(newest.truncated(), sequence) {
                self.send((encoding, step), bare(timestamp), up_track, out);
            }
        }
        first.is_none()
    }

    /// Passes a packet on once more. Nothing crosses again that is not kept, or that was not wanted
    /// when it came.
    pub(crate) fn resend(
        &self,
        encoding: EncodingIndex,
        sequence: Sequence,
        up_track: &UpTrack,
        out: &mut impl Outbox,
    ) -> Result<(), DropReason> {
        let stream = &up_track.encodings[encoding];
        let full = nearest(stream, sequence).ok_or(DropReason::NotCached)?;
        let first = self.crossed_of(encoding).first;
        if first.is_none_or(|first| full < first) {
            return Err(DropReason::NotCached);
        }
        if stream.dropped.covers(full) {
            return Err(DropReason::PaddingOnly);
        }
        let packet = stream.packet(full).ok_or(DropReason::NotCached)?;
        self.send((encoding, full), packet, up_track, out);
        Ok(())
    }

    /// Passes on the publisher's last sender report, moved to `now`.
    pub(crate) fn report(
        &self,
        now: Instant,
        encoding: EncodingIndex,
        up_track: &UpTrack,
        out: &mut impl Outbox,
    ) {
        let report = up_track.encodings[encoding].reception.sender_report();
        let ssrc = self.ssrcs.get(usize::from(encoding.0));
        let (Some((info, at)), Some(&ssrc)) = (report, ssrc) else {
            return;
        };
        let elapsed = now.saturating_duration_since(at).as_secs_f64();
        let ticks = (elapsed * f64::from(up_track.parameters.clock_rate_hz)) as u32;
        let moved = SenderInfo {
            ntp_time: { info.ntp_time }.wrapping_add((elapsed * 4_294_967_296.0) as u64),
            rtp_time: info.rtp_time.wrapping_add(ticks),
            ..info
        };
        let mut compound = Vec::new();
        write_sender_report(&mut compound, ssrc, &moved);
        write_cname(&mut compound, ssrc, &up_track.publisher.to_string());
        out.rtcp(self.transport, &compound);
    }

    fn send(
        &self,
        (encoding, sequence): (EncodingIndex, FullSequence),
        packet: CachedPacket<'_>,
        up_track: &UpTrack,
        out: &mut impl Outbox,
    ) {
        let Some(&ssrc) = self.ssrcs.get(usize::from(encoding.0)) else {
            return;
        };
        let header = RtpHeader {
            marker: packet.marker,
            payload_type: up_track.parameters.payload_type,
            sequence: sequence.truncated().0,
            timestamp: packet.timestamp,
            ssrc,
        };
        let extensions = Mapped {
            entries: Entries(packet.extensions),
            ids: &up_track.ids,
        };
        let mut head = [0; HEADER_BYTES];
        let length = header.write(extensions, &mut head);
        out.rtp(self.transport, &head[..length], packet.payload);
    }
}

/// A packet without a payload.
fn bare(timestamp: u32) -> CachedPacket<'static> {
    CachedPacket {
        timestamp,
        marker: false,
        extensions: &[],
        payload: &[],
        vp8: None,
    }
}

/// The number nearest to the newest one received.
fn nearest(stream: &Encoding, sequence: Sequence) -> Option<FullSequence> {
    let highest = stream.highest()?;
    let ahead = i64::from(sequence.distance_from(highest.truncated()));
    Some(FullSequence(highest.0.saturating_add_signed(ahead)))
}

/// Numbers between two that are far from each other: each is ahead of the one before, as 16 bits
/// tell it.
fn steps(from: Sequence, to: FullSequence) -> impl Iterator<Item = FullSequence> {
    let mut before = from;
    [3, 2, 1].into_iter().filter_map(move |strides| {
        let step = FullSequence(to.0.saturating_sub(strides * STRIDE));
        let is_ahead = step.truncated().distance_from(before) > 0;
        is_ahead.then(|| {
            before = step.truncated();
            step
        })
    })
}

#[cfg(test)]
mod tests {
    use super::{FullSequence, steps};
    use sealroute_rtp::SequenceUnwrapper;

    #[test]
    fn the_other_side_is_led_ahead_over_any_distance() {
        for distance in (1..300_000_u64).step_by(997).chain([0x8000, 0x1_0000]) {
            let (from, mut other) = (FullSequence(70_000), SequenceUnwrapper::default());
            other.unwrap(from.truncated());
            let to = FullSequence(from.0 + distance);
            let mut highest = other.highest();
            for step in steps(from.truncated(), to).chain([to]) {
                assert!(Some(other.unwrap(step.truncated())) > highest, "{distance}");
                highest = other.highest();
            }
        }
    }
}
