//! The worker's state: datagrams, commands and time in; events and protected datagrams out.
//!
//! It owns no clock and never blocks, so tests drive it in virtual time.

use std::sync::Arc;
use std::time::{Duration, Instant};

use sealroute_forward::{ForwardSettings, SessionRouter, TransportHandle};
use sealroute_transport::{PacketKind, SharedDtlsGate, SrtpError, classify};

use crate::api::Event;
use crate::api::RouterHandle;
use crate::deadlines::Deadlines;
use crate::drop_reason::NetworkDrop;
use crate::egress::{Egress, MessageSocket};
use crate::event_ring::EventRing;
use crate::handles::HandleMap;
use crate::network_counters::{NetworkCounters, SharedCounters};
use crate::not_sent;
use crate::path::Path;
use crate::receive_coalescing::Burst;
use crate::session_index::SessionIndex;
use crate::srtp_outbox::SrtpOutbox;
use crate::taps::Taps;
use crate::transports::Transports;
use crate::trunks::Trunks;
use crate::unverified_peers::UnverifiedPeers;

/// How stale the counters that other threads read may be.
const PUBLISH_INTERVAL: Duration = Duration::from_millis(20);

/// Settings of a worker's core.
#[derive(Clone, Copy, Debug)]
pub(crate) struct CoreSettings {
    /// Consent expires this long after the last valid check (RFC 7675).
    pub(crate) consent_timeout: Duration,
    pub(crate) forward: ForwardSettings,
    /// Tells the CPU time of the thread so far, in microseconds.
    pub(crate) cpu_us: fn() -> u64,
}

/// One session: its router, and the counters of it that are published.
pub(crate) struct Session {
    pub(crate) router: SessionRouter,
    pub(crate) touched: bool,
    pub(crate) unpublished: bool,
    pub(crate) published: Vec<u64>,
}

#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash, PartialOrd, Ord)]
pub(crate) enum Timer {
    Session(RouterHandle),
    Consent(TransportHandle),
    Reach(TransportHandle),
    Probe(TransportHandle),
    PublishCounters,
}

/// All state of one worker.
pub(crate) struct Core<S> {
    pub(crate) settings: CoreSettings,
    pub(crate) sessions: HandleMap<RouterHandle, Session>,
    pub(crate) transports: Transports,
    pub(crate) taps: Taps,
    pub(crate) trunks: Trunks,
    pub(crate) session_index: SessionIndex,
    pub(crate) timers: Deadlines<Timer>,
    pub(crate) egress: Egress<S>,
    pub(crate) counters: NetworkCounters,
    pub(crate) events: Arc<EventRing>,
    pub(crate) shared: Arc<SharedCounters>,
    pub(crate) unverified_peers: UnverifiedPeers,
    /// Created with the first DTLS datagram.
    pub(crate) dtls: Option<SharedDtlsGate>,
    touched: Vec<RouterHandle>,
    burst: Burst,
    /// Sessions whose counters changed since they were last published.
    unpublished: Vec<RouterHandle>,
}

impl<S: MessageSocket> Core<S> {
    pub(crate) fn new(
        settings: CoreSettings,
        socket: S,
        taps: Taps,
        events: Arc<EventRing>,
        shared: Arc<SharedCounters>,
    ) -> Self {
        Self {
            settings,
            sessions: HandleMap::default(),
            transports: Transports::default(),
            taps,
            trunks: Trunks::default(),
            session_index: SessionIndex::default(),
            timers: Deadlines::new(),
            egress: Egress::new(socket),
            counters: NetworkCounters::default(),
            events,
            shared,
            unverified_peers: UnverifiedPeers::default(),
            dtls: None,
            touched: Vec::new(),
            burst: Burst::default(),
            unpublished: Vec::new(),
        }
    }

    pub(crate) fn socket(&self) -> &S {
        self.egress.socket()
    }

    pub(crate) fn socket_mut(&mut self) -> &mut S {
        self.egress.socket_mut()
    }

