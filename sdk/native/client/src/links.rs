//! The two transports with their sockets.

use std::io::ErrorKind;
use std::net::{IpAddr, Ipv4Addr, Ipv6Addr, SocketAddr};
use std::time::Instant;

use mio::net::UdpSocket;
use mio::{Interest, Registry, Token};
use sealroute_transport::{Datagram, Downlink, TransportError, Uplink};

/// No datagram of WebRTC is longer.
const MAX_DATAGRAM: usize = 2_048;

/// What both kinds have in common.
pub(crate) trait Transport {
    fn on_datagram(&mut self, source: SocketAddr, contents: &[u8], now: Instant);
    fn next_datagram(&mut self) -> Option<Datagram>;
    fn on_time(&mut self, now: Instant);
    fn deadline(&self) -> Option<Instant>;
    fn make(local: SocketAddr, now: Instant) -> Result<Self, TransportError>
    where
        Self: Sized;
}

macro_rules! transport {
    ($name:ty) => {
        impl Transport for $name {
            fn on_datagram(&mut self, source: SocketAddr, contents: &[u8], now: Instant) {
                <$name>::on_datagram(self, source, contents, now);
            }
            fn next_datagram(&mut self) -> Option<Datagram> {
                <$name>::next_datagram(self)
            }
            fn on_time(&mut self, now: Instant) {
                <$name>::on_time(self, now);
            }
            fn deadline(&self) -> Option<Instant> {
                <$name>::deadline(self)
            }
            fn make(local: SocketAddr, now: Instant) -> Result<Self, TransportError> {
                <$name>::new(local, now)
            }
        }
    };
}

transport!(Uplink);
transport!(Downlink);

/// A transport and its socket.
pub(crate) struct Wired<T> {
    pub(crate) transport: T,
    socket: UdpSocket,
}

impl<T: Transport> Wired<T> {
    /// `local`: where the way to the server begins.
    pub(crate) fn open(
        local: IpAddr,
        registry: &Registry,
        token: Token,
        now: Instant,
    ) -> Result<Self, TransportError> {
        let any: IpAddr = match local {
            IpAddr::V4(_) => Ipv4Addr::UNSPECIFIED.into(),
            IpAddr::V6(_) => Ipv6Addr::UNSPECIFIED.into(),
        };
        let bound = UdpSocket::bind(SocketAddr::new(any, 0));
        let mut socket = bound.map_err(|_| TransportError::Address)?;
        let port = socket
            .local_addr()
            .map_err(|_| TransportError::Address)?
            .port();
        registry
            .register(&mut socket, token, Interest::READABLE)
            .map_err(|_| TransportError::Address)?;
        let transport = T::make(SocketAddr::new(local, port), now)?;
        Ok(Self { transport, socket })
    }

    /// All that has arrived. Answers leave at once.
    pub(crate) fn receive(&mut self, now: Instant) {
        let mut buffer = [0; MAX_DATAGRAM];
        loop {
            match self.socket.recv_from(&mut buffer) {
                Ok((length, source)) => {
                    self.transport.on_datagram(source, &buffer[..length], now);
                    self.flush();
                }
                Err(error) if error.kind() == ErrorKind::WouldBlock => return,
                // What came back of an earlier datagram; more may be there.
                Err(error) if error.kind() == ErrorKind::ConnectionRefused => {}
                Err(_) => return,
            }
        }
    }

    pub(crate) fn on_time(&mut self, now: Instant) {
        self.transport.on_time(now);
        self.flush();
    }

    /// What does not fit into the socket's buffer is lost, as on any path; repair has it again.
    pub(crate) fn flush(&mut self) {
        while let Some(datagram) = self.transport.next_datagram() {
            let _ = self
                .socket
                .send_to(&datagram.contents, datagram.destination);
        }
    }

    pub(crate) fn close(mut self, registry: &Registry) {
        let _ = registry.deregister(&mut self.socket);
    }
}
