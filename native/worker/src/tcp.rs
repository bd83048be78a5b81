//! TCP connections for peers whose network blocks UDP (RFC 6544, passive candidates).
//!
//! They have their own epoll instance, which the worker watches as one descriptor: idle connections
//! cost the UDP path nothing.

use std::collections::{BTreeSet, HashMap};
use std::io;
use std::mem::MaybeUninit;
use std::net::{IpAddr, Ipv6Addr, SocketAddr, TcpListener, TcpStream};
use std::num::NonZeroU32;
use std::os::fd::{AsFd, BorrowedFd, OwnedFd};
use std::time::{Duration, Instant};

use rustix::event::{Timespec, epoll};
use sealroute_transport::PeerAddress;

use crate::path::{Message, Path};
use crate::tcp_connection::Connection;
pub(crate) use crate::tcp_connection::{BACKLOG_FULL, BAD_FRAME};

pub(crate) const CONNECTION_GONE: io::ErrorKind = io::ErrorKind::NotConnected;

/// A connection without a valid check is closed after this time.
const UNCONFIRMED_TIME: Duration = Duration::from_secs(10);
const SWEEP_INTERVAL: Duration = Duration::from_secs(1);
/// At this limit the oldest connection without a valid check is closed, so an attacker that opens
/// many connections cannot keep peers out.
const MAX_CONNECTIONS: usize = 4_096;
/// Connections per address: many clients may share one behind a NAT, each with two transports. An
/// IPv6 /64 counts as one address. At this limit too, the oldest connection without a valid check
/// is closed, so a neighbor behind the same NAT cannot keep a client out.
const MAX_PER_PREFIX: usize = 256;
const ACCEPTS_PER_TURN: usize = 16;
const EVENTS_PER_TURN: usize = 64;
/// A larger buffer would only delay what is sent.
const SEND_BUFFER_BYTES: usize = 131_072;
const LISTENER_TOKEN: u64 = 0;

/// Counters of the connections.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub(crate) struct TcpCounters {
    pub(crate) accepted: u64,
    /// Refused: too many connections with valid checks, in total or of one address.
    pub(crate) refused: u64,
    /// Closed: invalid framing, or media before a check.
    pub(crate) bad_frames: u64,
    /// Closed: no valid check in time.
    pub(crate) expired: u64,
    /// Closed at the limit without a valid check, in favor of a new connection.
    pub(crate) gave_way: u64,
}

/// Packets and ended connections of one call to `receive`; its memory is reused.
#[derive(Default)]
pub(crate) struct TcpBatch {
    bytes: Vec<u8>,
    packets: Vec<(Path, usize)>,
    ended: Vec<PeerAddress>,
}

impl TcpBatch {
    fn clear(&mut self) {
        self.bytes.clear();
        self.packets.clear();
        self.ended.clear();
    }

    fn push(&mut self, path: Path, packet: &[u8]) {
        self.bytes.extend_from_slice(packet);
        self.packets.push((path, packet.len()));
    }

    /// The packets in order, mutable in place.
    pub(crate) fn packets(&mut self) -> impl Iterator<Item = (Path, &mut [u8])> {
        let mut rest = self.bytes.as_mut_slice();
        self.packets.iter().map(move |(path, length)| {
            let (packet, behind) = std::mem::take(&mut rest).split_at_mut(*length);
            rest = behind;
            (*path, packet)
        })
    }

    /// Peers whose connection has ended.
    pub(crate) fn ended(&self) -> &[PeerAddress] {
        &self.ended
    }
}

/// The listener and all its connections.
pub(crate) struct TcpConnections {
    listener: TcpListener,
    is_listening: bool,
    epoll: OwnedFd,
    connections: HashMap<NonZeroU32, Connection>,
    per_prefix: HashMap<IpAddr, usize>,
    /// Connections without a valid check, oldest first.
    unconfirmed: BTreeSet<NonZeroU32>,
    limit: usize,
    last_number: u32,
    next_sweep: Option<Instant>,
    counters: TcpCounters,
}

impl TcpConnections {
    /// Listens on `address`; `::` accepts IPv4 too.
    pub(crate) fn bind(address: SocketAddr) -> io::Result<Self> {
        let listener = TcpListener::bind(address)?;
        listener.set_nonblocking(true)?;
        let epoll = epoll::create(epoll::CreateFlags::CLOEXEC)?;
        let mut connections = Self {
            listener,
            is_listening: false,
            epoll,
            connections: HashMap::new(),
            per_prefix: HashMap::new(),
            unconfirmed: BTreeSet::new(),
            limit: MAX_CONNECTIONS,
            last_number: 0,
            next_sweep: None,
            counters: TcpCounters::default(),
        };
        connections.listen()?;
        Ok(connections)
    }

