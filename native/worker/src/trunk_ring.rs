//! The way of packets from one worker to another of this process: a bounded ring of batches, with one
//! worker at each end.
//!
//! A worker fills a batch while it handles packets, and passes it on as a whole: neither side locks,
//! nothing is copied on the way, and read batches come back to be filled again. Packets are in the
//! clear, as everywhere in this process; those of an encrypted session carry frames that its clients encrypted.
//!
//! The ring holds 4,096 packets. When it is full, packets are refused and counted; the other side
//! asks for them as for any lost packet. The other worker is woken only if it sleeps.

use std::io;
use std::sync::Arc;
use std::sync::atomic::{AtomicBool, AtomicUsize, Ordering};
use std::sync::mpsc::{Receiver, SyncSender, sync_channel};

use sealroute_forward::TransportHandle;

use crate::poller::Wakeup;

/// Packets: half a second of a large session, and 6 MB at most.
pub(crate) const CAPACITY: usize = 4_096;
/// Packets of a batch: as many as one system call receives, and fewer than an up track takes between
/// two flushes.
pub(crate) const BATCH: usize = 64;
/// Read batches that wait to be filled again.
const SPARE: usize = 32;

/// What crosses.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Kind {
    Rtp,
    Rtcp,
}

#[derive(Clone, Copy, Debug)]
struct Entry {
    to: TransportHandle,
    kind: Kind,
    end: usize,
}

/// Packets end to end.
#[derive(Debug, Default)]
pub(crate) struct Batch {
    bytes: Vec<u8>,
    entries: Vec<Entry>,
}

impl Batch {
    fn push(&mut self, to: TransportHandle, kind: Kind, parts: [&[u8]; 2]) {
        for part in parts {
            self.bytes.extend_from_slice(part);
        }
        let end = self.bytes.len();
        self.entries.push(Entry { to, kind, end });
    }

    pub(crate) fn len(&self) -> usize {
        self.entries.len()
    }

    /// The packets in order, each with the trunk it is for, as the reading side names it.
    pub(crate) fn iter(&self) -> impl Iterator<Item = (TransportHandle, Kind, &[u8])> {
        let mut start = 0;
        self.entries.iter().map(move |entry| {
            let packet = &self.bytes[start..entry.end];
            start = entry.end;
            (entry.to, entry.kind, packet)
        })
    }
}

/// Wakes a worker that sleeps.
#[derive(Debug)]
pub(crate) struct Doorbell {
    sleeps: AtomicBool,
    wakeup: Wakeup,
}

impl Doorbell {
    pub(crate) fn new() -> io::Result<Self> {
        Ok(Self {
            sleeps: AtomicBool::new(false),
            wakeup: Wakeup::new()?,
        })
    }

    pub(crate) fn wakeup(&self) -> &Wakeup {
        &self.wakeup
    }

    /// What waits was made visible before.
    fn ring(&self) {
        if self.sleeps.swap(false, Ordering::SeqCst) {
            self.wakeup.signal();
        }
    }

    /// The worker will wait for a signal, unless it finds something afterwards.
    pub(crate) fn lie_down(&self) {
        self.sleeps.store(true, Ordering::SeqCst);
    }

    pub(crate) fn get_up(&self) {
        self.sleeps.store(false, Ordering::SeqCst);
    }
}

/// Why packets did not cross.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Refused {
    /// The ring is full.
    Full,
    /// The other worker has ended: this many packets are lost, the added one among them.
    Gone(usize),
}

/// The writing end.
#[derive(Debug)]
pub(crate) struct RingWriter {
    batches: SyncSender<Batch>,
    spare: Receiver<Batch>,
    /// Packets in the ring.
    waiting: Arc<AtomicUsize>,
    bell: Arc<Doorbell>,
    filling: Batch,
    has_passed: bool,
}

/// The reading end.
#[derive(Debug)]
pub(crate) struct RingReader {
    batches: Receiver<Batch>,
    spare: SyncSender<Batch>,
    waiting: Arc<AtomicUsize>,
}

