//! Send slots: packets are protected in the buffer they are sent from, and leave in batches.
//!
//! Packets are contiguous in one buffer, so consecutive packets of equal size to one peer are one
//! slice: it leaves as one message that the kernel splits into datagrams (`UDP_SEGMENT`, GSO).

use std::io;
use std::num::NonZeroU32;
use std::time::Instant;

use sealroute_transport::PeerAddress;

use crate::drop_reason::NetworkDrop;
use crate::network_counters::NetworkCounters;
use crate::not_sent::ssrc_of_rtp;
use crate::path::{Message, Path};
use crate::socket::BATCH;
use crate::tcp;

/// Room for one protected packet; a larger one fits no path to a browser.
pub(crate) const SLOT_BYTES: usize = 1_600;
/// Small enough to stay in the L2 cache until the kernel has read it.
const BUFFER_BYTES: usize = 256 * 1_024;
const MAX_QUEUED: usize = 512;
/// Rows kept for diagnosis until they are taken; the counters include every packet.
const MAX_REFUSED_ROWS: usize = 512;
/// Kernel limits: segments per message, and the length field of the UDP header.
const MAX_SEGMENTS: usize = 64;
const MAX_MESSAGE_BYTES: usize = 65_000;

/// Sends messages to peers.
pub(crate) trait MessageSocket {
    /// Sends the messages in order. Returns how many were sent; an error refers to the first one.
    fn send(&mut self, batch: &[Message<'_>]) -> io::Result<usize>;

    /// Whether the kernel supports segmentation offload.
    fn segments(&self) -> bool {
        true
    }

    /// A valid check arrived over this connection: keep it open until `until`.
    fn keep(&mut self, connection: NonZeroU32, until: Instant);

    /// Datagrams that the kernel dropped before they were received, since the last call.
    fn poll_lost(&mut self) -> usize {
        0
    }
}

#[derive(Clone, Copy)]
struct QueuedPacket {
    path: Path,
    /// Its path is that of the packet before it.
    follows: bool,
    start: usize,
    end: usize,
}

/// Consecutive packets of `queued` that are sent as one message.
#[derive(Clone, Copy)]
struct GsoBatch {
    first: usize,
    packets: usize,
}

/// Media packets of one stream that the kernel refused.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) struct Refused {
    pub(crate) peer: PeerAddress,
    pub(crate) ssrc: u32,
    pub(crate) reason: NetworkDrop,
    pub(crate) packets: u64,
}

/// The send queue.
pub(crate) struct Egress<S> {
    socket: S,
    buffer: Box<[u8]>,
    used: usize,
    queued: Vec<QueuedPacket>,
    /// How often the destination changes in `queued`: a lower bound of the messages to send.
    destinations: usize,
    batches: Vec<GsoBatch>,
    segmentation: bool,
    refused: Vec<Refused>,
}

impl<S: MessageSocket> Egress<S> {
    pub(crate) fn new(socket: S) -> Self {
        let segmentation = socket.segments();
        Self {
            socket,
            buffer: vec![0; BUFFER_BYTES].into_boxed_slice(),
            used: 0,
            queued: Vec::with_capacity(MAX_QUEUED),
            destinations: 0,
            batches: Vec::with_capacity(MAX_QUEUED),
            segmentation,
            refused: Vec::with_capacity(MAX_REFUSED_ROWS),
        }
    }

    pub(crate) fn socket(&self) -> &S {
        &self.socket
    }

    pub(crate) fn socket_mut(&mut self) -> &mut S {
        &mut self.socket
    }

    /// A slot of `SLOT_BYTES` for the next packet; `commit` queues it.
    pub(crate) fn slot(&mut self, counters: &mut NetworkCounters) -> &mut [u8] {
        // In a large session the first peers do not wait until the packets of all others are
        // protected.
        let is_full = self.used + SLOT_BYTES > BUFFER_BYTES || self.queued.len() >= MAX_QUEUED;
        if is_full || self.destinations >= BATCH {
            self.flush(counters);
        }
        &mut self.buffer[self.used..self.used + SLOT_BYTES]
    }

    /// Queues the first `length` bytes of the slot.
    pub(crate) fn commit(&mut self, path: Path, length: usize) {
        let start = self.used;
        let follows = self.queued.last().is_some_and(|last| last.path == path);
        self.destinations += usize::from(!follows);
        self.used = (start + length).min(BUFFER_BYTES);
        self.queued.push(QueuedPacket {
            path,
            follows,
            start,
            end: self.used,
        });
    }

    /// Sends everything. Packets that the kernel refuses are dropped and counted.
    pub(crate) fn flush(&mut self, counters: &mut NetworkCounters) {
        if self.queued.is_empty() {
            return;
        }
        self.form_batches();
        let mut at = 0;
        while at < self.batches.len() {
            at += self.send_some(at, counters);
        }
        self.queued.clear();
        (self.used, self.destinations) = (0, 0);
    }

    fn form_batches(&mut self) {
        self.batches.clear();
        let mut first = 0;
        while first < self.queued.len() {
            let packets = if self.segmentation {
                batch_length(&self.queued[first..])
            } else {
                1
            };
            self.batches.push(GsoBatch { first, packets });
            first += packets;
        }
    }

