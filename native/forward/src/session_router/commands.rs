//! Commands of the control plane.

use std::time::Instant;

use super::{ForwardError, Route, SessionRouter};
use crate::drop_reason::DropReason;
use crate::layers::{Layer, LayerView};
use crate::parameters::{
    Kid, LayerWish, MediaKind, PublisherHandle, SinkParameters, SourceParameters, SubscriberHandle,
    TransportHandle,
};
use crate::reports::REPORT_INTERVAL;
use crate::sink::{Sink, SinkPlace};
use crate::source::Source;

impl SessionRouter {
    /// Adds a publisher's sources; all or none.
    pub fn publish(
        &mut self,
        now: Instant,
        publisher: PublisherHandle,
        transport: TransportHandle,
        sources: Vec<SourceParameters>,
    ) -> Result<(), ForwardError> {
        if self.publishers.contains_key(&publisher) {
            return Err(ForwardError::HandleTaken);
        }
        self.check_sources(transport, &sources)?;
        let mut keys = Vec::with_capacity(sources.len());
        for parameters in sources {
            let source = Source::new(now, self.access, publisher, transport, parameters);
            let key = self.sources.insert(source);
            for (encoding, stream) in self.sources[key].encodings.iter().enumerate() {
                let declared = [
                    (stream.parameters.ssrc, false),
                    (stream.parameters.rtx_ssrc, true),
                ];
                for (ssrc, retransmission) in declared {
                    if let Some(ssrc) = ssrc {
                        let route = Route {
                            source: key,
                            encoding,
                            retransmission,
                        };
                        self.routes.insert((transport, ssrc), route);
                    }
                }
            }
            keys.push(key);
        }
        self.publishers.insert(publisher, keys);
        self.next_report.get_or_insert(now + REPORT_INTERVAL);
        Ok(())
    }

    fn check_sources(
        &self,
        transport: TransportHandle,
        sources: &[SourceParameters],
    ) -> Result<(), ForwardError> {
        let mut ssrcs = Vec::new();
        for (index, source) in sources.iter().enumerate() {
            if source.encodings.is_empty() || source.clock_rate_hz == 0 {
                return Err(ForwardError::Invalid);
            }
            let same_mid = |other: &SourceParameters| other.mid == source.mid;
            let present = self
                .sources
                .iter()
                .filter(|(_, other)| other.transport == transport);
            if sources[..index].iter().any(same_mid)
                || present
                    .into_iter()
                    .any(|(_, other)| same_mid(&other.parameters))
            {
                return Err(ForwardError::Conflict);
            }
            for (position, encoding) in source.encodings.iter().enumerate() {
                let earlier = &source.encodings[..position];
                if encoding.rid.is_some() && earlier.iter().any(|e| e.rid == encoding.rid) {
                    return Err(ForwardError::Conflict);
                }
                for ssrc in [encoding.ssrc, encoding.rtx_ssrc].into_iter().flatten() {
                    if ssrcs.contains(&ssrc) || self.routes.contains_key(&(transport, ssrc)) {
                        return Err(ForwardError::Conflict);
                    }
                    ssrcs.push(ssrc);
                }
            }
        }
        Ok(())
    }

    /// Replaces the key ids that the seal guard accepts.
    pub fn declare_kids(
        &mut self,
        publisher: PublisherHandle,
        mid: &str,
        kids: Vec<Kid>,
    ) -> Result<(), ForwardError> {
        let key = self.source_key(publisher, mid)?;
        self.sources[key].guard.declare(kids);
        Ok(())
    }

    /// Mutes or unmutes a source. Afterwards its receivers begin anew.
    pub fn set_source_forwarding(
        &mut self,
        publisher: PublisherHandle,
        mid: &str,
        forwarding: bool,
    ) -> Result<(), ForwardError> {
        let key = self.source_key(publisher, mid)?;
        let source = &mut self.sources[key];
        if source.forwarding != forwarding {
            source.forwarding = forwarding;
            for &sink in &source.sinks {
                self.sinks[sink].restart();
            }
        }
        Ok(())
    }

    /// Wants a key frame on every video encoding; publishers are asked at the next timeout.
    pub fn request_key_frame(&mut self, publisher: PublisherHandle) -> Result<(), ForwardError> {
        let keys = self
            .publishers
            .get(&publisher)
            .ok_or(ForwardError::UnknownHandle)?;
        for &key in keys {
            self.sources[key].want_key_frame(None);
        }
        Ok(())
    }

