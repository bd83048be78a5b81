//! The floor: the cost of the same sends without a server, receiving or cryptography.

use crate::Error;
use crate::clock::{sleep_until, unix_ns};
use crate::job::Floor;
use crate::system::{self, BATCH, ReceiveBatch, thread_cpu_ns};
use serde::Serialize;
use std::net::{SocketAddr, UdpSocket};
use std::sync::atomic::{AtomicBool, Ordering};

const RECEIVE_BUFFER_BYTES: i32 = 4 << 20;
const POLL_NS: u64 = 20_000_000;
/// A segmented message must fit into a UDP datagram.
const LARGEST_MESSAGE_BYTES: usize = 65_000;

/// Totals of a floor measurement.
#[derive(Debug, Serialize)]
pub struct FloorResult {
    /// Datagrams sent.
    pub sent: u64,
    /// Datagrams that arrived.
    pub arrived: u64,
    /// CPU time of the sending thread per datagram.
    pub cpu_us_per_packet: f64,
}

fn validate(job: &Floor) -> Result<(), Error> {
    let burst_bytes = job.burst as usize * job.datagram_bytes;
    let fits = !job.segmented || burst_bytes <= LARGEST_MESSAGE_BYTES;
    let sane = (1..=10_000).contains(&job.sinks)
        && (1..=1_472).contains(&job.datagram_bytes)
        && (1..=64).contains(&job.burst)
        && (0.1..=1e6).contains(&job.rate_pps)
        && (0.0..=3_600.0).contains(&job.seconds);
    if fits && sane {
        Ok(())
    } else {
        Err(Error::Job("floor: a field is out of range".into()))
    }
}

fn drain(sinks: &[UdpSocket], over: &AtomicBool) -> Result<u64, Error> {
    let mut batch = ReceiveBatch::default();
    let mut arrived = 0;
    loop {
        let last = over.load(Ordering::Acquire);
        let now = unix_ns();
        for sink in sinks {
            loop {
                let count = batch.receive(sink)?;
                arrived += count as u64;
                if count < BATCH {
                    break;
                }
            }
        }
        if last {
            return Ok(arrived);
        }
        sleep_until(now + POLL_NS);
    }
}

struct Sender<'a> {
    socket: UdpSocket,
    job: &'a Floor,
    destinations: Vec<libc::sockaddr_in>,
    bytes: Vec<u8>,
}

impl Sender<'_> {
    /// Sends one burst to each destination, one subscriber after the other as a server does.
    fn burst(&self) -> u64 {
        let repeats = if self.job.segmented {
            1
        } else {
            self.job.burst
        };
        let packets = if self.job.segmented {
            u64::from(self.job.burst)
        } else {
            1
        };
        let segment = self.job.segmented.then_some(self.job.datagram_bytes as u16);
        let mut sent = 0;
        for _ in 0..repeats {
            for chunk in self.destinations.chunks(BATCH) {
                let taken = system::send_to_all(&self.socket, &self.bytes, chunk, segment);
                sent += taken.unwrap_or(0) as u64 * packets;
            }
        }
        sent
    }

    fn run(&self) -> (u64, u64) {
        system::sleep_precisely();
        let interval = f64::from(self.job.burst) * 1e9 / self.job.rate_pps;
        let bursts = (self.job.seconds * 1e9 / interval) as u64;
        let begin = unix_ns();
        let cpu_before = thread_cpu_ns();
        let mut sent = 0;
        for burst in 0..bursts {
            sleep_until(begin + (burst as f64 * interval) as u64);
            sent += self.burst();
        }
        (sent, thread_cpu_ns() - cpu_before)
    }
}

/// Sends like a server with one publisher, and counts the arriving datagrams.
pub fn floor(job: &Floor) -> Result<FloorResult, Error> {
    validate(job)?;
    let mut sinks = Vec::with_capacity(job.sinks);
    let mut destinations = Vec::with_capacity(job.sinks);
    for _ in 0..job.sinks {
        let sink = UdpSocket::bind("127.0.0.1:0")?;
        system::prepare_receiver(&sink, RECEIVE_BUFFER_BYTES)?;
        if let SocketAddr::V4(at) = sink.local_addr()? {
            destinations.push(system::address(at));
        }
        sinks.push(sink);
    }
    let packets = if job.segmented { job.burst as usize } else { 1 };
    let sender = Sender {
        socket: UdpSocket::bind("127.0.0.1:0")?,
        job,
        destinations,
        bytes: vec![0x5a; job.datagram_bytes * packets],
    };
    let over = AtomicBool::new(false);
    let (sent, arrived) = std::thread::scope(|scope| {
        let drained = scope.spawn(|| drain(&sinks, &over));
        let sent = scope.spawn(|| sender.run()).join();
        over.store(true, Ordering::Release);
        (sent, drained.join())
    });
    let ended = || Error::Job("a thread ended early".into());
    let (sent, cpu_ns) = sent.map_err(|_| ended())?;
    Ok(FloorResult {
        sent,
        arrived: arrived.map_err(|_| ended())??,
        cpu_us_per_packet: cpu_ns as f64 / 1e3 / (sent.max(1) as f64),
    })
}
