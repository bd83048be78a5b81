//! Applies commands to the worker's state.

use std::time::Instant;

use sealroute_forward::{
    ForwardError, PublisherHandle, SessionRouter, SubscriberHandle, TransportHandle,
};
use sealroute_transport::{IceLite, PeerCredentials, SrtpError};

use crate::api::{
    Command, Event, OpenRouter, OpenTransport, Publish, RestartIce, RouterHandle, SendDtls,
    SetPeerCredentials, SetSrtpKeys, Snapshot, Subscribe,
};
use crate::core::{Core, Session, Timer};
use crate::egress::MessageSocket;
use crate::transport::Transport;

pub(crate) type Outcome = Result<(), &'static str>;

pub(crate) const UNKNOWN_HANDLE: &str = "unknown_handle";
pub(crate) const HANDLE_TAKEN: &str = "handle_taken";
const UFRAG_TAKEN: &str = "ufrag_taken";
const KEYS_TAKEN: &str = "keys_taken";

impl<S: MessageSocket> Core<S> {
    /// Applies one command; a failure becomes an event.
    pub(crate) fn apply(&mut self, now: Instant, command: Command) {
        let (name, handle) = command.identity();
        if let Err(reason) = self.try_apply(now, command) {
            self.push_event(Event::CommandFailed {
                command: name,
                handle,
                reason,
            });
        }
    }

    fn try_apply(&mut self, now: Instant, command: Command) -> Outcome {
        match command {
            Command::OpenRouter(of) => self.open_router(of),
            Command::CloseRouter(of) => self.close_router(now, of.router),
            Command::OpenTransport(of) => self.open_transport(now, of),
            Command::RestartIce(of) => self.restart_ice(of),
            Command::SetPeerCredentials(of) => self.set_peer_credentials(now, of),
            Command::SetSrtpKeys(of) => self.set_srtp_keys(now, &of),
            Command::SendDtls(of) => self.send_dtls(now, &of),
            Command::OpenTap(of) => self.open_tap(of),
            Command::OpenTrunk(of) => self.open_trunk(&of),
            Command::FeedTrunk(of) => self.feed_trunk(of),
            Command::SetTrunkDemand(of) => self.set_trunk_demand(&of),
            Command::WriteTap(of) => self.write_tap(now, &of),
            Command::CloseTransport(of) => self.close_transport(now, of.transport),
            Command::Publish(of) => self.publish(now, of),
            Command::DeclareKids(of) => self.with_publisher(of.publisher, |router| {
                router.declare_kids(of.publisher, &of.mid, of.kids)
            }),
            Command::SetUpTrackForwarding(of) => self.with_publisher(of.publisher, |router| {
                router.set_up_track_forwarding(of.publisher, &of.mid, of.forwarding)
            }),
            Command::Unpublish(of) => self.unpublish(of.publisher),
            Command::Subscribe(of) => self.subscribe(now, &of),
            Command::SetDownTrackForwarding(of) => self.with_subscriber(of.subscriber, |router| {
                router.set_down_track_forwarding(of.subscriber, of.kind, of.forwarding)
            }),
            Command::SetPreferredLayers(of) => self.with_subscriber(of.subscriber, |router| {
                router.set_preferred_layers(of.subscriber, of.preferred)
            }),
            Command::Unsubscribe(of) => self.unsubscribe(of.subscriber),
        }
    }

    fn open_router(&mut self, OpenRouter { router, access }: OpenRouter) -> Outcome {
        if self.sessions.contains_key(&router) {
            return Err(HANDLE_TAKEN);
        }
        let session = Session {
            router: SessionRouter::new(access, self.settings.forward),
            touched: false,
            unpublished: false,
            published: Vec::new(),
        };
        self.sessions.insert(router, session);
        Ok(())
    }

