//! Trunks: transports to other workers of this process, on which the same session goes on.
//!
//! A trunk carries a publisher's packets to where it is an input, and requests back. An input is an
//! up track as any other. All that differs from a peer's transport is decided here: what crosses is
//! already judged, so the form of a frame is enough for the plaintext guard; and nobody reports on a
//! way without a network.

use std::collections::HashSet;
use std::time::Instant;

use sealroute_rtp::rtcp::LostSequences;

use super::reports::MAX_NACKED;
use super::{BySsrc, ForwardError, Route, SessionRouter};
use crate::counters::ForwardCounters;
use crate::outbox::Outbox;
use crate::parameters::{PublisherHandle, TransportHandle};
use crate::registry::UpTrackKey;
use crate::trunk::TrunkSink;
use crate::up_track::{EncodingIndex, UpTrack};

/// The trunks of a session.
#[derive(Default)]
pub(super) struct Trunks {
    open: HashSet<TransportHandle>,
    /// What crosses under an SSRC that this side has given it.
    sinks: BySsrc<(UpTrackKey, EncodingIndex)>,
}

impl Trunks {
    pub(super) fn contains(&self, transport: TransportHandle) -> bool {
        self.open.contains(&transport)
    }

    /// An up track has ended.
    pub(super) fn forget(&mut self, up_track: UpTrackKey) {
        self.sinks.retain(|_, of| of.0 != up_track);
    }
}

impl SessionRouter {
    /// Makes the transport a trunk, until `close_transport`.
    ///
    /// # Errors
    /// `HandleTaken` if it is one already.
    pub fn open_trunk(&mut self, transport: TransportHandle) -> Result<(), ForwardError> {
        let is_new = !self.locals.contains_key(&transport) && self.trunks.open.insert(transport);
        is_new.then_some(()).ok_or(ForwardError::HandleTaken)
    }

    /// Passes an up track on over a trunk, under one SSRC for each of its encodings.
    ///
    /// # Errors
    /// `UnknownHandle`; `Invalid` if the SSRCs are not as many as the encodings; `Conflict` if the
    /// up track came over a trunk itself, crosses this one already, or an SSRC is in use on it.
    pub fn feed_trunk(
        &mut self,
        publisher: PublisherHandle,
        mid: &str,
        transport: TransportHandle,
        ssrcs: Vec<u32>,
    ) -> Result<(), ForwardError> {
        let key = self.up_track_key(publisher, mid)?;
        if !self.trunks.contains(transport) {
            return Err(ForwardError::UnknownHandle);
        }
        let up_track = &mut self.up_tracks[key];
        if ssrcs.len() != up_track.encodings.len() {
            return Err(ForwardError::Invalid);
        }
        let different: HashSet<u32> = ssrcs.iter().copied().collect();
        let is_used = |&ssrc: &u32| self.trunks.sinks.contains_key(&(transport, ssrc));
        if self.trunks.contains(up_track.transport)
            || up_track.trunk(transport).is_some()
            || different.len() < ssrcs.len()
            || ssrcs.iter().any(is_used)
        {
            return Err(ForwardError::Conflict);
        }
        let sink = TrunkSink::new(transport, ssrcs);
        for (ssrc, encoding) in sink.ssrcs() {
            self.trunks.sinks.insert((transport, ssrc), (key, encoding));
        }
        up_track.trunks.push(sink);
        up_track.recheck_subscribed_layers();
        Ok(())
    }

    /// Sets which encodings of an up track are wanted behind a trunk, by their RIDs; `None` is the
    /// single encoding of a video without RIDs. The others do not cross.
    ///
    /// # Errors
    /// `UnknownHandle`.
    pub fn set_trunk_demand(
        &mut self,
        publisher: PublisherHandle,
        mid: &str,
        transport: TransportHandle,
        rids: &[Option<String>],
    ) -> Result<(), ForwardError> {
        let key = self.up_track_key(publisher, mid)?;
        let up_track = &mut self.up_tracks[key];
        let streams = up_track.encodings.indexed();
        let wanted = streams.filter(|(_, stream)| rids.contains(&stream.parameters.rid));
        let wanted = wanted.map(|(encoding, _)| encoding).collect();
        let sink = { up_track.trunks.iter_mut() }.find(|sink| sink.transport() == transport);
        let sink = sink.ok_or(ForwardError::UnknownHandle)?;
        for encoding in sink.want(wanted) {
            up_track.want_key_frame(Some(encoding));
        }
        up_track.recheck_subscribed_layers();
        Ok(())
    }