/// A ring to the worker with this doorbell.
pub(crate) fn ring(bell: Arc<Doorbell>) -> (RingWriter, RingReader) {
    // A batch has a packet at least, so there is room for as many batches.
    let (batches, full) = sync_channel(CAPACITY);
    let (empty, spare) = sync_channel(SPARE);
    let waiting = Arc::new(AtomicUsize::new(0));
    let writer = RingWriter {
        batches,
        spare,
        waiting: Arc::clone(&waiting),
        bell,
        filling: Batch::default(),
        has_passed: false,
    };
    let reader = RingReader {
        batches: full,
        spare: empty,
        waiting,
    };
    (writer, reader)
}

impl RingWriter {
    /// Adds a packet for a trunk of the other side.
    pub(crate) fn push(
        &mut self,
        to: TransportHandle,
        kind: Kind,
        parts: [&[u8]; 2],
    ) -> Result<(), Refused> {
        if self.waiting.load(Ordering::Relaxed) + self.filling.len() >= CAPACITY {
            return Err(Refused::Full);
        }
        self.filling.push(to, kind, parts);
        if self.filling.len() < BATCH {
            return Ok(());
        }
        self.pass_on().map_err(Refused::Gone)
    }

    /// Passes on what was added, and wakes the other side. Returns how many packets were lost
    /// because it has ended.
    pub(crate) fn flush(&mut self) -> usize {
        let lost = self.pass_on().err().unwrap_or_default();
        if std::mem::take(&mut self.has_passed) {
            self.bell.ring();
        }
        lost
    }

    /// Ends the batch. An error has the number of packets that nobody will read.
    fn pass_on(&mut self) -> Result<(), usize> {
        let packets = self.filling.len();
        if packets == 0 {
            return Ok(());
        }
        let next = self.spare.try_recv().unwrap_or_default();
        let batch = std::mem::replace(&mut self.filling, next);
        // Counted before it can be read, so that the count is never too low.
        self.waiting.fetch_add(packets, Ordering::SeqCst);
        if self.batches.try_send(batch).is_err() {
            self.waiting.fetch_sub(packets, Ordering::SeqCst);
            return Err(packets);
        }
        self.has_passed = true;
        Ok(())
    }
}

impl RingReader {
    /// Whether something waits, or is about to.
    pub(crate) fn has_waiting(&self) -> bool {
        self.waiting.load(Ordering::SeqCst) > 0
    }

    pub(crate) fn pop(&mut self) -> Option<Batch> {
        let batch = self.batches.try_recv().ok()?;
        self.waiting.fetch_sub(batch.len(), Ordering::SeqCst);
        Some(batch)
    }

