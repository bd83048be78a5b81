//! One TCP connection: packets prefixed with two-byte lengths (RFC 4571), with bounded buffers.

use std::io::{self, Read, Write};
use std::net::{IpAddr, SocketAddr, TcpStream};
use std::num::NonZeroU32;
use std::time::Instant;

use sealroute_transport::{BadFrame, Deframer, LENGTH_BYTES, PeerAddress, frame};

use crate::egress::SLOT_BYTES;
use crate::path::Path;
use crate::socket::DATAGRAM_BYTES;

/// Bytes per read; at least one complete frame.
const INBOUND_BYTES: usize = 8_192;
/// Send backlog of a slow peer: about 100 ms at 2.5 Mbps. Later packets would arrive too late
/// anyway.
const BACKLOG_BYTES: usize = 32_768;

/// The framing is invalid, or media arrived before a check.
pub(crate) const BAD_FRAME: io::ErrorKind = io::ErrorKind::InvalidData;
/// The backlog is full.
pub(crate) const BACKLOG_FULL: io::ErrorKind = io::ErrorKind::StorageFull;

pub(crate) struct Connection {
    stream: TcpStream,
    path: Path,
    inbound: Deframer,
    backlog: Vec<u8>,
    /// When the connection expires, unless a valid check arrives before.
    pub(crate) expires: Instant,
}

impl Connection {
    /// Wraps an accepted stream, which must be non-blocking.
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

    /// A valid check arrived over it.
    pub(crate) fn confirm(&mut self) {
        self.inbound.confirm();
    }

    pub(crate) fn is_behind(&self) -> bool {
        !self.backlog.is_empty()
    }

    /// Reads once, and passes every complete packet to `take`.
    ///
    /// # Errors
    /// Close the connection: it ended, or `BAD_FRAME`.
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

    /// Sends a packet, or queues the bytes that the system does not accept now.
    ///
    /// # Errors
    /// `BACKLOG_FULL`: the packet is dropped. Any other error: close the connection.
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
        // A partly sent frame must be completed; an unsent one may be dropped.
        if sent == 0 && self.backlog.len() + length > BACKLOG_BYTES {
            return Err(BACKLOG_FULL.into());
        }
        if self.backlog.capacity() == 0 {
            self.backlog.reserve_exact(BACKLOG_BYTES);
        }
        self.backlog.extend_from_slice(&frame[sent..]);
        Ok(())
    }

    /// Sends as much of the backlog as the system accepts.
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