    pub(crate) fn as_fd(&self) -> BorrowedFd<'_> {
        self.epoll.as_fd()
    }

    pub(crate) fn len(&self) -> usize {
        self.connections.len()
    }

    pub(crate) fn counters(&self) -> TcpCounters {
        self.counters
    }

    /// When `receive` is due even if nothing is ready.
    pub(crate) fn poll_timeout(&self) -> Option<Instant> {
        self.next_sweep
    }

    /// Accepts, reads and writes without blocking, and closes expired connections.
    pub(crate) fn receive(&mut self, now: Instant, batch: &mut TcpBatch) {
        batch.clear();
        let mut room = [const { MaybeUninit::<epoll::Event>::uninit() }; EVENTS_PER_TURN];
        let at_once = Timespec {
            tv_sec: 0,
            tv_nsec: 0,
        };
        // After an interrupted wait the next call continues.
        if let Ok((events, _)) = epoll::wait(&self.epoll, &mut room[..], Some(&at_once)) {
            for event in events {
                let number = u32::try_from(event.data.u64()).ok();
                match number.and_then(NonZeroU32::new) {
                    None => self.accept(now, batch),
                    Some(number) => self.serve(number, event.flags, batch),
                }
            }
        }
        if self.next_sweep.is_some_and(|at| at <= now) {
            self.sweep(now, batch);
        }
    }

    /// Sends one packet over the connection of its path.
    ///
    /// # Errors
    /// `BACKLOG_FULL`, `CONNECTION_GONE`: the packet is dropped.
    pub(crate) fn send(&mut self, message: &Message<'_>) -> io::Result<()> {
        let number = message.path.connection.ok_or(CONNECTION_GONE)?;
        let connection = self.connections.get_mut(&number).ok_or(CONNECTION_GONE)?;
        let was_behind = connection.is_behind();
        let outcome = connection.send(message.bytes);
        match outcome {
            Err(error) if error.kind() != BACKLOG_FULL => {
                // The connection is ready now, and the next `receive` closes it.
                Err(CONNECTION_GONE.into())
            }
            outcome => {
                if connection.is_behind() != was_behind {
                    watch(&self.epoll, connection, number)?;
                }
                outcome
            }
        }
    }

    /// A valid check arrived over the connection: keep it open until `until`.
    pub(crate) fn keep(&mut self, number: NonZeroU32, until: Instant) {
        if let Some(connection) = self.connections.get_mut(&number) {
            connection.confirm();
            connection.expires = until;
            self.unconfirmed.remove(&number);
        }
    }

    fn listen(&mut self) -> io::Result<()> {
        let data = epoll::EventData::new_u64(LISTENER_TOKEN);
        epoll::add(&self.epoll, &self.listener, data, epoll::EventFlags::IN)?;
        self.is_listening = true;
        Ok(())
    }

    fn accept(&mut self, now: Instant, batch: &mut TcpBatch) {
        for _ in 0..ACCEPTS_PER_TURN {
            match self.listener.accept() {
                Ok((stream, remote)) => self.admit(now, stream, remote, batch),
                Err(error) => {
                    if is_shortage(&error) {
                        // Waiting connections would wake the worker in a loop; accept again with
                        // the next sweep.
                        let _ = epoll::delete(&self.epoll, &self.listener);
                        self.is_listening = false;
                        self.next_sweep.get_or_insert(now + SWEEP_INTERVAL);
                    }
                    return;
                }
            }
        }
    }

    /// Admits a new stream, or closes it at once.
    fn admit(&mut self, now: Instant, stream: TcpStream, remote: SocketAddr, batch: &mut TcpBatch) {
        let prefix = prefix_of(remote.ip());
        let has_place = prepare(&stream).is_ok() && self.make_room(prefix, batch);
        let number = self.last_number.checked_add(1).and_then(NonZeroU32::new);
        let Some(number) = number.filter(|_| has_place) else {
            self.counters.refused += 1;
            return;
        };
        let connection = Connection::new(stream, number, remote, now + UNCONFIRMED_TIME);
        let data = epoll::EventData::new_u64(number.get().into());
        if epoll::add(
            &self.epoll,
            connection.stream(),
            data,
            epoll::EventFlags::IN,
        )
        .is_err()
        {
            self.counters.refused += 1;
            return;
        }
        self.last_number = number.get();
        self.connections.insert(number, connection);
        self.unconfirmed.insert(number);
        *self.per_prefix.entry(prefix).or_default() += 1;
        self.counters.accepted += 1;
        self.next_sweep.get_or_insert(now + SWEEP_INTERVAL);
    }

    fn of_prefix(&self, prefix: IpAddr) -> usize {
        self.per_prefix.get(&prefix).copied().unwrap_or(0)
    }

    /// Whether one more connection of the prefix fits. It evicts a connection of another prefix
    /// only while its own prefix is below its limit.
    fn make_room(&mut self, prefix: IpAddr, batch: &mut TcpBatch) -> bool {
        if self.of_prefix(prefix) >= MAX_PER_PREFIX {
            return self.evict_oldest(Some(prefix), batch);
        }
        self.connections.len() < self.limit || self.evict_oldest(None, batch)
    }

    /// Closes the oldest connection without a valid check, of one prefix or of all.
    fn evict_oldest(&mut self, prefix: Option<IpAddr>, batch: &mut TcpBatch) -> bool {
        let is_of = |number: &&NonZeroU32| {
            let of = |connection: &Connection| prefix_of(connection.remote_ip());
            prefix.is_none() || self.connections.get(*number).map(of) == prefix
        };
        let Some(oldest) = self.unconfirmed.iter().find(is_of).copied() else {
            return false;
        };
        self.counters.gave_way += 1;
        self.end(oldest, batch);
        true
    }

    fn serve(&mut self, number: NonZeroU32, flags: epoll::EventFlags, batch: &mut TcpBatch) {
        let Some(connection) = self.connections.get_mut(&number) else {
            return;
        };
        let mut outcome = Ok(());
        if flags.contains(epoll::EventFlags::OUT) {
            outcome = connection.send_backlog();
            if outcome.is_ok() && !connection.is_behind() {
                outcome = watch(&self.epoll, connection, number);
            }
        }
        if outcome.is_ok() && flags != epoll::EventFlags::OUT {
            outcome = connection.read(|path, packet| batch.push(path, packet));
        }
        if let Err(error) = outcome {
            self.counters.bad_frames += u64::from(error.kind() == BAD_FRAME);
            self.end(number, batch);
        }
    }

    fn sweep(&mut self, now: Instant, batch: &mut TcpBatch) {
        let expired: Vec<NonZeroU32> = self
            .connections
            .iter()
            .filter(|(_, connection)| connection.expires <= now)
            .map(|(number, _)| *number)
            .collect();
        for number in expired {
            self.counters.expired += 1;
            self.end(number, batch);
        }
        if !self.is_listening {
            // If this fails, the next sweep tries again.
            let _ = self.listen();
        }
        let goes_on = !self.connections.is_empty() || !self.is_listening;
        self.next_sweep = goes_on.then(|| now + SWEEP_INTERVAL);
    }

    fn end(&mut self, number: NonZeroU32, batch: &mut TcpBatch) {
        let Some(connection) = self.connections.remove(&number) else {
            return;
        };
        self.unconfirmed.remove(&number);
        batch.ended.push(connection.peer());
        let prefix = prefix_of(connection.remote_ip());
        if let Some(count) = self.per_prefix.get_mut(&prefix) {
            *count -= 1;
            if *count == 0 {
                self.per_prefix.remove(&prefix);
            }
        }
    }
}

