//! The UDP socket and the TCP connections of a worker as one; TCP serves networks that block UDP.

use std::io;
use std::num::NonZeroU32;
use std::os::fd::BorrowedFd;
use std::time::Instant;

use crate::egress::MessageSocket;
use crate::path::Message;
use crate::socket::{MediaSocket, can_segment, send_batch};
use crate::tcp::TcpConnections;

/// How many ports to try when the system picks one that is taken for TCP.
const PORT_ATTEMPTS: usize = 16;

/// The UDP socket and, if enabled, TCP connections on the same port.
pub(crate) struct Sockets {
    pub(crate) udp: MediaSocket,
    pub(crate) tcp: Option<TcpConnections>,
    lost: u32,
}

impl Sockets {
    /// Binds `address` for both protocols.
    pub(crate) fn bind(
        address: std::net::SocketAddr,
        receive_buffer_bytes: usize,
        with_tcp: bool,
    ) -> io::Result<Self> {
        let mut attempts = if address.port() == 0 {
            PORT_ATTEMPTS
        } else {
            1
        };
        loop {
            attempts -= 1;
            let udp = MediaSocket::bind(address, receive_buffer_bytes)?;
            if !with_tcp {
                return Ok(Self::of(udp, None));
            }
            match TcpConnections::bind(udp.local()) {
                Ok(tcp) => {
                    return Ok(Self::of(udp, Some(tcp)));
                }
                Err(error) if error.kind() != io::ErrorKind::AddrInUse || attempts == 0 => {
                    return Err(error);
                }
                Err(_) => {}
            }
        }
    }

    fn of(udp: MediaSocket, tcp: Option<TcpConnections>) -> Self {
        Self { udp, tcp, lost: 0 }
    }

    /// A descriptor that is readable when a connection needs service.
    pub(crate) fn connections_fd(&self) -> Option<BorrowedFd<'_>> {
        self.tcp.as_ref().map(TcpConnections::as_fd)
    }
}

impl MessageSocket for Sockets {
    fn segments(&self) -> bool {
        can_segment(&self.udp)
    }

    fn send(&mut self, batch: &[Message<'_>]) -> io::Result<usize> {
        let datagrams = batch
            .iter()
            .take_while(|message| message.path.connection.is_none())
            .count();
        if datagrams > 0 {
            return send_batch(&self.udp, &batch[..datagrams]);
        }
        let Some((message, tcp)) = batch.first().zip(self.tcp.as_mut()) else {
            return Ok(0);
        };
        tcp.send(message).map(|()| 1)
    }

    fn keep(&mut self, connection: NonZeroU32, until: Instant) {
        if let Some(tcp) = &mut self.tcp {
            tcp.keep(connection, until);
        }
    }

    fn poll_lost(&mut self) -> usize {
        let lost = self.udp.lost();
        lost.wrapping_sub(std::mem::replace(&mut self.lost, lost)) as usize
    }
}
