//! The worker thread: waits for I/O and deadlines, reads the clock once per batch, and drives the
//! core. It never panics on input.

use std::collections::VecDeque;
use std::fmt;
use std::io;
use std::net::SocketAddr;
use std::os::fd::{AsFd, RawFd};
use std::sync::mpsc::{SyncSender, sync_channel};
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};
use std::thread::{self, JoinHandle};
use std::time::{Duration, Instant};

use rustix::time::{ClockId, clock_gettime};

use crate::api::{Command, Event, RouterHandle, Snapshot, WorkerSettings};
use crate::core::{Core, CoreSettings};
use crate::event_ring::EventRing;
use crate::host_clock::HostClock;
use crate::network_counters::SharedCounters;
use crate::poller::{Poller, Ready};
use crate::priority::prefer_this_thread;
use crate::receive_coalescing::{ReceiveCoalescing, WAIT};
use crate::socket::ReceiveBatch;
use crate::sockets::Sockets;
use crate::taps::Taps;
use crate::tcp::{TcpBatch, TcpConnections};
use crate::trunk_ring::{Doorbell, ring};
use crate::trunks::Link;

/// The worker thread has ended.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Ended;

impl fmt::Display for Ended {
    fn fmt(&self, formatter: &mut fmt::Formatter<'_>) -> fmt::Result {
        formatter.write_str("the worker has ended")
    }
}

impl std::error::Error for Ended {}

/// A request of the owner to the thread.
#[derive(Debug)]
enum Request {
    Command(Command),
    /// The reply is `None` if the session does not exist.
    Snapshot {
        router: RouterHandle,
        reply: SyncSender<Option<Snapshot>>,
    },
    /// Another worker was joined to this one.
    Link(Box<Link>),
    Stop,
}

#[derive(Default)]
struct Inbox {
    requests: Vec<Request>,
    /// The thread was signaled and has not taken the requests yet.
    is_signaled: bool,
    ended: bool,
}

/// State shared by the thread and its owner.
struct Shared {
    inbox: Mutex<Inbox>,
    bell: Arc<Doorbell>,
    events: Arc<EventRing>,
    counters: Arc<SharedCounters>,
}

impl Shared {
    fn new(event_ring_size: usize) -> io::Result<Self> {
        Ok(Self {
            inbox: Mutex::default(),
            bell: Arc::new(Doorbell::new()?),
            events: Arc::new(EventRing::new(event_ring_size)?),
            counters: Arc::new(SharedCounters::new()),
        })
    }

    fn inbox(&self) -> MutexGuard<'_, Inbox> {
        // Every critical section leaves the inbox consistent, so a poisoned lock is still usable.
        self.inbox.lock().unwrap_or_else(PoisonError::into_inner)
    }

    fn take_requests(&self) -> Vec<Request> {
        self.bell.wakeup().clear();
        let mut inbox = self.inbox();
        inbox.is_signaled = false;
        std::mem::take(&mut inbox.requests)
    }

    /// Appends a request, which waits for the next `wake`.
    fn push(&self, request: Request) -> Result<MutexGuard<'_, Inbox>, Ended> {
        let mut inbox = self.inbox();
        if inbox.ended {
            return Err(Ended);
        }
        inbox.requests.push(request);
        Ok(inbox)
    }

    /// One signal for all requests that wait.
    fn wake(&self, mut inbox: MutexGuard<'_, Inbox>) {
        if !inbox.requests.is_empty() && !inbox.is_signaled {
            inbox.is_signaled = true;
            self.bell.wakeup().signal();
        }
    }
}

/// The owner's handle of a worker: commands in, events out. Dropping it ends the thread.
pub struct Worker {
    shared: Arc<Shared>,
    local: SocketAddr,
    thread: Mutex<Option<JoinHandle<()>>>,
}

impl Worker {
    /// Binds the socket and starts the thread.
    ///
    /// # Errors
    /// System errors: the address is in use or not local, or no descriptors are left.
    pub fn start(settings: WorkerSettings) -> io::Result<Self> {
        let address = SocketAddr::new(settings.host, settings.port);
        let buffer_bytes = settings.receive_buffer_bytes;
        let sockets = Sockets::bind(address, buffer_bytes, settings.tcp)?;
        let local = sockets.udp.local();
        let shared = Arc::new(Shared::new(settings.event_ring_size)?);
        let taps = Taps::new(HostClock::read())?;
        let poller = Poller::new(
            sockets.udp.as_fd(),
            shared.bell.wakeup(),
            sockets.connections_fd(),
            taps.as_fd(),
        )?;
        let core_settings = CoreSettings {
            consent_timeout: settings.consent_timeout(),
            forward: settings.forward(),
            cpu_us: thread_cpu_us,
        };
        let (events, counters) = (Arc::clone(&shared.events), Arc::clone(&shared.counters));
        let core = Core::new(core_settings, sockets, taps, events, counters);
        let guard = EndGuard {
            shared: Arc::clone(&shared),
            stop_requested: false,
        };
        let thread = thread::Builder::new()
            .name("media-worker".to_owned())
            .spawn(move || {
                prefer_this_thread();
                run(core, &poller, guard);
            })?;
        Ok(Self {
            shared,
            local,
            thread: Mutex::new(Some(thread)),
        })
    }