    fn close_router(&mut self, now: Instant, router: RouterHandle) -> Outcome {
        if !self.sessions.contains_key(&router) {
            return Err(UNKNOWN_HANDLE);
        }
        let peers = { self.transports.iter() }.map(|(handle, of)| (handle, of.router));
        let taps = { self.taps.iter() }.map(|(handle, of)| (handle, of.router));
        let trunks = { self.trunks.iter() }.map(|(handle, of)| (handle, of.router));
        let inside = peers
            .chain(taps)
            .chain(trunks)
            .filter(|&(_, of)| of == router);
        for (transport, _) in inside.collect::<Vec<_>>() {
            self.close_transport(now, transport)?;
        }
        // Keep the session's counters in the published totals.
        self.publish_counters();
        self.timers.set(Timer::Session(router), None);
        self.sessions.remove(&router);
        Ok(())
    }

    fn open_transport(&mut self, now: Instant, command: OpenTransport) -> Outcome {
        let OpenTransport {
            router,
            transport: handle,
            direction,
            local_ufrag: ufrag,
            local_pwd: pwd,
        } = command;
        if !self.sessions.contains_key(&router) {
            return Err(UNKNOWN_HANDLE);
        }
        let is_local = self.taps.contains(handle) || self.trunks.contains(handle);
        if self.transports.contains(handle) || is_local {
            return Err(HANDLE_TAKEN);
        }
        if self.transports.by_ufrag(&ufrag).is_some() {
            return Err(UFRAG_TAKEN);
        }
        let ice = IceLite::new(ufrag.clone(), pwd.0, self.settings.consent_timeout);
        let opened = Transport::new(now, router, direction, ice);
        self.transports.insert(handle, ufrag, opened);
        Ok(())
    }

    fn restart_ice(&mut self, command: RestartIce) -> Outcome {
        if self.transports.by_ufrag(&command.local_ufrag).is_some() {
            return Err(UFRAG_TAKEN);
        }
        if !self.transports.contains(command.transport) {
            return Err(UNKNOWN_HANDLE);
        }
        let (ufrag, pwd) = (command.local_ufrag, command.local_pwd.0);
        self.transports.restart_ice(command.transport, ufrag, pwd);
        Ok(())
    }

    fn set_peer_credentials(&mut self, now: Instant, command: SetPeerCredentials) -> Outcome {
        let found = self.transport_mut(command.transport)?;
        found.checks.set_peer(PeerCredentials {
            ufrag: command.ufrag,
            pwd: command.pwd.0,
        });
        self.restart_probes(now, command.transport);
        Ok(())
    }

    fn set_srtp_keys(&mut self, now: Instant, command: &SetSrtpKeys) -> Outcome {
        let found = self.transport_mut(command.transport)?;
        if found.has_keys() {
            return Err(KEYS_TAKEN);
        }
        found.set_keys(&command.secrets).map_err(SrtpError::name)?;
        found.dtls.on_connected(now);
        Ok(())
    }

    fn send_dtls(&mut self, now: Instant, command: &SendDtls) -> Outcome {
        self.transport_mut(command.transport)?;
        self.send_plain(now, command.transport, &command.datagram.0);
        Ok(())
    }

