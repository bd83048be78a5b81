//! What publishers need not send.

use std::time::Instant;

use super::SessionRouter;
use crate::demand::wanted;
use crate::outbox::{ForwardEvent, Outbox};
use crate::up_track::{Encoding, UpTrack};

impl SessionRouter {
    /// Looks, when it is due, at what receivers could be given of a video, and tells of a change.
    pub(super) fn review_demand(&mut self, now: Instant, key: usize, out: &mut impl Outbox) {
        let up_track = &mut self.up_tracks[key];
        let paused = up_track.paused();
        let Some(demand) = up_track.demand.as_mut() else {
            return;
        };
        if demand.poll_timeout() > now {
            return;
        }
        // Until it has begun a stream is not live; muted, its publisher sends nothing anyway.
        if !up_track.forwarding || !up_track.encodings.iter().any(|stream| stream.active) {
            demand.keep(now);
            return;
        }
        let receivers = up_track
            .down_tracks
            .iter()
            .map(|&down_track| &self.down_tracks[down_track]);
        let wishes = receivers
            .filter(|down_track| down_track.forwarding)
            .map(|s| s.wish);
        let views = up_track.encodings.iter().map(Encoding::view);
        let changed = demand.update(now, wanted(&views, wishes));
        let live = (0..).zip(views).filter(|(_, view)| view.is_live(now));
        let unheard = demand.is_unheard(now, live.map(|(encoding, _)| encoding).collect());
        self.counters.encodings_paused -= paused as u64;
        self.counters.encodings_paused += up_track.paused() as u64;
        if changed || unheard {
            out.event(told(up_track));
        }
    }
}

fn told(up_track: &UpTrack) -> ForwardEvent {
    let streams = up_track.encodings.iter().enumerate();
    ForwardEvent::VideoDemandChanged {
        publisher: up_track.publisher,
        mid: up_track.parameters.mid.clone(),
        wanted: streams
            .filter(|&(encoding, _)| up_track.demands(encoding))
            .map(|(_, stream)| stream.parameters.rid.clone())
            .collect(),
    }
}
