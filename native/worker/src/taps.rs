//! All taps of a worker, and the descriptor that becomes readable when one needs service.

use std::io;
use std::mem::MaybeUninit;
use std::os::fd::{AsFd, BorrowedFd, OwnedFd};
use std::time::Instant;

use rustix::event::{Timespec, epoll};
use sealroute_forward::{ClearMedia, TransportHandle};

use crate::api::RouterHandle;
use crate::handles::HandleMap;
use crate::host_clock::HostClock;
use crate::local_socket::LocalSocket;
use crate::network_counters::NetworkCounters;
use crate::tap::{Reader, Tap};
use crate::tap_uplink::Received;

/// Taps served per call; the others follow with the next one.
const SERVED_AT_ONCE: usize = 16;

/// Something that the session of a tap has to know.
#[derive(Debug, PartialEq, Eq)]
pub(crate) struct Change {
    pub(crate) router: RouterHandle,
    pub(crate) transport: TransportHandle,
    pub(crate) what: What,
}

#[derive(Debug, PartialEq, Eq)]
pub(crate) enum What {
    Reader(Reader),
    /// The track of this SSRC needs a key frame.
    KeyFrame(u32),
    /// An RTP packet to publish.
    Packet(Vec<u8>),
}

/// A tap and its place in the poller's table.
struct Watched {
    token: u64,
    transport: TransportHandle,
    tap: Tap,
}

impl Watched {
    /// Waits for records of the reader, and for room while there is none.
    fn flags(&self) -> epoll::EventFlags {
        match self.tap.reader() {
            Reader::KeepsUp => epoll::EventFlags::IN,
            Reader::Behind | Reader::Gone | Reader::Floods => {
                epoll::EventFlags::IN | epoll::EventFlags::OUT
            }
        }
    }
}

/// All taps. A closed one stays until its reader has room for the last records.
pub(crate) struct Taps {
    poller: OwnedFd,
    open: HandleMap<TransportHandle, Watched>,
    ending: Vec<Watched>,
    next_token: u64,
    clock: HostClock,
    now_us: u64,
    changes: Vec<Change>,
}

impl Taps {
    pub(crate) fn new(clock: HostClock) -> io::Result<Self> {
        Ok(Self {
            poller: epoll::create(epoll::CreateFlags::CLOEXEC)?,
            open: HandleMap::default(),
            ending: Vec::new(),
            next_token: 0,
            clock,
            now_us: 0,
            changes: Vec::new(),
        })
    }

    pub(crate) fn len(&self) -> usize {
        self.open.len()
    }

    pub(crate) fn contains(&self, transport: TransportHandle) -> bool {
        self.open.contains_key(&transport)
    }

    pub(crate) fn router_of(&self, transport: TransportHandle) -> Option<RouterHandle> {
        Some(self.open.get(&transport)?.tap.router)
    }

    pub(crate) fn iter(&self) -> impl Iterator<Item = (TransportHandle, &Tap)> {
        self.open
            .iter()
            .map(|(handle, watched)| (*handle, &watched.tap))
    }

    /// The time of what is queued from now on.
    pub(crate) fn set_time(&mut self, now: Instant) {
        if !self.open.is_empty() {
            self.now_us = self.clock.us(now);
        }
    }

    /// Opens a tap. The handle is not in use.
    pub(crate) fn open(
        &mut self,
        clear: ClearMedia,
        router: RouterHandle,
        transport: TransportHandle,
        socket: LocalSocket,
    ) -> io::Result<()> {
        self.next_token += 1;
        let watched = Watched {
            token: self.next_token,
            transport,
            tap: Tap::new(clear, router, socket),
        };
        let data = epoll::EventData::new_u64(watched.token);
        epoll::add(&self.poller, watched.tap.socket(), data, watched.flags())?;
        self.open.insert(transport, watched);
        Ok(())
    }

    /// Closes a tap after its last record.
    pub(crate) fn close(&mut self, transport: TransportHandle, counters: &mut NetworkCounters) {
        let Some(mut watched) = self.open.remove(&transport) else {
            return;
        };
        self.changes.retain(|change| change.transport != transport);
        watched.tap.end(self.now_us);
        watched.tap.flush(self.now_us, counters);
        if watched.tap.has_work() && watched.tap.reader() == Reader::Behind {
            self.watch(&watched);
            self.ending.push(watched);
        } else {
            self.forget(&watched);
        }
    }

    /// Queues an RTP packet for a tap. Returns whether the transport is one.
    pub(crate) fn rtp(
        &mut self,
        transport: TransportHandle,
        packet: [&[u8]; 2],
        counters: &mut NetworkCounters,
    ) -> bool {
        let (now_us, [header, payload]) = (self.now_us, packet);
        self.with(transport, counters, |tap, counters| {
            tap.rtp(now_us, header, payload, counters);
        })
    }

    /// As `rtp`, for an RTCP compound.
    pub(crate) fn rtcp(
        &mut self,
        transport: TransportHandle,
        compound: &[u8],
        counters: &mut NetworkCounters,
    ) -> bool {
        let now_us = self.now_us;
        self.with(transport, counters, |tap, counters| {
            tap.rtcp(now_us, compound, counters);
        })
    }

