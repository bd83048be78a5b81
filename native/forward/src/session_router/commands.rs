//! Commands of the control plane.

use std::time::Instant;

use super::{ForwardError, Route, SessionRouter, local};
use crate::down_track::{DownTrack, Route as DownTrackRoute};
use crate::drop_reason::DropReason;
#[cfg(feature = "scripted-allocation")]
use crate::layers::Layer;
use crate::parameters::{
    DownTrackParameters, Extension, Kid, MediaKind, PayloadAccess, PreferredLayers,
    PublisherHandle, SubscriberHandle, TransportHandle, UpTrackParameters,
};
use crate::registry::{DownTrackKey, UpTrackKey};
use crate::reports::REPORT_INTERVAL;
use crate::up_track::UpTrack;

/// Of an up track: far more than any encoder has, and few enough for an [`EncodingIndex`].
///
/// [`EncodingIndex`]: crate::up_track::EncodingIndex
const MAX_ENCODINGS: usize = 128;

impl SessionRouter {
    /// Adds all of a publisher's up tracks, or none.
    pub fn publish(
        &mut self,
        now: Instant,
        publisher: PublisherHandle,
        transport: TransportHandle,
        up_tracks: Vec<UpTrackParameters>,
    ) -> Result<(), ForwardError> {
        if self.publishers.contains_key(&publisher) {
            return Err(ForwardError::HandleTaken);
        }
        self.check_up_tracks(transport, &up_tracks)?;
        let mut keys = Vec::with_capacity(up_tracks.len());
        for parameters in up_tracks {
            let mut up_track = UpTrack::new(now, self.access, publisher, transport, parameters);
            if self.trunks.contains(transport) {
                up_track.trust_origin();
            }
            let key = self.up_tracks.insert(up_track);
            for (encoding, stream) in self.up_tracks[key].encodings.indexed() {
                let declared = [
                    (stream.parameters.ssrc, false),
                    (stream.parameters.rtx_ssrc, true),
                ];
                for (ssrc, retransmission) in declared {
                    if let Some(ssrc) = ssrc {
                        let route = Route {
                            up_track: key,
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
        self.renew_uplink(transport);
        self.next_report.get_or_insert(now + REPORT_INTERVAL);
        Ok(())
    }

    fn check_up_tracks(
        &self,
        transport: TransportHandle,
        up_tracks: &[UpTrackParameters],
    ) -> Result<(), ForwardError> {
        let mut ssrcs = Vec::new();
        for (index, up_track) in up_tracks.iter().enumerate() {
            let encodings = 1..=MAX_ENCODINGS;
            if !encodings.contains(&up_track.encodings.len()) || up_track.clock_rate_hz == 0 {
                return Err(ForwardError::Invalid);
            }
            let same_mid = |other: &UpTrackParameters| other.mid == up_track.mid;
            let present = self
                .up_tracks
                .iter()
                .filter(|(_, other)| other.transport == transport);
            if up_tracks[..index].iter().any(same_mid)
                || present
                    .into_iter()
                    .any(|(_, other)| same_mid(&other.parameters))
            {
                return Err(ForwardError::Conflict);
            }
            for (position, encoding) in up_track.encodings.iter().enumerate() {
                let earlier = &up_track.encodings[..position];
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

    /// Replaces the key ids that the plaintext guard accepts.
    pub fn declare_kids(
        &mut self,
        publisher: PublisherHandle,
        mid: &str,
        kids: Vec<Kid>,
    ) -> Result<(), ForwardError> {
        let key = self.up_track_key(publisher, mid)?;
        self.up_tracks[key].guard.declare(kids);
        Ok(())
    }

    /// Mutes or unmutes an up track. Its receivers restart afterwards.
    pub fn set_up_track_forwarding(
        &mut self,
        publisher: PublisherHandle,
        mid: &str,
        forwarding: bool,
    ) -> Result<(), ForwardError> {
        let key = self.up_track_key(publisher, mid)?;
        let up_track = &mut self.up_tracks[key];
        if up_track.forwarding != forwarding {
            up_track.forwarding = forwarding;
            for &down_track in &up_track.down_tracks {
                self.down_tracks[down_track].restart();
            }
        }
        Ok(())
    }

    /// Ends a publisher and the down tracks that it feeds. Pending packets are dropped.
    pub fn unpublish(&mut self, publisher: PublisherHandle) -> Result<(), ForwardError> {
        let keys = self
            .publishers
            .remove(&publisher)
            .ok_or(ForwardError::UnknownHandle)?;
        self.speakers.remove(publisher);
        for key in keys {
            let Some(up_track) = self.up_tracks.remove(key) else {
                continue;
            };
            self.counters.encodings_paused -= up_track.paused() as u64;
            self.counters
                .drop_packets(DropReason::NoSubscriber, up_track.pending.len());
            self.dirty.retain(|&dirty| dirty != key);
            for down_track in up_track.down_tracks {
                self.remove_down_track(down_track);
            }
            self.routes.retain(|_, route| route.up_track != key);
            self.trunks.forget(key);
            self.renew_uplink(up_track.transport);
        }
        Ok(())
    }

    /// The up tracks of the transport changed.
    fn renew_uplink(&mut self, transport: TransportHandle) {
        let own = self.up_tracks.iter().map(|(_, up_track)| up_track);
        let ids = own
            .filter(|up_track| up_track.transport == transport)
            .map(|up_track| up_track.ids.id(Extension::TransportCc));
        let transport_cc = { ids }.find(|&id| id != 0).unwrap_or_default();
        self.uplinks.renew(transport, transport_cc);
    }

    /// Subscribes a transport to a publisher: all down tracks, or none.
    pub fn subscribe(
        &mut self,
        now: Instant,
        subscriber: SubscriberHandle,
        publisher: PublisherHandle,
        transport: TransportHandle,
        down_tracks: &[DownTrackParameters],
    ) -> Result<(), ForwardError> {
        if self.subscribers.contains_key(&subscriber) {
            return Err(ForwardError::HandleTaken);
        }
        let local = self.local_allocation(transport);
        debug_assert!(local.is_none() || self.access == PayloadAccess::Clear);
        let reduced = local.map(|_| local::reduced(down_tracks));
        let down_tracks = reduced.as_deref().unwrap_or(down_tracks);
        self.check_down_tracks(transport, down_tracks)?;
        let up_tracks: Vec<UpTrackKey> = down_tracks
            .iter()
            .map(|parameters| self.up_track_key(publisher, &parameters.up_track_mid))
            .collect::<Result<_, _>>()?;
        let downlink = self.open_downlink(now, transport);
        let mut keys = Vec::with_capacity(down_tracks.len());
        for (parameters, up_track) in down_tracks.iter().zip(up_tracks) {
            let ssrc = parameters.ssrc;
            let mut rewriter = self.parked.remove(&(transport, ssrc)).unwrap_or_default();
            if let Some(rtx_ssrc) = parameters.rtx_ssrc {
                let last = self.parked_rtx.remove(&(transport, rtx_ssrc));
                rewriter.set_rtx_sequence(last.unwrap_or_default());
                self.rtx_ssrcs.insert((transport, rtx_ssrc));
            }
            let fed_by = &self.up_tracks[up_track].parameters;
            let route = DownTrackRoute {
                subscriber,
                publisher,
                transport,
                up_track,
                downlink,
                kind: fed_by.kind,
                is_local: local.is_some(),
            };
            let down_track = DownTrack::new(
                route,
                local.unwrap_or_default(),
                parameters.clone(),
                fed_by.clock_rate_hz,
                rewriter,
            );
            if down_track.is_reported() {
                self.downlinks[downlink].expect_feedback();
            }
            let key = self.down_tracks.insert(down_track);
            self.downlinks[downlink].down_tracks.push(key);
            self.down_track_ssrcs.insert((transport, ssrc), key);
            self.up_tracks[up_track].down_tracks.push(key);
            self.up_tracks[up_track].recheck_subscribed_layers();
            keys.push(key);
        }
        self.begin(now, downlink, &keys);
        self.subscribers.insert(subscriber, keys);
        self.next_report.get_or_insert(now + REPORT_INTERVAL);
        Ok(())
    }

    /// An SSRC keeps its role while the transport lives, because its sequence numbers continue.
    fn check_down_tracks(
        &self,
        transport: TransportHandle,
        down_tracks: &[DownTrackParameters],
    ) -> Result<(), ForwardError> {
        let mut ssrcs = Vec::new();
        for down_track in down_tracks {
            let media = (transport, down_track.ssrc);
            if self.down_track_ssrcs.contains_key(&media)
                || self.rtx_ssrcs.contains(&media)
                || self.parked_rtx.contains_key(&media)
            {
                return Err(ForwardError::Conflict);
            }
            let rtx = down_track.rtx_ssrc.map(|ssrc| (transport, ssrc));
            if rtx.is_some_and(|rtx| {
                self.rtx_ssrcs.contains(&rtx)
                    || self.down_track_ssrcs.contains_key(&rtx)
                    || self.parked.contains_key(&rtx)
            }) {
                return Err(ForwardError::Conflict);
            }
            for ssrc in [Some(down_track.ssrc), down_track.rtx_ssrc]
                .into_iter()
                .flatten()
            {
                if ssrcs.contains(&ssrc) {
                    return Err(ForwardError::Conflict);
                }
                ssrcs.push(ssrc);
            }
        }
        Ok(())
    }

    /// Pauses or resumes one kind of media; resumed video waits for a key frame.
    pub fn set_down_track_forwarding(
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
            let down_track = &mut self.down_tracks[key];
            if down_track.route.kind == kind && down_track.set_forwards(forwarding) {
                let up_track = &mut self.up_tracks[down_track.route.up_track];
                up_track.recheck_subscribed_layers();
                if forwarding {
                    up_track.want_key_frame(None);
                }
            }
        }
        Ok(())
    }

    /// Sets the upper limits that a subscriber prefers.
    pub fn set_preferred_layers(
        &mut self,
        subscriber: SubscriberHandle,
        preferred: PreferredLayers,
    ) -> Result<(), ForwardError> {
        let keys = self
            .subscribers
            .get(&subscriber)
            .ok_or(ForwardError::UnknownHandle)?;
        for &key in keys {
            let down_track = &mut self.down_tracks[key];
            down_track.selection.set_preferred(preferred);
            self.up_tracks[down_track.route.up_track].recheck_subscribed_layers();
        }
        Ok(())
    }

    /// Sets the highest layer that a subscriber's downlink has room for in one m-line. `None`: not
    /// even the smallest, the m-line pauses. Without a call every layer is allowed.
    #[cfg(feature = "scripted-allocation")]
    pub fn set_allocation(
        &mut self,
        subscriber: SubscriberHandle,
        mid: &str,
        layer: Option<Layer>,
    ) -> Result<(), ForwardError> {
        let key = self.down_track_of(subscriber, mid)?;
        self.down_tracks[key].set_allocation(layer);
        Ok(())
    }

    #[cfg(feature = "scripted-allocation")]
    fn down_track_of(
        &self,
        subscriber: SubscriberHandle,
        mid: &str,
    ) -> Result<DownTrackKey, ForwardError> {
        let keys = self.subscribers.get(&subscriber);
        keys.into_iter()
            .flatten()
            .copied()
            .find(|&key| self.down_tracks[key].outgoing.parameters().mid == mid)
            .ok_or(ForwardError::UnknownHandle)
    }

    /// Ends a subscription. The sequence numbers of its SSRCs are kept while the transport lives.
    pub fn unsubscribe(&mut self, subscriber: SubscriberHandle) -> Result<(), ForwardError> {
        let keys = self
            .subscribers
            .remove(&subscriber)
            .ok_or(ForwardError::UnknownHandle)?;
        for key in keys {
            self.remove_down_track(key);
        }
        Ok(())
    }

    fn remove_down_track(&mut self, key: DownTrackKey) {
        let Some(DownTrack {
            route, outgoing, ..
        }) = self.down_tracks.remove(key)
        else {
            return;
        };
        let ssrc = (route.transport, outgoing.ssrc());
        self.down_track_ssrcs.remove(&ssrc);
        if let Some(rtx_ssrc) = outgoing.parameters().rtx_ssrc {
            let rtx = (route.transport, rtx_ssrc);
            self.rtx_ssrcs.remove(&rtx);
            self.parked_rtx
                .insert(rtx, outgoing.rewriter().rtx_sequence());
        }
        self.parked.insert(ssrc, outgoing.into_rewriter());
        if let Some(downlink) = self.downlinks.get_mut(route.downlink) {
            downlink.down_tracks.retain(|&other| other != key);
        }
        if let Some(up_track) = self.up_tracks.get_mut(route.up_track) {
            up_track.down_tracks.retain(|&other| other != key);
            up_track.recheck_subscribed_layers();
        }
        if let Some(keys) = self.subscribers.get_mut(&route.subscriber) {
            keys.retain(|&other| other != key);
            if keys.is_empty() {
                self.subscribers.remove(&route.subscriber);
            }
        }
    }

    /// Ends everything that uses the transport.
    pub fn close_transport(&mut self, transport: TransportHandle) -> Result<(), ForwardError> {
        let published: Vec<_> = self
            .up_tracks
            .iter()
            .filter(|(_, up_track)| up_track.transport == transport)
            .map(|(_, up_track)| up_track.publisher)
            .collect();
        for publisher in published {
            // A publisher with two up tracks is listed twice.
            let _ = self.unpublish(publisher);
        }
        let down_tracks: Vec<_> = self
            .down_tracks
            .iter()
            .filter(|(_, down_track)| down_track.route.transport == transport)
            .map(|(key, _)| key)
            .collect();
        for key in down_tracks {
            self.remove_down_track(key);
        }
        self.parked.retain(|&(of, _), _| of != transport);
        self.parked_rtx.retain(|&(of, _), _| of != transport);
        self.uplinks.close(transport);
        self.locals.remove(&transport);
        self.close_trunk(transport);
        if let Some(downlink) = self.downlinks.close(transport) {
            let waiting = downlink.queued();
            self.counters
                .drop_packets(DropReason::NoSubscriber, waiting);
        }
        Ok(())
    }

    pub(super) fn up_track_key(
        &self,
        publisher: PublisherHandle,
        mid: &str,
    ) -> Result<UpTrackKey, ForwardError> {
        let keys = self
            .publishers
            .get(&publisher)
            .ok_or(ForwardError::UnknownHandle)?;
        keys.iter()
            .copied()
            .find(|&key| self.up_tracks[key].parameters.mid == mid)
            .ok_or(ForwardError::UnknownHandle)
    }
}