    /// Ends a publisher and every sink that it feeds. Packets not flushed yet are gone.
    pub fn unpublish(&mut self, publisher: PublisherHandle) -> Result<(), ForwardError> {
        let keys = self
            .publishers
            .remove(&publisher)
            .ok_or(ForwardError::UnknownHandle)?;
        self.speakers.remove(publisher);
        for key in keys {
            let source = self.sources.remove(key);
            self.counters.encodings_paused -= source.paused() as u64;
            self.counters
                .drop_packets(DropReason::NoSubscriber, source.pending.len());
            self.dirty.retain(|&dirty| dirty != key);
            for sink in source.sinks {
                self.remove_sink(sink);
            }
            self.routes.retain(|_, route| route.source != key);
        }
        Ok(())
    }

    /// Starts delivery of a publisher to a transport; all sinks or none.
    pub fn subscribe(
        &mut self,
        now: Instant,
        subscriber: SubscriberHandle,
        publisher: PublisherHandle,
        transport: TransportHandle,
        sinks: &[SinkParameters],
    ) -> Result<(), ForwardError> {
        if self.subscribers.contains_key(&subscriber) {
            return Err(ForwardError::HandleTaken);
        }
        self.check_sinks(transport, sinks)?;
        let sources: Vec<usize> = sinks
            .iter()
            .map(|parameters| self.source_key(publisher, &parameters.source_mid))
            .collect::<Result<_, _>>()?;
        let downlink = self.open_downlink(now, transport);
        let mut keys = Vec::with_capacity(sinks.len());
        for (parameters, source) in sinks.iter().zip(sources) {
            let ssrc = parameters.ssrc;
            let mut numbers = self.parked.remove(&(transport, ssrc)).unwrap_or_default();
            if let Some(rtx_ssrc) = parameters.rtx_ssrc {
                let last = self.parked_rtx.remove(&(transport, rtx_ssrc));
                numbers.set_rtx_sequence(last.unwrap_or_default());
                self.rtx_ssrcs.insert((transport, rtx_ssrc));
            }
            let place = SinkPlace {
                subscriber,
                transport,
                source,
                downlink,
            };
            let sink = Sink::new(place, &self.sources[source], parameters.clone(), numbers);
            if sink.is_reported() {
                self.downlinks[downlink].expect_feedback();
            }
            let key = self.sinks.insert(sink);
            self.downlinks[downlink].sinks.push(key);
            self.sink_ssrcs.insert((transport, ssrc), key);
            self.sources[source].sinks.push(key);
            self.sources[source].recheck_demand();
            keys.push(key);
        }
        self.begin(now, downlink, &keys);
        self.subscribers.insert(subscriber, keys);
        self.next_report.get_or_insert(now + REPORT_INTERVAL);
        Ok(())
    }

    /// An SSRC keeps its role while the transport lives, for its numbers go on.
    fn check_sinks(
        &self,
        transport: TransportHandle,
        sinks: &[SinkParameters],
    ) -> Result<(), ForwardError> {
        let mut ssrcs = Vec::new();
        for sink in sinks {
            let media = (transport, sink.ssrc);
            if self.sink_ssrcs.contains_key(&media)
                || self.rtx_ssrcs.contains(&media)
                || self.parked_rtx.contains_key(&media)
            {
                return Err(ForwardError::Conflict);
            }
            let rtx = sink.rtx_ssrc.map(|ssrc| (transport, ssrc));
            if rtx.is_some_and(|rtx| {
                self.rtx_ssrcs.contains(&rtx)
                    || self.sink_ssrcs.contains_key(&rtx)
                    || self.parked.contains_key(&rtx)
            }) {
                return Err(ForwardError::Conflict);
            }
            for ssrc in [Some(sink.ssrc), sink.rtx_ssrc].into_iter().flatten() {
                if ssrcs.contains(&ssrc) {
                    return Err(ForwardError::Conflict);
                }
                ssrcs.push(ssrc);
            }
        }
        Ok(())
    }

    /// Holds back or lets pass one kind of media; resumed video waits for a key frame.
    pub fn set_sink_forwarding(
        &mut self,
        subscriber: SubscriberHandle,
        kind: MediaKind,
        forwarding: bool,
    ) -> Result<(), ForwardError> {
        let keys = self
            .subscribers
            .get(&subscriber)
            .ok_or(ForwardError::UnknownHandle)?;
        for &key in keys {
            let sink = &mut self.sinks[key];
            if sink.kind == kind && sink.forwarding != forwarding {
                sink.forwarding = forwarding;
                sink.restart();
                let source = &mut self.sources[sink.source];
                source.recheck_demand();
                if forwarding {
                    source.want_key_frame(None);
                }
            }
        }
        Ok(())
    }

