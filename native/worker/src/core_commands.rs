//! How commands change the worker's state.

use std::time::Instant;

use sealroute_forward::{
    ForwardError, PayloadAccess, PublisherHandle, SessionRouter, SinkParameters, SourceParameters,
    SubscriberHandle, TransportHandle,
};
use sealroute_transport::{IceLite, PeerCredentials, SrtpError};
use serde_json::{Value, json};

use crate::commands::{Command, Direction, RouterHandle, Secret};
use crate::core::{Core, Publication, Session, Subscription, Timer, transport_cc_id};
use crate::egress::MessageSocket;
use crate::event_ring::Event;
use crate::transports::Transport;

type Outcome = Result<(), &'static str>;

const UNKNOWN_HANDLE: &str = "unknown_handle";
const HANDLE_TAKEN: &str = "handle_taken";
const UFRAG_TAKEN: &str = "ufrag_taken";
const KEYS_TAKEN: &str = "keys_taken";

impl<S: MessageSocket> Core<S> {
    /// Applies one command; a conflict becomes an event.
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
            Command::OpenRouter { router, access } => self.open_router(router, access),
            Command::CloseRouter { router } => self.close_router(router),
            Command::OpenTransport {
                router,
                transport,
                direction,
                local_ufrag,
                local_pwd,
            } => self.open_transport(
                now,
                (router, transport, direction),
                (local_ufrag, local_pwd),
            ),
            Command::RestartIce {
                transport,
                local_ufrag,
                local_pwd,
            } => self.restart_ice(transport, local_ufrag, local_pwd),
            Command::SetPeerCredentials {
                transport,
                ufrag,
                pwd,
            } => {
                let found = self.transports.get_mut(transport).ok_or(UNKNOWN_HANDLE)?;
                found.checks.set_peer(PeerCredentials { ufrag, pwd: pwd.0 });
                self.ask_anew(now, transport);
                Ok(())
            }
            Command::SetSrtpKeys { transport, secrets } => {
                let found = self.transports.get_mut(transport).ok_or(UNKNOWN_HANDLE)?;
                if found.has_keys() {
                    return Err(KEYS_TAKEN);
                }
                found.set_keys(&secrets).map_err(SrtpError::name)
            }
            Command::SendDtls {
                transport,
                datagram,
            } => {
                self.transports.get(transport).ok_or(UNKNOWN_HANDLE)?;
                self.send_plain(now, transport, &datagram);
                Ok(())
            }
            Command::CloseTransport { transport } => self.close_transport(transport),
            Command::Publish {
                router,
                publisher,
                transport,
                sources,
            } => self.publish(now, (router, publisher, transport), sources),
            Command::Subscribe {
                router,
                subscriber,
                publisher,
                transport,
                sinks,
            } => {
                let subscription = Subscription {
                    router,
                    transport,
                    publisher,
                };
                self.subscribe(now, subscriber, subscription, &sinks)
            }
            Command::Dump { router, reply } => {
                // Nobody waits any more where the channel is closed.
                let _ = reply.send(self.dump(now, router));
                Ok(())
            }
            Command::Stop => Ok(()),
            other => self.apply_to_member(other),
        }
    }

    /// Commands to a publisher or subscriber that there is.
    fn apply_to_member(&mut self, command: Command) -> Outcome {
        match command {
            Command::DeclareKids {
                publisher,
                mid,
                kids,
            } => self.with_publisher(publisher, |router| {
                router.declare_kids(publisher, &mid, kids)
            }),
            Command::SetSourceForwarding {
                publisher,
                mid,
                forwarding,
            } => self.with_publisher(publisher, |router| {
                router.set_source_forwarding(publisher, &mid, forwarding)
            }),
            Command::RequestKeyFrame { publisher } => {
                self.with_publisher(publisher, |router| router.request_key_frame(publisher))
            }
            Command::Unpublish { publisher } => {
                self.with_publisher(publisher, |router| router.unpublish(publisher))?;
                self.publications.remove(&publisher);
                self.subscriptions
                    .retain(|_, subscription| subscription.publisher != publisher);
                Ok(())
            }
            Command::SetSinkForwarding {
                subscriber,
                kind,
                forwarding,
            } => self.with_subscriber(subscriber, |router| {
                router.set_sink_forwarding(subscriber, kind, forwarding)
            }),
            Command::SetLayerWish { subscriber, wish } => {
                self.with_subscriber(subscriber, |router| router.set_layer_wish(subscriber, wish))
            }
            Command::Unsubscribe { subscriber } => {
                self.with_subscriber(subscriber, |router| router.unsubscribe(subscriber))?;
                self.subscriptions.remove(&subscriber);
                Ok(())
            }
            _ => Ok(()),
        }
    }

    fn open_router(&mut self, router: RouterHandle, access: PayloadAccess) -> Outcome {
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

    fn close_router(&mut self, router: RouterHandle) -> Outcome {
        if !self.sessions.contains_key(&router) {
            return Err(UNKNOWN_HANDLE);
        }
        let inside = |(handle, transport): (TransportHandle, &Transport)| {
            (transport.router == router).then_some(handle)
        };
        for transport in self
            .transports
            .iter()
            .filter_map(inside)
            .collect::<Vec<_>>()
        {
            self.close_transport(transport)?;
        }
        // What the session counted stays in the totals.
        self.publish_counters();
        self.timers.set(Timer::Session(router), None);
        self.sessions.remove(&router);
        Ok(())
    }

    fn open_transport(
        &mut self,
        now: Instant,
        (router, handle, direction): (RouterHandle, TransportHandle, Direction),
        (ufrag, pwd): (String, Secret<String>),
    ) -> Outcome {
        if !self.sessions.contains_key(&router) {
            return Err(UNKNOWN_HANDLE);
        }
        if self.transports.contains(handle) {
            return Err(HANDLE_TAKEN);
        }
        if self.transports.by_ufrag(&ufrag).is_some() {
            return Err(UFRAG_TAKEN);
        }
        let ice = IceLite::new(ufrag.clone(), pwd.0, self.settings.consent_timeout);
        self.transports
            .insert(handle, ufrag, Transport::new(now, router, direction, ice));
        Ok(())
    }

    fn restart_ice(
        &mut self,
        handle: TransportHandle,
        ufrag: String,
        pwd: Secret<String>,
    ) -> Outcome {
        if self.transports.by_ufrag(&ufrag).is_some() {
            return Err(UFRAG_TAKEN);
        }
        if !self.transports.contains(handle) {
            return Err(UNKNOWN_HANDLE);
        }
        self.transports.restart_ice(handle, ufrag, pwd.0);
        Ok(())
    }

    fn close_transport(&mut self, handle: TransportHandle) -> Outcome {
        let router = self.transports.get(handle).ok_or(UNKNOWN_HANDLE)?.router;
        // A transport without publishers and subscribers is not known to forwarding.
        let _ = self.with_session(router, |session, _| session.router.close_transport(handle));
        self.forget_transport(handle);
        Ok(())
    }

    fn forget_transport(&mut self, handle: TransportHandle) {
        self.transports.remove(handle);
        self.timers.set(Timer::Consent(handle), None);
        self.timers.set(Timer::Reach(handle), None);
        self.timers.set(Timer::Proof(handle), None);
        self.timers.set(Timer::Feedback(handle), None);
        self.publications
            .retain(|_, publication| publication.transport != handle);
        let publications = &self.publications;
        self.subscriptions.retain(|_, subscription| {
            subscription.transport != handle && publications.contains_key(&subscription.publisher)
        });
    }

    fn publish(
        &mut self,
        now: Instant,
        (router, publisher, transport): (RouterHandle, PublisherHandle, TransportHandle),
        sources: Vec<SourceParameters>,
    ) -> Outcome {
        self.check_transport(router, transport)?;
        if self.publications.contains_key(&publisher) {
            return Err(HANDLE_TAKEN);
        }
        let feedback_id = sources
            .iter()
            .find_map(|source| transport_cc_id(&source.extensions));
        self.forward(router, |session| {
            session.publish(now, publisher, transport, sources)
        })?;
        self.publications
            .insert(publisher, Publication { router, transport });
        if let Some(transport) = self.transports.get_mut(transport) {
            transport.feedback_extension = feedback_id.or(transport.feedback_extension);
        }
        Ok(())
    }

    fn subscribe(
        &mut self,
        now: Instant,
        subscriber: SubscriberHandle,
        subscription: Subscription,
        sinks: &[SinkParameters],
    ) -> Outcome {
        let Subscription {
            router,
            transport,
            publisher,
        } = subscription;
        self.check_transport(router, transport)?;
        if self.subscriptions.contains_key(&subscriber) {
            return Err(HANDLE_TAKEN);
        }
        self.forward(router, |session| {
            session.subscribe(now, subscriber, publisher, transport, sinks)
        })?;
        self.subscriptions.insert(subscriber, subscription);
        Ok(())
    }

    /// A transport is used by its own session only.
    fn check_transport(&self, router: RouterHandle, transport: TransportHandle) -> Outcome {
        let found = self.transports.get(transport).ok_or(UNKNOWN_HANDLE)?;
        if found.router == router {
            Ok(())
        } else {
            Err(UNKNOWN_HANDLE)
        }
    }

    fn with_publisher(
        &mut self,
        publisher: PublisherHandle,
        act: impl FnOnce(&mut SessionRouter) -> Result<(), ForwardError>,
    ) -> Outcome {
        let router = self
            .publications
            .get(&publisher)
            .ok_or(UNKNOWN_HANDLE)?
            .router;
        self.forward(router, act)
    }

    fn with_subscriber(
        &mut self,
        subscriber: SubscriberHandle,
        act: impl FnOnce(&mut SessionRouter) -> Result<(), ForwardError>,
    ) -> Outcome {
        let router = self
            .subscriptions
            .get(&subscriber)
            .ok_or(UNKNOWN_HANDLE)?
            .router;
        self.forward(router, act)
    }

    fn forward(
        &mut self,
        router: RouterHandle,
        act: impl FnOnce(&mut SessionRouter) -> Result<(), ForwardError>,
    ) -> Outcome {
        let outcome = self.with_session(router, |session, _| act(&mut session.router));
        outcome.ok_or(UNKNOWN_HANDLE)?.map_err(ForwardError::name)
    }

    fn dump(&self, now: Instant, handle: RouterHandle) -> Option<Value> {
        let session = self.sessions.get(&handle)?;
        let own = self
            .transports
            .iter()
            .filter(|(_, transport)| transport.router == handle);
        Some(json!({
            "router": handle.0,
            "transports": own.map(|(handle, transport)| transport.dump(handle, now)).collect::<Vec<_>>(),
            "forwarding": session.router.dump(),
        }))
    }
}
