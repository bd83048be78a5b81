//! What publishers need not send.

use std::time::Instant;

use super::SessionRouter;
use crate::demand::wanted;
use crate::outbox::{ForwardEvent, Outbox};
use crate::source::{Encoding, Source};

impl SessionRouter {
    /// Looks, when it is due, at what receivers could be given of a video, and tells of a change.
    pub(super) fn review_demand(&mut self, now: Instant, key: usize, out: &mut impl Outbox) {
        let source = &mut self.sources[key];
        let paused = source.paused();
        let Some(demand) = source.demand.as_mut() else {
            return;
        };
        if demand.poll_timeout() > now {
            return;
        }
        // Until it has begun a stream is not live; muted, its publisher sends nothing anyway.
        if !source.forwarding || !source.encodings.iter().any(|stream| stream.active) {
            demand.keep(now);
            return;
        }
        let receivers = source.sinks.iter().map(|&sink| &self.sinks[sink]);
        let wishes = receivers.filter(|sink| sink.forwarding).map(|s| s.wish);
        let views = source.encodings.iter().map(Encoding::view);
        let changed = demand.update(now, wanted(&views, wishes));
        let live = (0..).zip(views).filter(|(_, view)| view.is_live(now));
        let unheard = demand.is_unheard(now, live.map(|(encoding, _)| encoding).collect());
        self.counters.encodings_paused -= paused as u64;
        self.counters.encodings_paused += source.paused() as u64;
        if changed || unheard {
            out.event(told(source));
        }
    }
}

fn told(source: &Source) -> ForwardEvent {
    let streams = source.encodings.iter().enumerate();
    ForwardEvent::VideoDemandChanged {
        publisher: source.publisher,
        mid: source.parameters.mid.clone(),
        wanted: streams
            .filter(|&(encoding, _)| source.demands(encoding))
            .map(|(_, stream)| stream.parameters.rid.clone())
            .collect(),
    }
}
