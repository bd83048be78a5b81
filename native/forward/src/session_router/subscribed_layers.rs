//! Subscribed layers of each video, as announced to its publisher.

use std::time::Instant;

use super::SessionRouter;
use crate::down_track::Selection;
use crate::outbox::{ForwardEvent, Outbox};
use crate::registry::UpTrackKey;
use crate::subscribed_layers::{EncodingSet, subscribed};
use crate::trunk::TrunkSink;
use crate::up_track::{Encoding, EncodingIndex, UpTrack};

impl SessionRouter {
    /// Reviews, when due, which encodings of a video have receivers, and announces a change.
    pub(super) fn review_subscribed_layers(
        &mut self,
        now: Instant,
        key: UpTrackKey,
        out: &mut impl Outbox,
    ) {
        let up_track = &mut self.up_tracks[key];
        let paused = up_track.paused();
        let Some(subscribed_layers) = up_track.subscribed_layers.as_mut() else {
            return;
        };
        if subscribed_layers.poll_timeout() > now {
            return;
        }
        // A stream that has not started is not live, and the publisher of a muted one sends
        // nothing.
        if !up_track.forwarding || !up_track.encodings.iter().any(|stream| stream.active) {
            subscribed_layers.keep(now);
            return;
        }
        let receivers = up_track
            .down_tracks
            .iter()
            .map(|&down_track| &self.down_tracks[down_track].selection);
        let preferences = receivers
            .filter(|selection| selection.forwards())
            .map(Selection::preferred);
        let views = up_track.encodings.iter().map(Encoding::view);
        let elsewhere = { up_track.trunks.iter() }.map(TrunkSink::wanted);
        let wanted = elsewhere.fold(subscribed(&views, preferences), EncodingSet::with);
        let changed = subscribed_layers.update(now, wanted);
        let live = (0..)
            .map(EncodingIndex)
            .zip(views)
            .filter(|(_, view)| view.is_live(now));
        let repeated =
            subscribed_layers.must_repeat(now, live.map(|(encoding, _)| encoding).collect());
        self.counters.encodings_paused -= paused as u64;
        self.counters.encodings_paused += up_track.paused() as u64;
        if changed || repeated {
            out.event(announcement(up_track));
        }
    }
}

fn announcement(up_track: &UpTrack) -> ForwardEvent {
    let streams = up_track.encodings.indexed();
    ForwardEvent::SubscribedLayersChanged {
        publisher: up_track.publisher,
        mid: up_track.parameters.mid.clone(),
        subscribed: streams
            .filter(|&(encoding, _)| up_track.is_subscribed(encoding))
            .map(|(_, stream)| stream.parameters.rid.clone())
            .collect(),
    }
}
