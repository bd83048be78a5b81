//! What a worker waits for: its descriptors, and wakeups by other threads.

use std::io;
use std::mem::MaybeUninit;
use std::os::fd::{AsFd, AsRawFd, BorrowedFd, OwnedFd, RawFd};
use std::time::Duration;

use rustix::event::{EventfdFlags, Timespec, epoll, eventfd};

/// An eventfd: readable from `signal` until `clear`.
#[derive(Debug)]
pub(crate) struct Wakeup(OwnedFd);

impl Wakeup {
    pub(crate) fn new() -> io::Result<Self> {
        let flags = EventfdFlags::CLOEXEC | EventfdFlags::NONBLOCK;
        Ok(Self(eventfd(0, flags)?))
    }

    /// Makes it readable. It fails only if the counter is full, which is readable already.
    pub(crate) fn signal(&self) {
        let _ = rustix::io::write(&self.0, &1_u64.to_ne_bytes());
    }

    /// It fails only if there was no signal.
    pub(crate) fn clear(&self) {
        let _ = rustix::io::read(&self.0, &mut [0; 8]);
    }

    pub(crate) fn as_raw_fd(&self) -> RawFd {
        self.0.as_raw_fd()
    }

    /// How many signals there were since the last `clear` or look.
    #[cfg(test)]
    pub(crate) fn signals(&self) -> u64 {
        let mut count = [0; 8];
        // It fails only if there was none.
        let _ = rustix::io::read(&self.0, &mut count);
        u64::from_ne_bytes(count)
    }
}

/// What is ready after a wait.
#[allow(clippy::struct_excessive_bools)] // Each descriptor is ready or not, by itself.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub(crate) struct Ready {
    pub(crate) socket: bool,
    pub(crate) wakeup: bool,
    pub(crate) connections: bool,
    pub(crate) taps: bool,
}

/// Waits for the socket, a wakeup, the TCP connections as one descriptor, and the taps as another.
pub(crate) struct Poller(OwnedFd);

const SOCKET_TOKEN: u64 = 0;
const WAKEUP_TOKEN: u64 = 1;
const CONNECTIONS_TOKEN: u64 = 2;
const TAPS_TOKEN: u64 = 3;
const SOURCES: usize = 4;
/// What a wait in milliseconds can express, with room to spare.
const LONGEST_WAIT_SECONDS: u64 = 86_400;

impl Poller {
    pub(crate) fn new(
        socket: BorrowedFd<'_>,
        wakeup: &Wakeup,
        connections: Option<BorrowedFd<'_>>,
        taps: BorrowedFd<'_>,
    ) -> io::Result<Self> {
        let poller = Self(epoll::create(epoll::CreateFlags::CLOEXEC)?);
        let always = [
            (socket, SOCKET_TOKEN),
            (wakeup.0.as_fd(), WAKEUP_TOKEN),
            (taps, TAPS_TOKEN),
        ];
        let connections = connections.map(|watched| (watched, CONNECTIONS_TOKEN));
        for (watched, token) in always.into_iter().chain(connections) {
            let data = epoll::EventData::new_u64(token);
            epoll::add(&poller.0, watched, data, epoll::EventFlags::IN)?;
        }
        Ok(poller)
    }

    /// Waits for at most `timeout` (rounded up to milliseconds), or indefinitely. A wait that ends
    /// early does no harm.
    pub(crate) fn wait(&self, timeout: Option<Duration>) -> io::Result<Ready> {
        let timeout = timeout.map(|timeout| Timespec {
            tv_sec: timeout.as_secs().min(LONGEST_WAIT_SECONDS) as i64,
            tv_nsec: timeout.subsec_nanos().into(),
        });
        let mut room = [const { MaybeUninit::<epoll::Event>::uninit() }; SOURCES];
        let events = match epoll::wait(&self.0, &mut room[..], timeout.as_ref()) {
            Ok((events, _)) => events,
            Err(rustix::io::Errno::INTR) => return Ok(Ready::default()),
            Err(error) => return Err(error.into()),
        };
        let mut ready = Ready::default();
        for event in events {
            match event.data.u64() {
                SOCKET_TOKEN => ready.socket = true,
                CONNECTIONS_TOKEN => ready.connections = true,
                TAPS_TOKEN => ready.taps = true,
                _ => ready.wakeup = true,
            }
        }
        Ok(ready)
    }
}

#[cfg(test)]
mod tests {
    use super::{Poller, Ready, Wakeup};
    use std::net::UdpSocket;
    use std::os::fd::AsFd;
    use std::time::{Duration, Instant};

    const NOTHING: Ready = Ready {
        socket: false,
        wakeup: false,
        connections: false,
        taps: false,
    };

    #[test]
    fn a_wait_ends_with_a_signal_a_datagram_or_the_timeout() {
        let [ours, peer, tap] = [0; 3].map(|port| UdpSocket::bind(("127.0.0.1", port)).unwrap());
        let wakeup = Wakeup::new().unwrap();
        let poller = Poller::new(ours.as_fd(), &wakeup, Some(peer.as_fd()), tap.as_fd()).unwrap();
        assert_eq!(poller.wait(Some(Duration::ZERO)).unwrap(), NOTHING);
        wakeup.signal();
        wakeup.signal();
        let signalled = Ready {
            wakeup: true,
            ..NOTHING
        };
        assert_eq!(poller.wait(None).unwrap(), signalled);
        assert_eq!(poller.wait(Some(Duration::MAX)).unwrap(), signalled);
        wakeup.clear();
        peer.send_to(b"x", ours.local_addr().unwrap()).unwrap();
        let readable = Ready {
            socket: true,
            ..NOTHING
        };
        assert_eq!(poller.wait(None).unwrap(), readable);
        ours.send_to(b"x", peer.local_addr().unwrap()).unwrap();
        let both = Ready {
            connections: true,
            ..readable
        };
        assert_eq!(poller.wait(None).unwrap(), both);
        peer.send_to(b"x", tap.local_addr().unwrap()).unwrap();
        let all = Ready { taps: true, ..both };
        assert_eq!(poller.wait(None).unwrap(), all);
    }

    #[test]
    fn a_wait_is_never_shorter_than_its_timeout() {
        let [ours, tap] = [0; 2].map(|port| UdpSocket::bind(("127.0.0.1", port)).unwrap());
        let wakeup = Wakeup::new().unwrap();
        let poller = Poller::new(ours.as_fd(), &wakeup, None, tap.as_fd()).unwrap();
        let timeout = Duration::from_micros(1_200);
        let begin = Instant::now();
        assert_eq!(poller.wait(Some(timeout)).unwrap(), NOTHING);
        assert!(begin.elapsed() >= timeout);
    }
}
