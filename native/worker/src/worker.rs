//! The thread around the state: waits, reads the clock once per batch, never panics on input.

use std::collections::VecDeque;
use std::fmt;
use std::io;
use std::net::SocketAddr;
use std::os::fd::RawFd;
use std::sync::mpsc::{SyncSender, sync_channel};
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};
use std::thread::{self, JoinHandle};
use std::time::Instant;

use crate::api::{Command, Event, RouterHandle, Snapshot, WorkerSettings};
use crate::core::{Core, CoreSettings};
use crate::event_ring::EventRing;
use crate::network_counters::SharedCounters;
use crate::priority::prefer_this_thread;
use crate::receive_coalescing::{ReceiveCoalescing, WAIT};
use crate::socket::{Poller, ReceiveBatch, Wakeup};
use crate::sockets::Sockets;
use crate::tcp::{TcpBatch, TcpConnections};

/// The worker's thread is no more.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Ended;

impl fmt::Display for Ended {
    fn fmt(&self, formatter: &mut fmt::Formatter<'_>) -> fmt::Result {
        formatter.write_str("the worker has ended")
    }
}

impl std::error::Error for Ended {}

/// What the owner wants of the thread.
#[derive(Debug)]
enum Request {
    Command(Command),
    /// `None` where there is no such session.
    Snapshot {
        router: RouterHandle,
        reply: SyncSender<Option<Snapshot>>,
    },
    Stop,
}

#[derive(Default)]
struct Inbox {
    requests: Vec<Request>,
    ended: bool,
}

/// What the thread shares with its owner.
struct Shared {
    inbox: Mutex<Inbox>,
    wakeup: Wakeup,
    events: Arc<EventRing>,
    counters: Arc<SharedCounters>,
}

impl Shared {
    fn new(event_ring_size: usize) -> io::Result<Self> {
        Ok(Self {
            inbox: Mutex::default(),
            wakeup: Wakeup::new()?,
            events: Arc::new(EventRing::new(event_ring_size)?),
            counters: Arc::new(SharedCounters::new()),
        })
    }

    fn inbox(&self) -> MutexGuard<'_, Inbox> {
        // Every critical section leaves the inbox whole, so a poisoned lock is still good.
        self.inbox.lock().unwrap_or_else(PoisonError::into_inner)
    }

    fn take_requests(&self) -> Vec<Request> {
        self.wakeup.clear();
        std::mem::take(&mut self.inbox().requests)
    }
}

/// The owner's side of a worker: commands in, events out. Dropping it ends the thread.
pub struct Worker {
    shared: Arc<Shared>,
    local: SocketAddr,
    thread: Mutex<Option<JoinHandle<()>>>,
}