    /// A publisher's sender report, for the other workers.
    pub(super) fn report_to_trunks(&self, now: Instant, route: Route, out: &mut impl Outbox) {
        let up_track = &self.up_tracks[route.up_track];
        let wants = |sink: &&TrunkSink| sink.wanted().contains(route.encoding);
        for sink in up_track.trunks.iter().filter(wants) {
            sink.report(now, route.encoding, up_track, out);
        }
    }

    /// Packets were lost on the way to another worker.
    #[cold]
    pub(super) fn handle_trunk_nack(
        &mut self,
        (transport, ssrc): (TransportHandle, u32),
        lost: LostSequences<'_>,
        out: &mut impl Outbox,
    ) {
        let Some(&(key, encoding)) = self.trunks.sinks.get(&(transport, ssrc)) else {
            return;
        };
        let up_track = &self.up_tracks[key];
        let Some(sink) = up_track.trunk(transport) else {
            return;
        };
        for sequence in lost.take(MAX_NACKED) {
            self.counters.nacks_received += 1;
            match sink.resend(encoding, sequence, up_track, out) {
                Ok(()) => self.counters.rtx_sent += 1,
                Err(reason) => self.counters.drop_packet(reason),
            }
        }
    }

    /// Somebody behind a trunk needs a key frame, so the encoding is wanted there. All who watch
    /// there are one receiver here: the other worker asks as seldom as it would ask a publisher.
    #[cold]
    pub(super) fn handle_trunk_key_frame_request(
        &mut self,
        now: Instant,
        (transport, ssrc): (TransportHandle, u32),
        out: &mut impl Outbox,
    ) {
        let Some(&(key, encoding)) = self.trunks.sinks.get(&(transport, ssrc)) else {
            return;
        };
        let up_track = &mut self.up_tracks[key];
        let sink = { up_track.trunks.iter_mut() }.find(|sink| sink.transport() == transport);
        let Some(sink) = sink else { return };
        if !sink.wanted().contains(encoding) {
            let wanted = sink.wanted().with([encoding].into_iter().collect());
            sink.want(wanted);
            up_track.recheck_subscribed_layers();
        }
        if !up_track.wants_key_frame(now, Some(encoding)) {
            up_track.want_key_frame(Some(encoding));
            self.ask_publisher(now, key, out);
        }
    }

    /// A trunk is closed: nothing crosses it any more. Its inputs end as any publisher does.
    pub(super) fn close_trunk(&mut self, transport: TransportHandle) {
        if !self.trunks.open.remove(&transport) {
            return;
        }
        self.trunks.sinks.retain(|&(of, _), _| of != transport);
        for up_track in self.up_tracks.iter_mut() {
            let before = up_track.trunks.len();
            up_track.trunks.retain(|sink| sink.transport() != transport);
            if up_track.trunks.len() < before {
                up_track.recheck_subscribed_layers();
            }
        }
    }
}

/// Passes on what an up track received since the last flush, in order.
pub(super) fn feed(
    now: Instant,
    up_track: &mut UpTrack,
    counters: &mut ForwardCounters,
    out: &mut impl Outbox,
) {
    let mut trunks = std::mem::take(&mut up_track.trunks);
    for sink in &mut trunks {
        let mut skipped = up_track.skipped.iter().peekable();
        for (place, pending) in up_track.pending.iter().enumerate() {
            while let Some(one) = skipped.next_if(|one| one.after <= place) {
                sink.skip(one, up_track, out);
            }
            let passed = sink.pass(now, pending.encoding, pending.sequence, up_track, out);
            if let Err(reason) = passed {
                counters.drop_packet(reason);
            }
        }
        for one in skipped {
            sink.skip(one, up_track, out);
        }
    }
    up_track.trunks = trunks;
    up_track.skipped.clear();
}