    /// The local address of the media port.
    pub fn local_address(&self) -> SocketAddr {
        self.local
    }

    /// Queues a command. Commands are applied in order.
    ///
    /// # Errors
    /// [`Ended`] after `close`, or if the thread ended by itself.
    pub fn submit(&self, command: Command) -> Result<(), Ended> {
        self.send(Request::Command(command))
    }

    /// Queues a command without waking the thread: call `flush` soon. Each wakeup takes the
    /// caller's core away for a moment, so commands that follow each other share one.
    ///
    /// # Errors
    /// As for `submit`.
    pub fn queue(&self, command: Command) -> Result<(), Ended> {
        self.shared.push(Request::Command(command)).map(drop)
    }

    /// Wakes the thread if commands wait.
    pub fn flush(&self) {
        self.shared.wake(self.shared.inbox());
    }

    fn send(&self, request: Request) -> Result<(), Ended> {
        let inbox = self.shared.push(request)?;
        self.shared.wake(inbox);
        Ok(())
    }

    /// Joins another worker by a ring in each direction, once: sessions can be forwarded by both.
    /// Each calls the other by the number given here. A command that needs the rings may follow at
    /// once.
    ///
    /// # Errors
    /// [`Ended`] after the end of either.
    pub fn link(&self, own_number: u32, other: &Self, number: u32) -> Result<(), Ended> {
        let (to_other, from_self) = ring(Arc::clone(&other.shared.bell));
        let (to_self, from_other) = ring(Arc::clone(&self.shared.bell));
        let link = |worker, writer, reader| {
            Request::Link(Box::new(Link {
                worker,
                writer,
                reader,
            }))
        };
        self.send(link(number, to_other, from_other))?;
        other.send(link(own_number, to_self, from_self))
    }

    /// An eventfd that is readable while events are waiting.
    pub fn events_fd(&self) -> RawFd {
        self.shared.events.as_raw_fd()
    }

    /// Takes all waiting events.
    pub fn drain(&self) -> VecDeque<Event> {
        self.shared.events.drain()
    }

    /// All counters by name, at most about 20 ms old.
    pub fn counters(&self) -> Vec<(&str, u64)> {
        self.shared.counters.read()
    }

    /// The state of a session. Blocks until the thread replies.
    ///
    /// # Errors
    /// [`Ended`].
    pub fn snapshot(&self, router: RouterHandle) -> Result<Option<Snapshot>, Ended> {
        let (reply, answer) = sync_channel(1);
        self.send(Request::Snapshot { router, reply })?;
        answer.recv().map_err(|_| Ended)
    }

    /// Ends the thread and closes the socket. Idempotent.
    pub fn close(&self) {
        let thread = self
            .thread
            .lock()
            .unwrap_or_else(PoisonError::into_inner)
            .take();
        if let Some(thread) = thread {
            // If the thread has already ended, there is nothing to stop.
            let _ = self.send(Request::Stop);
            let _ = thread.join();
        }
    }
}

impl Drop for Worker {
    fn drop(&mut self) {
        self.close();
    }
}

/// Notifies the owner when the thread ends, however it ends.
struct EndGuard {
    shared: Arc<Shared>,
    stop_requested: bool,
}

impl Drop for EndGuard {
    fn drop(&mut self) {
        let unanswered = {
            let mut inbox = self.shared.inbox();
            inbox.ended = true;
            std::mem::take(&mut inbox.requests)
        };
        // Dropping the requests wakes the callers that wait for a reply.
        drop(unanswered);
        if !self.stop_requested {
            let (command, handle, reason) = ("worker", 0, "thread_ended");
            self.shared.events.push(Event::CommandFailed {
                command,
                handle,
                reason,
            });
        }
    }
}

fn run(mut core: Core<Sockets>, poller: &Poller, mut guard: EndGuard) {
    let mut intake = Intake::default();
    // Any other end is a system error: the socket or epoll is permanently broken.
    while let Ok(proceed) = run_once(&mut core, poller, &guard.shared, &mut intake) {
        if !proceed {
            guard.stop_requested = true;
            break;
        }
    }
}