    /// What a subscriber wants at most.
    pub fn set_layer_wish(
        &mut self,
        subscriber: SubscriberHandle,
        wish: LayerWish,
    ) -> Result<(), ForwardError> {
        let keys = self
            .subscribers
            .get(&subscriber)
            .ok_or(ForwardError::UnknownHandle)?;
        for &key in keys {
            let sink = &mut self.sinks[key];
            sink.wish = wish;
            self.sources[sink.source].recheck_demand();
        }
        Ok(())
    }

    /// The most that a subscriber's link has room for in one m-line; `None` = not even the
    /// smallest layer, the m-line pauses. Without a call everything is allowed.
    pub fn set_allocation(
        &mut self,
        subscriber: SubscriberHandle,
        mid: &str,
        layer: Option<Layer>,
    ) -> Result<(), ForwardError> {
        let key = self.sink_of(subscriber, mid)?;
        self.sinks[key].set_allocation(layer);
        Ok(())
    }

    /// The layer table of the source behind one m-line of a subscriber.
    pub fn layers(
        &self,
        now: Instant,
        subscriber: SubscriberHandle,
        mid: &str,
    ) -> Result<impl Iterator<Item = LayerView> + '_, ForwardError> {
        let key = self.sink_of(subscriber, mid)?;
        Ok(self.sources[self.sinks[key].source].layers(now))
    }

    fn sink_of(&self, subscriber: SubscriberHandle, mid: &str) -> Result<usize, ForwardError> {
        let keys = self.subscribers.get(&subscriber);
        keys.into_iter()
            .flatten()
            .copied()
            .find(|&key| self.sinks[key].parameters.mid == mid)
            .ok_or(ForwardError::UnknownHandle)
    }

    /// Ends delivery. The numbers of its SSRCs are kept while the transport lives.
    pub fn unsubscribe(&mut self, subscriber: SubscriberHandle) -> Result<(), ForwardError> {
        let keys = self
            .subscribers
            .remove(&subscriber)
            .ok_or(ForwardError::UnknownHandle)?;
        for key in keys {
            self.remove_sink(key);
        }
        Ok(())
    }

    fn remove_sink(&mut self, key: usize) {
        let Some(mut sink) = self.sinks.try_remove(key) else {
            return;
        };
        let ssrc = (sink.transport, sink.parameters.ssrc);
        self.sink_ssrcs.remove(&ssrc);
        if let Some(rtx_ssrc) = sink.parameters.rtx_ssrc {
            let rtx = (sink.transport, rtx_ssrc);
            self.rtx_ssrcs.remove(&rtx);
            self.parked_rtx.insert(rtx, sink.rewriter.rtx_sequence());
        }
        sink.rewriter.forget();
        self.parked.insert(ssrc, sink.rewriter);
        if let Some(downlink) = self.downlinks.get_mut(sink.downlink) {
            downlink.sinks.retain(|&other| other != key);
        }
        if let Some(source) = self.sources.get_mut(sink.source) {
            source.sinks.retain(|&other| other != key);
            source.recheck_demand();
        }
        if let Some(keys) = self.subscribers.get_mut(&sink.subscriber) {
            keys.retain(|&other| other != key);
            if keys.is_empty() {
                self.subscribers.remove(&sink.subscriber);
            }
        }
    }

    /// Ends everything that used the transport.
    pub fn close_transport(&mut self, transport: TransportHandle) -> Result<(), ForwardError> {
        let published: Vec<_> = self
            .sources
            .iter()
            .filter(|(_, source)| source.transport == transport)
            .map(|(_, source)| source.publisher)
            .collect();
        for publisher in published {
            // A publisher with two sources stands here twice.
            let _ = self.unpublish(publisher);
        }
        let sinks: Vec<_> = self
            .sinks
            .iter()
            .filter(|(_, s)| s.transport == transport)
            .map(|(k, _)| k)
            .collect();
        for key in sinks {
            self.remove_sink(key);
        }
        self.parked.retain(|&(of, _), _| of != transport);
        self.parked_rtx.retain(|&(of, _), _| of != transport);
        self.latches.remove(&transport);
        if let Some(downlink) = self.downlinks.close(transport) {
            let waiting = downlink.pacer.queued();
            self.counters
                .drop_packets(DropReason::NoSubscriber, waiting);
        }
        Ok(())
    }

    fn source_key(&self, publisher: PublisherHandle, mid: &str) -> Result<usize, ForwardError> {
        let keys = self
            .publishers
            .get(&publisher)
            .ok_or(ForwardError::UnknownHandle)?;
        keys.iter()
            .copied()
            .find(|&key| self.sources[key].parameters.mid == mid)
            .ok_or(ForwardError::UnknownHandle)
    }
}