    /// Gives a read batch back to be filled again.
    pub(crate) fn give_back(&mut self, mut batch: Batch) {
        batch.bytes.clear();
        batch.entries.clear();
        // Whether there is room or the writer is gone: it is dropped.
        let _ = self.spare.try_send(batch);
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::poller::Poller;
    use std::net::UdpSocket;
    use std::os::fd::AsFd;
    use std::thread;

    const TRUNK: TransportHandle = TransportHandle(3);

    fn ring() -> (RingWriter, RingReader, Arc<Doorbell>) {
        let bell = Arc::new(Doorbell::new().unwrap());
        let (writer, reader) = super::ring(Arc::clone(&bell));
        (writer, reader, bell)
    }

    fn push(writer: &mut RingWriter, number: u32) -> Result<(), Refused> {
        writer.push(TRUNK, Kind::Rtp, [&number.to_be_bytes(), b"rest"])
    }

    fn numbers(reader: &mut RingReader) -> Vec<u32> {
        let mut read = Vec::new();
        while let Some(batch) = reader.pop() {
            for (to, kind, packet) in batch.iter() {
                assert_eq!((to, kind, &packet[4..]), (TRUNK, Kind::Rtp, &b"rest"[..]));
                read.push(u32::from_be_bytes(*packet.first_chunk().unwrap()));
            }
            reader.give_back(batch);
        }
        read
    }

    #[test]
    fn packets_arrive_whole_and_in_order_and_none_before_the_batch_ends() {
        let (mut writer, mut reader, _) = ring();
        for number in 0..BATCH as u32 + 9 {
            push(&mut writer, number).unwrap();
        }
        assert!(reader.has_waiting());
        assert_eq!(numbers(&mut reader), (0..BATCH as u32).collect::<Vec<_>>());
        assert!(!reader.has_waiting());
        assert_eq!(writer.flush(), 0);
        assert_eq!(numbers(&mut reader).len(), 9);
    }

    #[test]
    fn a_full_ring_refuses_packets_until_some_are_read() {
        let (mut writer, mut reader, _) = ring();
        let taken = (0..5_000).filter(|&number| push(&mut writer, number).is_ok());
        assert_eq!(taken.count(), CAPACITY);
        assert_eq!(push(&mut writer, 0), Err(Refused::Full));
        writer.flush();
        let batch = reader.pop().unwrap();
        let room = batch.len();
        reader.give_back(batch);
        let taken = (0..5_000).filter(|&number| push(&mut writer, number).is_ok());
        assert_eq!(taken.count(), room);
        writer.flush();
        assert_eq!(numbers(&mut reader).len(), CAPACITY);
        // Batches of a packet each need no more room.
        for number in 0..5_000 {
            let _ = push(&mut writer, number);
            assert_eq!(writer.flush(), 0);
        }
        assert_eq!(numbers(&mut reader), (0..4_096).collect::<Vec<_>>());
    }

    #[test]
    fn only_a_worker_that_sleeps_is_woken_and_once() {
        let (mut writer, mut reader, bell) = ring();
        push(&mut writer, 1).unwrap();
        writer.flush();
        assert_eq!(bell.wakeup().signals(), 0);
        bell.lie_down();
        writer.flush();
        assert_eq!(bell.wakeup().signals(), 0, "nothing is new");
        for number in 2..4 {
            push(&mut writer, number).unwrap();
            writer.flush();
        }
        assert_eq!(bell.wakeup().signals(), 1);
        assert_eq!(numbers(&mut reader), [1, 2, 3]);
    }

    #[test]
    fn packets_to_a_worker_that_has_ended_are_counted() {
        let (mut writer, reader, _) = ring();
        drop(reader);
        push(&mut writer, 1).unwrap();
        push(&mut writer, 2).unwrap();
        assert_eq!(writer.flush(), 2);
        push(&mut writer, 3).unwrap();
        assert_eq!(writer.flush(), 1);
        // A batch that becomes full is lost as a whole, with the packet that filled it.
        for number in 1..BATCH as u32 {
            push(&mut writer, number).unwrap();
        }
        assert_eq!(push(&mut writer, 0), Err(Refused::Gone(BATCH)));
        assert_eq!(writer.flush(), 0);
    }

    #[test]
    fn two_threads_lose_nothing_and_neither_waits_forever() {
        const PACKETS: u32 = 50_000;
        let (mut writer, mut reader, bell) = ring();
        let [ours, tap] = [0; 2].map(|port| UdpSocket::bind(("127.0.0.1", port)).unwrap());
        let poller = Poller::new(ours.as_fd(), bell.wakeup(), None, tap.as_fd()).unwrap();
        let reading = thread::spawn(move || {
            let mut next = 0;
            while next < PACKETS {
                bell.lie_down();
                if !reader.has_waiting() {
                    poller.wait(None).unwrap();
                    bell.wakeup().clear();
                }
                bell.get_up();
                for number in numbers(&mut reader) {
                    assert_eq!(number, next);
                    next += 1;
                }
            }
        });
        for number in 0..PACKETS {
            while push(&mut writer, number) == Err(Refused::Full) {
                writer.flush();
                thread::yield_now();
            }
            if number % 7 == 0 {
                writer.flush();
            }
        }
        writer.flush();
        reading.join().unwrap();
    }
}