    fn with(
        &mut self,
        transport: TransportHandle,
        counters: &mut NetworkCounters,
        act: impl FnOnce(&mut Tap, &mut NetworkCounters),
    ) -> bool {
        let Some(watched) = self.open.get_mut(&transport) else {
            return false;
        };
        act(&mut watched.tap, counters);
        if watched.tap.is_batch_full() {
            self.flush_one(transport, counters);
        }
        true
    }

    /// Queues a record of the control plane. `None`: no such tap; false: no room.
    pub(crate) fn json(&mut self, transport: TransportHandle, body: &[u8]) -> Option<bool> {
        let now_us = self.now_us;
        let watched = self.open.get_mut(&transport)?;
        Some(watched.tap.json(now_us, body))
    }

    /// The router withheld packets of a track.
    pub(crate) fn lose(&mut self, transport: TransportHandle, ssrc: u32, packets: u32) {
        if let Some(watched) = self.open.get_mut(&transport) {
            watched.tap.lose(ssrc, packets);
        }
    }

    /// Writes everything that is queued.
    pub(crate) fn flush(&mut self, counters: &mut NetworkCounters) {
        if self.open.is_empty() {
            return;
        }
        let ready = self.open.values().filter(|watched| watched.tap.has_work());
        let keeping_up = ready.filter(|watched| !watched.tap.reader().is_over());
        for transport in keeping_up
            .map(|watched| watched.transport)
            .collect::<Vec<_>>()
        {
            self.flush_one(transport, counters);
        }
    }

    fn flush_one(&mut self, transport: TransportHandle, counters: &mut NetworkCounters) {
        let Some(watched) = self.open.get_mut(&transport) else {
            return;
        };
        if let Some(reader) = watched.tap.flush(self.now_us, counters) {
            self.note(transport, reader);
        }
    }

    fn note(&mut self, transport: TransportHandle, reader: Reader) {
        let Some(watched) = self.open.get(&transport) else {
            return;
        };
        if reader.is_over() {
            self.forget(watched);
        } else {
            self.watch(watched);
        }
        self.changes.push(Change {
            router: watched.tap.router,
            transport,
            what: What::Reader(reader),
        });
    }

    /// Only a descriptor that is watched already is modified, so it does not fail.
    fn watch(&self, watched: &Watched) {
        let data = epoll::EventData::new_u64(watched.token);
        let _ = epoll::modify(&self.poller, watched.tap.socket(), data, watched.flags());
    }

    /// A closed end would be ready for ever, and so would one whose reader floods. It is forgotten
    /// already if its reader went before.
    fn forget(&self, watched: &Watched) {
        let _ = epoll::delete(&self.poller, watched.tap.socket());
    }

    /// What the sessions have to know, in order.
    pub(crate) fn take_changes(&mut self) -> Vec<Change> {
        std::mem::take(&mut self.changes)
    }

    /// Serves the taps that are ready: reads what readers sent, and writes where there is room.
    pub(crate) fn serve(&mut self, now: Instant, counters: &mut NetworkCounters) {
        self.now_us = self.clock.us(now);
        let mut room = [const { MaybeUninit::<epoll::Event>::uninit() }; SERVED_AT_ONCE];
        let none = Timespec::default();
        // Only an interrupted call fails, and is repeated with the next wait.
        let Ok((events, _)) = epoll::wait(&self.poller, &mut room[..], Some(&none)) else {
            return;
        };
        for event in events {
            self.serve_one(event.data.u64(), counters);
        }
    }

    fn serve_one(&mut self, token: u64, counters: &mut NetworkCounters) {
        let of_it = |watched: &Watched| watched.token == token;
        let Some(watched) = self.open.values_mut().find(|watched| of_it(watched)) else {
            return self.serve_ending(token, counters);
        };
        let (transport, router) = (watched.transport, watched.tap.router);
        let mut received = Received::default();
        let over = watched.tap.receive(self.now_us, &mut received, counters);
        let requested = received.requested.into_iter().map(What::KeyFrame);
        let whats = requested.chain(received.packets.into_iter().map(What::Packet));
        self.changes.extend(whats.map(|what| Change {
            router,
            transport,
            what,
        }));
        if let Some(reader) = over {
            watched.tap.on_over(reader);
            self.note(transport, reader);
        } else {
            self.flush_one(transport, counters);
        }
    }

    fn serve_ending(&mut self, token: u64, counters: &mut NetworkCounters) {
        let found = self.ending.iter().position(|one| one.token == token);
        let Some(watched) = found.and_then(|at| self.ending.get_mut(at)) else {
            return;
        };
        // What it publishes has ended with the tap.
        let mut ignored = Received::default();
        let over = watched.tap.receive(self.now_us, &mut ignored, counters);
        if let Some(reader) = over {
            watched.tap.on_over(reader);
        } else {
            watched.tap.flush(self.now_us, counters);
        }
        let is_done = !watched.tap.has_work() || watched.tap.reader().is_over();
        if let (true, Some(at)) = (is_done, found) {
            let watched = self.ending.swap_remove(at);
            self.forget(&watched);
        }
    }
}

impl AsFd for Taps {
    fn as_fd(&self) -> BorrowedFd<'_> {
        self.poller.as_fd()
    }
}