    /// Handles one datagram. `path` is `None` if the kernel truncated it.
    pub(crate) fn handle_datagram(
        &mut self,
        now: Instant,
        path: Option<Path>,
        datagram: &mut [u8],
    ) {
        self.counters.packets_received += 1;
        self.counters.bytes_received += datagram.len() as u64;
        let outcome = match (path, classify(datagram)) {
            (None, _) => Err(NetworkDrop::Oversize),
            (Some(path), PacketKind::Stun) => self.handle_stun(now, path, datagram),
            (Some(path), PacketKind::Dtls) => self.handle_dtls(now, path.peer(), datagram),
            (Some(path), PacketKind::Rtp) => self.handle_rtp(now, path, datagram),
            (Some(path), PacketKind::Rtcp) => self.handle_rtcp(now, path, datagram),
            (Some(_), PacketKind::Unknown) => Err(NetworkDrop::UnknownFirstByte),
        };
        if let Err(reason) = outcome {
            self.counters.drop_packets(reason, 1);
        }
    }

    /// The media packets of this batch so far.
    pub(crate) fn burst(&self) -> Burst {
        self.burst
    }

    /// Ends a batch: forwards its packets, sends everything, and arms the timers.
    pub(crate) fn end_batch(&mut self, now: Instant) {
        self.taps.set_time(now);
        let mut touched = std::mem::take(&mut self.touched);
        for handle in touched.drain(..) {
            let due = self.run_session(handle, |session, out| {
                session.touched = false;
                session.router.flush(now, out);
                session.router.poll_timeout()
            });
            // Once per batch, because it examines every downlink.
            self.timers.set(Timer::Session(handle), due.flatten());
        }
        self.touched = touched;
        self.burst = Burst::default();
        self.trunks.flush(&mut self.counters);
        self.egress.flush(&mut self.counters);
        not_sent::note_refused(&mut self.transports, self.egress.refused());
        self.flush_taps(now);
        if !self.timers.is_set(Timer::PublishCounters) {
            self.timers
                .set(Timer::PublishCounters, Some(now + PUBLISH_INTERVAL));
        }
    }

    /// When `handle_timeout` is due.
    pub(crate) fn poll_timeout(&self) -> Option<Instant> {
        self.timers.next()
    }

    /// Runs every timer that is due.
    pub(crate) fn handle_timeout(&mut self, now: Instant) {
        let mut did_work = false;
        while let Some(timer) = self.timers.pop_due(now) {
            match timer {
                Timer::Session(handle) => {
                    did_work = true;
                    self.with_session(handle, |session, out| {
                        session.router.handle_timeout(now, out);
                    });
                }
                Timer::Consent(handle) => self.check_consent(now, handle),
                Timer::Reach(handle) => did_work |= self.check_reach(now, handle),
                Timer::Probe(handle) => did_work |= self.probe_due_paths(now, handle),
                Timer::PublishCounters => self.publish_counters(),
            }
        }
        if did_work {
            self.end_batch(now);
        }
    }