    /// Sends the batches from `at` on. Returns how many were handled.
    fn send_some(&mut self, at: usize, counters: &mut NetworkCounters) -> usize {
        let batches = &self.batches[at..self.batches.len().min(at + BATCH)];
        let mut messages = [EMPTY_MESSAGE; BATCH];
        for (message, batch) in messages.iter_mut().zip(batches) {
            *message = message_of(&self.buffer, &self.queued, *batch);
        }
        match self.socket.send(&messages[..batches.len()]) {
            Ok(0) => self.refuse(at, &io::ErrorKind::Other.into(), counters),
            Ok(sent) => {
                for (message, batch) in messages.iter().zip(&batches[..sent]) {
                    counters.sent(batch.packets, message.bytes.len());
                }
                sent
            }
            Err(error) if error.kind() == io::ErrorKind::Interrupted => 0,
            Err(error) => self.refuse(at, &error, counters),
        }
    }

    /// Handles a batch that the kernel refused. Returns how many batches that settles.
    fn refuse(&mut self, at: usize, error: &io::Error, counters: &mut NetworkCounters) -> usize {
        if error.kind() == io::ErrorKind::WouldBlock {
            for batch in at..self.batches.len() {
                self.drop_batch(self.batches[batch], NetworkDrop::SendBufferFull, counters);
            }
            return self.batches.len() - at;
        }
        let batch = self.batches[at];
        if batch.packets == 1 {
            self.drop_batch(batch, reason_of(error), counters);
        } else {
            self.send_one_by_one(batch, error, counters);
        }
        1
    }

    /// Sends the packets of a refused batch one by one. Segmentation is disabled for good if the
    /// kernel does not support it; `EINVAL` and `EMSGSIZE` mean that this path's MTU is smaller
    /// than a segment, and a plain packet is fragmented.
    fn send_one_by_one(
        &mut self,
        batch: GsoBatch,
        error: &io::Error,
        counters: &mut NetworkCounters,
    ) {
        let mut passed = false;
        for index in batch.first..batch.first + batch.packets {
            let single = GsoBatch {
                first: index,
                packets: 1,
            };
            let message = message_of(&self.buffer, &self.queued, single);
            match self.socket.send(&[message]) {
                Ok(1..) => {
                    passed = true;
                    counters.sent(1, message.bytes.len());
                }
                Ok(0) => self.drop_batch(single, NetworkDrop::SendFailed, counters),
                Err(error) => self.drop_batch(single, reason_of(&error), counters),
            }
        }
        let unsupported = matches!(error.raw_os_error(), Some(libc::EIO | libc::EOPNOTSUPP));
        if passed && unsupported {
            self.segmentation = false;
        }
    }

    fn drop_batch(&mut self, batch: GsoBatch, reason: NetworkDrop, counters: &mut NetworkCounters) {
        counters.drop_packets(reason, batch.packets);
        for packet in &self.queued[batch.first..batch.first + batch.packets] {
            let Some(ssrc) = ssrc_of_rtp(&self.buffer[packet.start..packet.end]) else {
                continue;
            };
            let peer = packet.path.peer();
            let same =
                |row: &&mut Refused| (row.peer, row.ssrc, row.reason) == (peer, ssrc, reason);
            if let Some(row) = self.refused.last_mut().filter(same) {
                row.packets += 1;
            } else if self.refused.len() < MAX_REFUSED_ROWS {
                self.refused.push(Refused {
                    peer,
                    ssrc,
                    reason,
                    packets: 1,
                });
            }
        }
    }

    /// The packets that the kernel refused since the last call.
    pub(crate) fn refused(&mut self) -> std::vec::Drain<'_, Refused> {
        self.refused.drain(..)
    }
}

const EMPTY_MESSAGE: Message<'static> = Message {
    path: Path {
        remote: std::net::SocketAddr::V4(std::net::SocketAddrV4::new(
            std::net::Ipv4Addr::UNSPECIFIED,
            0,
        )),
        local: None,
        connection: None,
    },
    bytes: &[],
    segment_bytes: None,
};

fn message_of<'a>(buffer: &'a [u8], queued: &[QueuedPacket], batch: GsoBatch) -> Message<'a> {
    let (first, last) = (
        &queued[batch.first],
        &queued[batch.first + batch.packets - 1],
    );
    Message {
        path: first.path,
        bytes: &buffer[first.start..last.end],
        segment_bytes: (batch.packets > 1).then_some((first.end - first.start) as u16),
    }
}

/// How many packets, from the first on, can be sent as one message: all as long as the first one,
/// except that the last may be shorter.
fn batch_length(queued: &[QueuedPacket]) -> usize {
    let first = &queued[0];
    if first.path.connection.is_some() {
        return 1;
    }
    let segment = first.end - first.start;
    let mut packets = 1;
    for next in queued[1..].iter().take(MAX_SEGMENTS - 1) {
        let length = next.end - next.start;
        if !next.follows || length > segment || next.end - first.start > MAX_MESSAGE_BYTES {
            break;
        }
        packets += 1;
        if length < segment {
            break;
        }
    }
    packets
}

fn reason_of(error: &io::Error) -> NetworkDrop {
    match error.kind() {
        tcp::BACKLOG_FULL => return NetworkDrop::SendConnectionBehind,
        tcp::CONNECTION_GONE => return NetworkDrop::SendConnectionGone,
        _ => {}
    }
    match error.raw_os_error() {
        Some(libc::EMSGSIZE) => NetworkDrop::SendTooLarge,
        Some(libc::EAGAIN | libc::ENOBUFS) => NetworkDrop::SendBufferFull,
        _ => NetworkDrop::SendFailed,
    }
}

#[cfg(test)]
#[path = "egress_tests.rs"]
mod tests;
