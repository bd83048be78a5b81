//! A tap: a local transport, whose reader gets a session's clear media as records, and may publish.
//!
//! There is no ICE, DTLS or SRTP. Records are written in batches and without waiting. A reader that
//! is behind loses video first: above three quarters of the socket's buffer the router withholds it
//! until the reader has read all but a quarter, and then starts at a key frame; the last quarter is
//! for audio. What the socket itself refuses is counted, and the reader is told how much it misses.
//! Records of the control plane are never lost: they wait, and media waits for none of them.
//!
//! What the reader sends has a budget ([`ReaderBudget`]): a tap whose reader goes on beyond it is over.

use std::collections::BTreeMap;
use std::io;

use sealroute_forward::{ClearMedia, TransportHandle};
use sealroute_rtp::tap_record::{HEADER_BYTES, RecordHeader, RecordKind};

use crate::api::{Direction, RouterHandle, TransportSnapshot};
use crate::drop_reason::NetworkDrop;
use crate::local_socket::{BATCH, LocalSocket};
use crate::network_counters::NetworkCounters;
use crate::not_sent::{NotSentPackets, ssrc_of_rtp};
use crate::reader_budget::ReaderBudget;
use crate::tap_uplink::Received;

/// About seven seconds of four videos of 1 Mbit/s, with the kernel's overhead.
const SEND_BUFFER_BYTES: usize = 8 << 20;
/// Of the control plane, for a reader that does not read. Far more than the events of an hour.
const MAX_WAITING_BYTES: usize = 1 << 20;
/// An RTP packet of a network, with a record's header; a compound of key-frame requests is far
/// smaller.
const MAX_RECEIVED_BYTES: usize = 1_500;
/// Records of a reader that are handled before media continues: each costs a system call.
const MAX_RECEIVED_AT_ONCE: usize = 16;

/// A record that waits for the end of the batch.
#[derive(Clone, Copy)]
struct Queued {
    header: RecordHeader,
    end: usize,
}

impl Queued {
    /// It waits until the reader has room, instead of being lost.
    fn waits(self) -> bool {
        matches!(self.header.kind, RecordKind::Json | RecordKind::End)
    }
}

/// Whether the reader keeps up.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Reader {
    KeepsUp,
    /// It has no room for video.
    Behind,
    /// Its end is closed.
    Gone,
    /// It sends far more than it may.
    Floods,
}

impl Reader {
    /// Whether nothing more is read or written.
    pub(crate) fn is_over(self) -> bool {
        matches!(self, Self::Gone | Self::Floods)
    }
}

/// One tap.
pub(crate) struct Tap {
    pub(crate) router: RouterHandle,
    socket: LocalSocket,
    /// What the kernel gave.
    buffer_bytes: usize,
    /// Records end to end, in the order of `queued`.
    bytes: Vec<u8>,
    queued: Vec<Queued>,
    /// The first of them could not be written, so media must not overtake it.
    is_stuck: bool,
    /// Packets by SSRC that the reader has not been told of.
    lost: BTreeMap<u32, u32>,
    reader: Reader,
    not_sent: NotSentPackets,
    budget: ReaderBudget,
}

impl Tap {
    /// Only a session whose media may be read has the first argument.
    pub(crate) fn new(_: ClearMedia, router: RouterHandle, socket: LocalSocket) -> Self {
        let buffer_bytes = socket.enlarge(SEND_BUFFER_BYTES);
        Self {
            router,
            socket,
            buffer_bytes,
            bytes: Vec::new(),
            queued: Vec::new(),
            is_stuck: false,
            lost: BTreeMap::new(),
            reader: Reader::KeepsUp,
            not_sent: NotSentPackets::default(),
            budget: ReaderBudget::default(),
        }
    }

    pub(crate) fn socket(&self) -> &LocalSocket {
        &self.socket
    }

    pub(crate) fn reader(&self) -> Reader {
        self.reader
    }

    /// Whether there is something to write.
    pub(crate) fn has_work(&self) -> bool {
        !self.queued.is_empty() || !self.lost.is_empty()
    }

    /// Queues an RTP packet. Call `flush` when `is_batch_full`.
    pub(crate) fn rtp(
        &mut self,
        now_us: u64,
        header: &[u8],
        payload: &[u8],
        counters: &mut NetworkCounters,
    ) {
        let ssrc = ssrc_of_rtp(header).unwrap_or_default();
        self.media(RecordKind::Rtp, (now_us, ssrc), [header, payload], counters);
    }