    fn transport_mut(&mut self, handle: TransportHandle) -> Result<&mut Transport, &'static str> {
        self.transports.get_mut(handle).ok_or(UNKNOWN_HANDLE)
    }

    fn close_transport(&mut self, now: Instant, handle: TransportHandle) -> Outcome {
        let router = self.router_of_transport(handle).ok_or(UNKNOWN_HANDLE)?;
        // The router does not know a transport without publishers or subscribers.
        let _ = self.with_session(router, |session, _| session.router.close_transport(handle));
        self.forget_ended(router);
        if self.trunks.close(handle).is_some() {
            return Ok(());
        }
        if self.transports.remove(handle).is_none() {
            self.close_tap(now, handle);
            return Ok(());
        }
        self.timers.set(Timer::Consent(handle), None);
        self.timers.set(Timer::Reach(handle), None);
        self.timers.set(Timer::Probe(handle), None);
        Ok(())
    }

    fn forget_ended(&mut self, router: RouterHandle) {
        if let Some(session) = self.sessions.get(&router) {
            self.session_index.forget_ended(router, &session.router);
        }
    }

    fn publish(&mut self, now: Instant, command: Publish) -> Outcome {
        let Publish {
            router,
            publisher,
            transport,
            up_tracks,
        } = command;
        if self.router_of_transport(transport) != Some(router) {
            return Err(UNKNOWN_HANDLE);
        }
        if self.session_index.of_publisher(publisher).is_some() {
            return Err(HANDLE_TAKEN);
        }
        self.forward(router, |session| {
            session.publish(now, publisher, transport, up_tracks)
        })?;
        self.session_index.add_publisher(publisher, router);
        Ok(())
    }

    fn unpublish(&mut self, publisher: PublisherHandle) -> Outcome {
        let router = self.session_index.of_publisher(publisher);
        let router = router.ok_or(UNKNOWN_HANDLE)?;
        self.forward(router, |session| session.unpublish(publisher))?;
        self.forget_ended(router);
        Ok(())
    }

    fn subscribe(&mut self, now: Instant, command: &Subscribe) -> Outcome {
        let &Subscribe {
            router,
            subscriber,
            publisher,
            transport,
            ref down_tracks,
        } = command;
        if self.router_of_transport(transport) != Some(router) {
            return Err(UNKNOWN_HANDLE);
        }
        if self.session_index.of_subscriber(subscriber).is_some() {
            return Err(HANDLE_TAKEN);
        }
        self.forward(router, |session| {
            session.subscribe(now, subscriber, publisher, transport, down_tracks)
        })?;
        self.session_index.add_subscriber(subscriber, router);
        Ok(())
    }

    fn unsubscribe(&mut self, subscriber: SubscriberHandle) -> Outcome {
        let router = self.session_index.of_subscriber(subscriber);
        let router = router.ok_or(UNKNOWN_HANDLE)?;
        self.forward(router, |session| session.unsubscribe(subscriber))?;
        self.forget_ended(router);
        Ok(())
    }

    /// The session of a transport: a peer's, a tap or a trunk. Only that session uses it.
    fn router_of_transport(&self, transport: TransportHandle) -> Option<RouterHandle> {
        let peer = self.transports.get(transport).map(|found| found.router);
        peer.or_else(|| self.taps.router_of(transport))
            .or_else(|| self.trunks.router_of(transport))
    }

    pub(crate) fn with_publisher(
        &mut self,
        publisher: PublisherHandle,
        act: impl FnOnce(&mut SessionRouter) -> Result<(), ForwardError>,
    ) -> Outcome {
        let router = self.session_index.of_publisher(publisher);
        self.forward(router.ok_or(UNKNOWN_HANDLE)?, act)
    }

    fn with_subscriber(
        &mut self,
        subscriber: SubscriberHandle,
        act: impl FnOnce(&mut SessionRouter) -> Result<(), ForwardError>,
    ) -> Outcome {
        let router = self.session_index.of_subscriber(subscriber);
        self.forward(router.ok_or(UNKNOWN_HANDLE)?, act)
    }

    fn forward(
        &mut self,
        router: RouterHandle,
        act: impl FnOnce(&mut SessionRouter) -> Result<(), ForwardError>,
    ) -> Outcome {
        let outcome = self.with_session(router, |session, _| act(&mut session.router));
        outcome.ok_or(UNKNOWN_HANDLE)?.map_err(ForwardError::name)
    }

    /// The state of a session; `None` if it does not exist.
    pub(crate) fn snapshot(&self, now: Instant, handle: RouterHandle) -> Option<Snapshot> {
        let session = self.sessions.get(&handle)?;
        let peers = self
            .transports
            .iter()
            .filter(|(_, transport)| transport.router == handle);
        let peers = peers.map(|(name, transport)| transport.snapshot(name, now));
        let taps = self.taps.iter().filter(|(_, tap)| tap.router == handle);
        let taps = taps.map(|(name, tap)| tap.snapshot(name));
        Some(Snapshot {
            router: handle,
            transports: peers.chain(taps).collect(),
            forwarding: session.router.snapshot(),
        })
    }
}

#[cfg(test)]
#[path = "refused_commands_tests.rs"]
mod refused_commands_tests;