/// The unit that connections are counted by: an IPv4 address, or an IPv6 /64.
fn prefix_of(ip: IpAddr) -> IpAddr {
    match ip.to_canonical() {
        IpAddr::V4(ip) => ip.into(),
        IpAddr::V6(ip) => {
            let [a, b, c, d, ..] = ip.segments();
            Ipv6Addr::new(a, b, c, d, 0, 0, 0, 0).into()
        }
    }
}

fn watch(epoll: &OwnedFd, connection: &Connection, number: NonZeroU32) -> io::Result<()> {
    let mut flags = epoll::EventFlags::IN;
    flags.set(epoll::EventFlags::OUT, connection.is_behind());
    let data = epoll::EventData::new_u64(number.get().into());
    Ok(epoll::modify(
        epoll,
        connection.stream().as_fd(),
        data,
        flags,
    )?)
}

fn prepare(stream: &TcpStream) -> io::Result<()> {
    stream.set_nonblocking(true)?;
    stream.set_nodelay(true)?;
    rustix::net::sockopt::set_socket_send_buffer_size(stream, SEND_BUFFER_BYTES)?;
    Ok(())
}

/// Out of descriptors or memory: accepting again at once would fail again.
fn is_shortage(error: &io::Error) -> bool {
    matches!(
        error.raw_os_error(),
        Some(libc::EMFILE | libc::ENFILE | libc::ENOBUFS | libc::ENOMEM)
    )
}

#[cfg(test)]
#[path = "tcp_tests.rs"]
mod tests;