/// The receive side: buffers, and the decision whether to wait for a burst.
#[derive(Default)]
struct Intake {
    datagrams: ReceiveBatch,
    connected: TcpBatch,
    coalescing: ReceiveCoalescing,
}

impl Intake {
    /// Handles the waiting datagrams and, if a burst has started, those that follow shortly.
    /// Returns the time afterwards.
    fn receive(&mut self, core: &mut Core<Sockets>, now: Instant) -> io::Result<Instant> {
        self.receive_once(core, now)?;
        let before = core.burst();
        if !before.is_started() || !self.coalescing.should_wait() {
            return Ok(now);
        }
        thread::sleep(WAIT);
        let now = Instant::now();
        self.receive_once(core, now)?;
        self.coalescing
            .on_waited(core.burst().has_grown_since(before));
        Ok(now)
    }

    fn receive_once(&mut self, core: &mut Core<Sockets>, now: Instant) -> io::Result<()> {
        let count = self.datagrams.receive(&core.socket().udp)?;
        for index in 0..count {
            let (datagram, path) = self.datagrams.datagram(index);
            core.handle_datagram(now, path, datagram);
        }
        Ok(())
    }
}

/// Waits once and handles what became ready. Returns whether to continue.
fn run_once(
    core: &mut Core<Sockets>,
    poller: &Poller,
    shared: &Shared,
    intake: &mut Intake,
) -> io::Result<bool> {
    let tcp = core.socket().tcp.as_ref();
    let sweep = tcp.and_then(TcpConnections::poll_timeout);
    let timeout = core
        .poll_timeout()
        .into_iter()
        .chain(sweep)
        .min()
        .map(|at| at.saturating_duration_since(Instant::now()));
    let ready = sleep(core, poller, shared, timeout)?;
    let mut now = Instant::now();
    if ready.wakeup {
        for request in shared.take_requests() {
            match request {
                Request::Command(command) => core.apply(now, command),
                // A closed channel means that the caller is gone.
                Request::Snapshot { router, reply } => {
                    let _ = reply.send(core.snapshot(now, router));
                }
                Request::Link(link) => core.trunks.link(*link),
                Request::Stop => {
                    core.end_batch(now);
                    core.publish_counters();
                    return Ok(false);
                }
            }
        }
    }
    if ready.socket {
        now = intake.receive(core, now)?;
    }
    let connections = ready.connections || sweep.is_some_and(|at| at <= now);
    if connections {
        serve_connections(core, now, &mut intake.connected);
    }
    if ready.taps {
        core.serve_taps(now);
    }
    if ready.socket || ready.wakeup || ready.taps || connections {
        core.end_batch(now);
    }
    core.serve_trunks(now);
    core.handle_timeout(now);
    Ok(true)
}

/// Waits, but not while another worker's packets wait.
fn sleep(
    core: &Core<Sockets>,
    poller: &Poller,
    shared: &Shared,
    timeout: Option<Duration>,
) -> io::Result<Ready> {
    if !core.trunks.is_linked() {
        return poller.wait(timeout);
    }
    shared.bell.lie_down();
    let timeout = if core.trunks.has_waiting() {
        Some(Duration::ZERO)
    } else {
        timeout
    };
    let ready = poller.wait(timeout);
    shared.bell.get_up();
    ready
}

/// The CPU time of the calling thread.
fn thread_cpu_us() -> u64 {
    let time = clock_gettime(ClockId::ThreadCPUTime);
    time.tv_sec as u64 * 1_000_000 + time.tv_nsec as u64 / 1_000
}

fn serve_connections(core: &mut Core<Sockets>, now: Instant, batch: &mut TcpBatch) {
    let Some(tcp) = &mut core.socket_mut().tcp else {
        return;
    };
    tcp.receive(now, batch);
    let (open, totals) = (tcp.len() as u64, tcp.counters());
    core.counters.tcp_connections = open;
    core.counters.tcp_accepted = totals.accepted;
    core.counters.tcp_refused = totals.refused;
    core.counters.tcp_bad_frames = totals.bad_frames;
    core.counters.tcp_expired = totals.expired;
    core.counters.tcp_gave_way = totals.gave_way;
    for (path, packet) in batch.packets() {
        core.handle_datagram(now, Some(path), packet);
    }
    for peer in batch.ended() {
        core.handle_connection_end(*peer);
    }
}

#[cfg(test)]
#[path = "worker_tests.rs"]
mod tests;