    /// Queues a compound about one track.
    pub(crate) fn rtcp(&mut self, now_us: u64, compound: &[u8], counters: &mut NetworkCounters) {
        // RFC 3550 section 6.4.1: the sender's SSRC follows the first word.
        let ssrc = compound.get(4..8).and_then(|four| four.first_chunk());
        let ssrc = ssrc.map_or(0, |four| u32::from_be_bytes(*four));
        self.media(RecordKind::Rtcp, (now_us, ssrc), [compound, &[]], counters);
    }

    fn media(
        &mut self,
        kind: RecordKind,
        (arrival_us, ssrc): (u64, u32),
        body: [&[u8]; 2],
        counters: &mut NetworkCounters,
    ) {
        let header = RecordHeader {
            kind,
            ssrc,
            arrival_us,
        };
        if self.is_stuck || self.reader.is_over() {
            self.refuse(header, counters);
        } else {
            self.queue(header, body);
        }
    }

    fn queue(&mut self, header: RecordHeader, body: [&[u8]; 2]) {
        self.bytes.extend_from_slice(&header.to_bytes());
        for part in body {
            self.bytes.extend_from_slice(part);
        }
        let end = self.bytes.len();
        self.queued.push(Queued { header, end });
    }

    pub(crate) fn is_batch_full(&self) -> bool {
        !self.is_stuck && self.queued.len() >= BATCH
    }

    /// Queues a record of the control plane. Returns whether there is room: not after the reader
    /// has left so many unread.
    pub(crate) fn json(&mut self, now_us: u64, body: &[u8]) -> bool {
        let has_room = self.bytes.len() + HEADER_BYTES + body.len() <= MAX_WAITING_BYTES;
        if has_room {
            self.queue(own(RecordKind::Json, 0, now_us), [body, &[]]);
        }
        has_room
    }

    /// Queues the last record.
    pub(crate) fn end(&mut self, now_us: u64) {
        self.queue(own(RecordKind::End, 0, now_us), [&[], &[]]);
    }

    /// The router withheld packets of a track.
    pub(crate) fn lose(&mut self, ssrc: u32, packets: u32) {
        let known = self.lost.entry(ssrc).or_default();
        *known = known.saturating_add(packets);
    }

    /// Writes what is queued. Media that the socket refuses is lost. Returns the reader's new state
    /// if it changed.
    pub(crate) fn flush(&mut self, now_us: u64, counters: &mut NetworkCounters) -> Option<Reader> {
        let written = { self.tell_lost(now_us) }.and_then(|()| self.write(counters));
        let refused = written.is_err();
        let is_gone = written.is_err_and(|error| !is_full(&error));
        self.settle(refused, counters);
        self.judge(refused, is_gone)
    }

    fn tell_lost(&mut self, now_us: u64) -> io::Result<()> {
        while let Some(first) = self.lost.first_entry() {
            let header = own(RecordKind::Lost, *first.key(), now_us).to_bytes();
            let record = [&header[..], &first.get().to_le_bytes()].concat();
            self.socket.send(std::iter::once(&record[..]))?;
            first.remove();
        }
        Ok(())
    }

    /// Writes from the front. An error leaves the rest queued.
    fn write(&mut self, counters: &mut NetworkCounters) -> io::Result<()> {
        let (mut start, mut at) = (0, 0);
        let mut outcome = Ok(());
        while at < self.queued.len() {
            let mut from = start;
            let records = self.queued[at..].iter().map(|queued| {
                let record = &self.bytes[from..queued.end];
                from = queued.end;
                record
            });
            match self.socket.send(records) {
                // The kernel never does, but must not make this a loop without end.
                Ok(0) => {
                    outcome = Err(io::ErrorKind::WouldBlock.into());
                    break;
                }
                Ok(sent) => {
                    at += sent;
                    counters.tap_records += sent as u64;
                }
                Err(error) if error.kind() == io::ErrorKind::Interrupted => {}
                Err(error) => {
                    outcome = Err(error);
                    break;
                }
            }
            start = at.checked_sub(1).map_or(0, |last| self.queued[last].end);
        }
        self.bytes.drain(..start);
        self.queued.drain(..at);
        for queued in &mut self.queued {
            queued.end -= start;
        }
        outcome
    }