    /// Runs `act` on a session with the outbox it sends through. Its timer is rearmed when the
    /// batch ends.
    pub(crate) fn with_session<R>(
        &mut self,
        handle: RouterHandle,
        act: impl FnOnce(&mut Session, &mut SrtpOutbox<'_, S>) -> R,
    ) -> Option<R> {
        let result = self.run_session(handle, act);
        self.touch(handle);
        result
    }

    fn run_session<R>(
        &mut self,
        handle: RouterHandle,
        act: impl FnOnce(&mut Session, &mut SrtpOutbox<'_, S>) -> R,
    ) -> Option<R> {
        let session = self.sessions.get_mut(&handle)?;
        let mut out = SrtpOutbox {
            transports: &mut self.transports,
            taps: &mut self.taps,
            trunks: &mut self.trunks,
            egress: &mut self.egress,
            counters: &mut self.counters,
            events: &self.events,
        };
        let result = act(session, &mut out);
        if !std::mem::replace(&mut session.unpublished, true) {
            self.unpublished.push(handle);
        }
        Some(result)
    }

    /// Marks a session to be flushed at the end of the batch.
    pub(crate) fn touch(&mut self, handle: RouterHandle) {
        if let Some(session) = self.sessions.get_mut(&handle)
            && !std::mem::replace(&mut session.touched, true)
        {
            self.touched.push(handle);
        }
    }

    pub(crate) fn push_event(&mut self, event: Event) {
        if !self.events.push(event) {
            self.counters.events_dropped += 1;
        }
    }

    fn handle_rtp(
        &mut self,
        now: Instant,
        path: Path,
        datagram: &mut [u8],
    ) -> Result<(), NetworkDrop> {
        let Some(handle) = self.transports.by_address(path.peer()) else {
            self.find_migrated_peer(now, path, datagram);
            return Err(NetworkDrop::UnknownAddress);
        };
        let transport = self
            .transports
            .get_mut(handle)
            .ok_or(NetworkDrop::UnknownAddress)?;
        let receiver = transport.receiver.as_mut().ok_or(NetworkDrop::NoKeys)?;
        let length = receiver.unprotect_rtp(datagram).map_err(reason_of)?;
        let is_other_path = !transport.on_packet(now, path);
        let router = transport.router;
        if let Some(session) = self.sessions.get_mut(&router) {
            self.burst.take(handle);
            session.router.handle_rtp(now, handle, &datagram[..length]);
        }
        self.touch(router);
        if is_other_path {
            self.follow_media(now, handle, path);
        }
        Ok(())
    }

    fn handle_rtcp(
        &mut self,
        now: Instant,
        path: Path,
        datagram: &mut [u8],
    ) -> Result<(), NetworkDrop> {
        let Some(handle) = self.transports.by_address(path.peer()) else {
            self.find_migrated_peer(now, path, datagram);
            return Err(NetworkDrop::UnknownAddress);
        };
        let transport = self
            .transports
            .get_mut(handle)
            .ok_or(NetworkDrop::UnknownAddress)?;
        let receiver = transport.receiver.as_mut().ok_or(NetworkDrop::NoKeys)?;
        let length = receiver.unprotect_rtcp(datagram).map_err(reason_of)?;
        let router = transport.router;
        if transport.on_packet(now, path) {
            transport.reach.on_packet(now);
        } else {
            self.follow_media(now, handle, path);
        }
        let compound = &datagram[..length];
        self.taps.set_time(now);
        self.with_session(router, |session, out| {
            session.router.handle_rtcp(now, handle, compound, out);
        });
        Ok(())
    }

    /// Publishes the current counters for other threads.
    pub(crate) fn publish_counters(&mut self) {
        let lost = self.egress.socket_mut().poll_lost();
        self.counters
            .drop_packets(NetworkDrop::ReceiveBufferFull, lost);
        self.counters.transports = self.transports.len() as u64;
        self.counters.taps = self.taps.len() as u64;
        self.counters.trunks = self.trunks.len() as u64;
        self.counters.cpu_us = (self.settings.cpu_us)();
        self.counters.publishers = self.session_index.publishers() as u64;
        self.counters.subscribers = self.session_index.subscribers() as u64;
        self.shared.store_network(&self.counters);
        for handle in self.unpublished.drain(..) {
            if let Some(session) = self.sessions.get_mut(&handle) {
                session.unpublished = false;
                self.shared
                    .add_forward(session.router.counters(), &mut session.published);
            }
        }
    }
}

fn reason_of(error: SrtpError) -> NetworkDrop {
    match error {
        SrtpError::TooShort | SrtpError::Malformed => NetworkDrop::SrtpMalformed,
        SrtpError::BadTag => NetworkDrop::SrtpBadTag,
        SrtpError::Replayed => NetworkDrop::SrtpReplayed,
        SrtpError::TooManyStreams => NetworkDrop::SrtpTooManyStreams,
        _ => NetworkDrop::SrtpRefused,
    }
}

#[cfg(test)]
#[path = "core_bench_tests.rs"]
pub(crate) mod bench;

#[cfg(test)]
#[path = "core_tests.rs"]
mod tests;

#[cfg(test)]
#[path = "allocation_tests.rs"]
mod allocation_tests;
