//! One connection: packets behind lengths of two bytes (RFC 4571), with bounded buffers.

use std::io::{self, Read, Write};
use std::net::{IpAddr, SocketAddr, TcpStream};
use std::num::NonZeroU32;
use std::time::Instant;

use sealroute_transport::{BadFrame, Deframer, LENGTH_BYTES, PeerAddress, frame};

use crate::egress::SLOT_BYTES;
use crate::path::Path;
use crate::socket::DATAGRAM_BYTES;

/// What one read takes; at least one whole frame.
const INBOUND_BYTES: usize = 8_192;
/// What waits for a peer that takes less than is sent; some 100 ms of 2.5 Mbps. Later packets would be
/// too late anyway.
const BACKLOG_BYTES: usize = 32_768;

/// The peer broke the framing, or sent media before a check.
pub(crate) const BAD_FRAME: io::ErrorKind = io::ErrorKind::InvalidData;
/// The connection takes no more at present.
pub(crate) const BACKLOG_FULL: io::ErrorKind = io::ErrorKind::StorageFull;

pub(crate) struct Connection {
    stream: TcpStream,
    path: Path,
    inbound: Deframer,
    backlog: Vec<u8>,
    /// It ends then, unless a valid check comes before.
    pub(crate) expires: Instant,
}

impl Connection {
    /// Of an accepted stream, which must not block.
    pub(crate) fn new(
        stream: TcpStream,
        number: NonZeroU32,
        remote: SocketAddr,
        expires: Instant,
    ) -> Self {
        let local = stream.local_addr().ok();
        Self {
            stream,
            path: Path {
                remote: SocketAddr::new(remote.ip().to_canonical(), remote.port()),
                local: local.map(|local| local.ip().to_canonical()),
                connection: Some(number),
            },
            inbound: Deframer::new(DATAGRAM_BYTES, INBOUND_BYTES),
            backlog: Vec::new(),
            expires,
        }
    }

    pub(crate) fn stream(&self) -> &TcpStream {
        &self.stream
    }

    pub(crate) fn remote_ip(&self) -> IpAddr {
        self.path.remote.ip()
    }

    pub(crate) fn peer(&self) -> PeerAddress {
        self.path.peer()
    }

    /// A valid check came over it.
    pub(crate) fn confirm(&mut self) {
        self.inbound.confirm();
    }

    pub(crate) fn is_behind(&self) -> bool {
        !self.backlog.is_empty()
    }

    /// Reads once, and gives every whole packet to `take`.
    ///
    /// # Errors
    /// The connection is of no more use: it ended, or `BAD_FRAME`.
    pub(crate) fn read(&mut self, mut take: impl FnMut(Path, &[u8])) -> io::Result<()> {
        let bytes = match self.stream.read(self.inbound.space()) {
            Ok(0) => return Err(io::ErrorKind::UnexpectedEof.into()),
            Ok(bytes) => bytes,
            Err(error) if is_temporary(&error) => return Ok(()),
            Err(error) => return Err(error),
        };
        let path = self.path;
        self.inbound
            .advance(bytes, |packet| take(path, packet))
            .map_err(|BadFrame| BAD_FRAME.into())
    }

    /// Sends a packet, or keeps what the system does not take now.
    ///
    /// # Errors
    /// `BACKLOG_FULL`: the packet is dropped. All others: the connection is of no more use.
    pub(crate) fn send(&mut self, packet: &[u8]) -> io::Result<()> {
        let mut out = [0; LENGTH_BYTES + SLOT_BYTES];
        let Some(length) = frame(packet, &mut out) else {
            return Err(BACKLOG_FULL.into());
        };
        let frame = &out[..length];
        let sent = if self.is_behind() {
            0
        } else {
            write_some(&mut self.stream, frame)?
        };
        if sent == length {
            return Ok(());
        }
        // A frame that has begun must end; another one may be dropped.
        if sent == 0 && self.backlog.len() + length > BACKLOG_BYTES {
            return Err(BACKLOG_FULL.into());
        }
        if self.backlog.capacity() == 0 {
            self.backlog.reserve_exact(BACKLOG_BYTES);
        }
        self.backlog.extend_from_slice(&frame[sent..]);
        Ok(())
    }

    /// Sends what waits, as far as the system takes it.
    pub(crate) fn send_backlog(&mut self) -> io::Result<()> {
        let sent = write_some(&mut self.stream, &self.backlog)?;
        self.backlog.drain(..sent);
        Ok(())
    }
}

fn write_some(stream: &mut TcpStream, bytes: &[u8]) -> io::Result<usize> {
    match stream.write(bytes) {
        Err(error) if is_temporary(&error) => Ok(0),
        outcome => outcome,
    }
}

fn is_temporary(error: &io::Error) -> bool {
    matches!(
        error.kind(),
        io::ErrorKind::WouldBlock | io::ErrorKind::Interrupted
    )
}
