//! One connection: packets behind lengths of two bytes (RFC 4571), with bounded buffers.

use std::io::{self, Read, Write};
use std::net::{IpAddr, SocketAddr, TcpStream};
use std::num::NonZeroU32;
use std::time::Instant;

use sealroute_transport::{PacketKind, PeerAddress, classify};

use crate::egress::SLOT_BYTES;
use crate::path::Path;
use crate::socket::DATAGRAM_BYTES;

const LENGTH_BYTES: usize = 2;
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
    inbound: Box<[u8]>,
    filled: usize,
    backlog: Vec<u8>,
    /// It ends then, unless a valid check comes before.
    pub(crate) expires: Instant,
    /// A valid check came over it.
    pub(crate) is_confirmed: bool,
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
            inbound: vec![0; INBOUND_BYTES].into_boxed_slice(),
            filled: 0,
            backlog: Vec::new(),
            expires,
            is_confirmed: false,
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

    pub(crate) fn is_behind(&self) -> bool {
        !self.backlog.is_empty()
    }

    /// Reads once, and gives every whole packet to `take`.
    ///
    /// # Errors
    /// The connection is of no more use: it ended, or `BAD_FRAME`.
    pub(crate) fn read(&mut self, mut take: impl FnMut(Path, &[u8])) -> io::Result<()> {
        match self.stream.read(&mut self.inbound[self.filled..]) {
            Ok(0) => return Err(io::ErrorKind::UnexpectedEof.into()),
            Ok(bytes) => self.filled += bytes,
            Err(error) if is_temporary(&error) => return Ok(()),
            Err(error) => return Err(error),
        }
        let mut at = 0;
        while let Some(packet) = whole_packet(&self.inbound[at..self.filled])? {
            if !self.is_confirmed && !packet.is_empty() && classify(packet) != PacketKind::Stun {
                return Err(BAD_FRAME.into());
            }
            if !packet.is_empty() {
                take(self.path, packet);
            }
            at += LENGTH_BYTES + packet.len();
        }
        self.inbound.copy_within(at..self.filled, 0);
        self.filled -= at;
        Ok(())
    }

    /// Sends a packet, or keeps what the system does not take now.
    ///
    /// # Errors
    /// `BACKLOG_FULL`: the packet is dropped. All others: the connection is of no more use.
    pub(crate) fn send(&mut self, packet: &[u8]) -> io::Result<()> {
        let mut frame = [0; LENGTH_BYTES + SLOT_BYTES];
        let length = LENGTH_BYTES + packet.len();
        let (Some(frame), Ok(stated)) = (frame.get_mut(..length), u16::try_from(packet.len()))
        else {
            return Err(BACKLOG_FULL.into());
        };
        frame[..LENGTH_BYTES].copy_from_slice(&stated.to_be_bytes());
        frame[LENGTH_BYTES..].copy_from_slice(packet);
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

/// The packet that `bytes` begin with, if it is whole.
fn whole_packet(bytes: &[u8]) -> io::Result<Option<&[u8]>> {
    let Some((length, rest)) = bytes.split_first_chunk::<LENGTH_BYTES>() else {
        return Ok(None);
    };
    let length = usize::from(u16::from_be_bytes(*length));
    if length > DATAGRAM_BYTES {
        return Err(BAD_FRAME.into());
    }
    Ok(rest.get(..length))
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