impl Worker {
    /// Binds the socket and starts the thread.
    ///
    /// # Errors
    /// Those of the system: the address is in use or not ours, no descriptors are left.
    pub fn start(settings: WorkerSettings) -> io::Result<Self> {
        let address = SocketAddr::new(settings.host, settings.port);
        let buffer_bytes = settings.receive_buffer_bytes;
        let sockets = Sockets::bind(address, buffer_bytes, settings.tcp)?;
        let local = sockets.udp.local();
        let shared = Arc::new(Shared::new(settings.event_ring_size)?);
        let poller = Poller::new(&sockets.udp, &shared.wakeup, sockets.connections_fd())?;
        let core_settings = CoreSettings {
            consent_timeout: settings.consent_timeout(),
            forward: settings.forward(),
        };
        let (events, counters) = (Arc::clone(&shared.events), Arc::clone(&shared.counters));
        let core = Core::new(core_settings, sockets, events, counters);
        let guard = EndGuard {
            shared: Arc::clone(&shared),
            asked_to: false,
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

    /// Where media arrives.
    pub fn local_address(&self) -> SocketAddr {
        self.local
    }

    /// Queues a command; commands are applied in order.
    ///
    /// # Errors
    /// [`Ended`] after `close`, or if the thread ended by itself.
    pub fn submit(&self, command: Command) -> Result<(), Ended> {
        self.send(Request::Command(command))
    }

    fn send(&self, request: Request) -> Result<(), Ended> {
        let mut inbox = self.shared.inbox();
        if inbox.ended {
            return Err(Ended);
        }
        inbox.requests.push(request);
        if inbox.requests.len() == 1 {
            self.shared.wakeup.signal();
        }
        Ok(())
    }

    /// An eventfd that is readable while events wait.
    pub fn events_fd(&self) -> RawFd {
        self.shared.events.as_raw_fd()
    }

    /// Takes the waiting events.
    pub fn drain(&self) -> VecDeque<Event> {
        self.shared.events.drain()
    }

    /// All totals by name; at most some 20 ms old.
    pub fn counters(&self) -> Vec<(&str, u64)> {
        self.shared.counters.read()
    }

    /// Everything known of a session. Waits for the thread.
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
            // Where the thread has ended already there is nothing to stop.
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

/// Tells the owner when the thread ends, however it ends.
struct EndGuard {
    shared: Arc<Shared>,
    asked_to: bool,
}

impl Drop for EndGuard {
    fn drop(&mut self) {
        let unanswered = {
            let mut inbox = self.shared.inbox();
            inbox.ended = true;
            std::mem::take(&mut inbox.requests)
        };
        // Whoever waits for the answer to one of these learns that none will come.
        drop(unanswered);
        if !self.asked_to {
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
    // Only the system can end it otherwise: the socket or epoll is broken for good.
    while let Ok(proceed) = turn(&mut core, poller, &guard.shared, &mut intake) {
        if !proceed {
            guard.asked_to = true;
            break;
        }
    }
}

/// Where packets come in.
#[derive(Default)]
struct Intake {
    datagrams: ReceiveBatch,
    connected: TcpBatch,
    coalescing: ReceiveCoalescing,
}

impl Intake {
    /// Takes the datagrams that wait, and those of a burst that has begun; the time after it.
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

/// One wait and what it brought; whether to go on.
fn turn(
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
    let ready = poller.wait(timeout)?;
    let mut now = Instant::now();
    if ready.wakeup {
        for request in shared.take_requests() {
            match request {
                Request::Command(command) => core.apply(now, command),
                // Nobody waits any longer where the channel is closed.
                Request::Snapshot { router, reply } => {
                    let _ = reply.send(core.snapshot(now, router));
                }
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
    if ready.socket || ready.wakeup || connections {
        core.end_batch(now);
    }
    core.handle_timeout(now);
    Ok(true)
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
mod tests {
    use super::*;
    use crate::api::CloseRouter;

    /// A worker whose thread does `act` instead of its work.
    fn worker_of(act: impl FnOnce(EndGuard) + Send + 'static) -> Worker {
        let shared = Arc::new(Shared::new(8).unwrap());
        let guard = EndGuard {
            shared: Arc::clone(&shared),
            asked_to: false,
        };
        let thread = thread::spawn(move || act(guard));
        let local = SocketAddr::from(([127, 0, 0, 1], 9));
        Worker {
            shared,
            local,
            thread: Mutex::new(Some(thread)),
        }
    }

    #[test]
    fn a_thread_that_ends_by_itself_is_told_and_leaves_nobody_waiting() {
        let (go, wait) = sync_channel::<()>(0);
        let worker = worker_of(move |guard| {
            let _guard = guard;
            let _ = wait.recv();
            // Not `panic!`: its message would look like a failure in the test's output.
            std::panic::resume_unwind(Box::new(()));
        });
        let router = RouterHandle(1);
        let answer = thread::scope(|scope| {
            let asking = scope.spawn(|| worker.snapshot(router));
            while worker.shared.inbox().requests.is_empty() {
                thread::yield_now();
            }
            drop(go);
            asking.join().unwrap()
        });
        assert_eq!(answer.err(), Some(Ended));
        assert_eq!(
            worker.submit(Command::CloseRouter(CloseRouter { router })),
            Err(Ended)
        );
        let told = Event::CommandFailed {
            command: "worker",
            handle: 0,
            reason: "thread_ended",
        };
        // The thread tells after it refuses commands.
        worker.close();
        assert_eq!(Vec::from(worker.drain()), [told]);
    }

    #[test]
    fn a_worker_that_is_closed_says_nothing_of_it() {
        let worker = Worker::start(WorkerSettings {
            host: [127, 0, 0, 1].into(),
            event_ring_size: 8,
            ..WorkerSettings::default()
        })
        .unwrap();
        worker.close();
        assert!(worker.drain().is_empty());
        assert_eq!(worker.snapshot(RouterHandle(1)).err(), Some(Ended));
    }
}