    /// After a refusal: media is lost, the rest waits.
    fn settle(&mut self, refused: bool, counters: &mut NetworkCounters) {
        self.is_stuck = refused && self.queued.iter().any(|queued| queued.waits());
        if self.queued.is_empty() {
            return;
        }
        let (bytes, queued) = (
            std::mem::take(&mut self.bytes),
            std::mem::take(&mut self.queued),
        );
        let mut start = 0;
        for one in queued {
            if one.waits() {
                let body = &bytes[start + HEADER_BYTES..one.end];
                self.queue(one.header, [body, &[]]);
            } else {
                self.refuse(one.header, counters);
            }
            start = one.end;
        }
    }

    fn refuse(&mut self, header: RecordHeader, counters: &mut NetworkCounters) {
        let reason = if self.reader.is_over() {
            NetworkDrop::SendNoAddress
        } else {
            NetworkDrop::SendBufferFull
        };
        counters.drop_packets(reason, 1);
        if header.kind == RecordKind::Rtp {
            self.not_sent.note(header.ssrc, reason, 1);
            self.lose(header.ssrc, 1);
        }
    }

    fn judge(&mut self, refused: bool, is_gone: bool) -> Option<Reader> {
        let unread = self.socket.unread();
        let reader = match self.reader {
            over if over.is_over() => over,
            _ if is_gone => Reader::Gone,
            _ if refused => Reader::Behind,
            Reader::KeepsUp if unread * 4 > self.buffer_bytes * 3 => Reader::Behind,
            Reader::Behind if unread * 4 <= self.buffer_bytes => Reader::KeepsUp,
            same => same,
        };
        let changed = std::mem::replace(&mut self.reader, reader) != reader;
        changed.then_some(reader)
    }

    /// The other end is closed, or treated as if it were.
    pub(crate) fn on_over(&mut self, reader: Reader) {
        self.reader = reader;
    }

    /// Reads what the reader sent, as far as it may be handled at once. Returns how the reader
    /// ended, if it did.
    pub(crate) fn receive(
        &mut self,
        now_us: u64,
        received: &mut Received,
        counters: &mut NetworkCounters,
    ) -> Option<Reader> {
        let mut buffer = [0; MAX_RECEIVED_BYTES];
        for _ in 0..MAX_RECEIVED_AT_ONCE {
            match self.socket.receive(&mut buffer) {
                // An empty datagram looks the same, and no reader sends one.
                Ok(0) => return Some(Reader::Gone),
                Ok(length) => {
                    let datagram = buffer.get(..length).unwrap_or_default();
                    if let Err(reason) = received.take(now_us, datagram, &mut self.budget) {
                        counters.drop_packets(reason, 1);
                    }
                    if self.budget.is_flooded() {
                        return Some(Reader::Floods);
                    }
                }
                Err(error) if error.kind() == io::ErrorKind::Interrupted => {}
                Err(error) if error.kind() == io::ErrorKind::WouldBlock => return None,
                Err(_) => return Some(Reader::Gone),
            }
        }
        None
    }

    pub(crate) fn snapshot(&self, handle: TransportHandle) -> TransportSnapshot {
        TransportSnapshot {
            transport: handle,
            direction: Direction::Downlink,
            remote: None,
            protocol: Some("tap"),
            local: None,
            consent_left_ms: None,
            has_keys: false,
            not_sent: self.not_sent.snapshot(),
        }
    }
}

fn own(kind: RecordKind, ssrc: u32, arrival_us: u64) -> RecordHeader {
    RecordHeader {
        kind,
        ssrc,
        arrival_us,
    }
}

/// Whether the socket will take records again once the reader has read some.
fn is_full(error: &io::Error) -> bool {
    let codes = [libc::EAGAIN, libc::ENOBUFS, libc::ENOMEM, libc::EMSGSIZE];
    let kinds = [io::ErrorKind::WouldBlock, io::ErrorKind::Interrupted];
    let code = error.raw_os_error();
    kinds.contains(&error.kind()) || code.is_some_and(|code| codes.contains(&code))
}

#[cfg(test)]
#[path = "tap_tests.rs"]
mod tests;
