//! Attackers: traffic of third parties, and of attackers that forge a peer's address.
//!
//! They hold no keys. Replies to them are counted; there should be none.

use crate::Error;
use crate::clock::{sleep_until, unix_ns};
use crate::job::{Attack, AttackKind};
use crate::system::{self, BATCH, ReceiveBatch, thread_cpu_ns};
use sealroute_transport::stun::{self, BindingRequest};
use serde::Serialize;
use std::net::UdpSocket;

const TICK_NS: u64 = 1_000_000;
const LARGEST_BYTES: usize = 1_200;
/// Wait for packets in flight.
const DRAIN_NS: u64 = 200_000_000;
const RTP_VERSION: u8 = 0x80;
/// A payload that is not a frame, followed by the place of the tag.
const FORGED_BYTES: usize = 160;
/// A DTLS 1.2 record with a `ClientHello` that offers only NULL ciphers (RFC 6347, RFC 5246 A.5).
const HELLO_HEAD: [u8; 27] = [
    22, 0xFE, 0xFF, 0, 0, 0, 0, 0, 0, 0, 0, 0,
    56, // record: type, version, epoch, number, length
    1, 0, 0, 44, 0, 0, 0, 0, 0, 0, 0, 44, // handshake: type, length, number, fragment
    0xFE, 0xFD,
];
const HELLO_TAIL: [u8; 10] = [0, 0, 0, 4, 0x00, 0x01, 0x00, 0x02, 1, 0];
const RANDOM_BYTES: usize = 32;
/// First bytes that belong to DTLS (RFC 7983).
const DTLS_FIRST: u8 = 20;
const DTLS_KINDS: u8 = 44;

/// Totals of an attack.
#[derive(Debug, Serialize)]
pub struct AttackResult {
    /// Datagrams sent.
    pub sent: u64,
    /// Their bytes.
    pub sent_bytes: u64,
    /// Datagrams received by the attackers' own sockets.
    pub replies: u64,
    /// Their bytes.
    pub reply_bytes: u64,
    /// Duration.
    pub seconds: f64,
    /// CPU time of the attacker per datagram.
    pub cpu_us_per_packet: f64,
}

/// Marsaglia's xorshift64: fast, seeded, and random enough for noise.
struct Noise(u64);

impl Noise {
    fn next(&mut self) -> u64 {
        self.0 ^= self.0 << 13;
        self.0 ^= self.0 >> 7;
        self.0 ^= self.0 << 17;
        self.0
    }

    fn fill(&mut self, bytes: &mut [u8]) {
        for chunk in bytes.chunks_mut(8) {
            let word = self.next().to_le_bytes();
            chunk.copy_from_slice(&word[..chunk.len()]);
        }
    }
}

struct Forger {
    kind: AttackKind,
    ssrc: u32,
    noise: Noise,
    sequence: u16,
}

impl Forger {
    /// Writes the next datagram. Returns its length.
    fn write(&mut self, packet: &mut [u8; LARGEST_BYTES]) -> usize {
        match self.kind {
            AttackKind::Noise => {
                let length = 1 + (self.noise.next() % LARGEST_BYTES as u64) as usize;
                self.noise.fill(&mut packet[..length]);
                length
            }
            AttackKind::Checks => self.check(packet),
            AttackKind::Hellos => self.hello(packet),
            AttackKind::Forged => self.forged(packet),
            AttackKind::Records => self.record(packet),
        }
    }

    /// A check for a transport that does not exist, authenticated with a guessed password.
    fn check(&mut self, packet: &mut [u8]) -> usize {
        let mut transaction_id = [0; 12];
        self.noise.fill(&mut transaction_id);
        let username = format!(
            "{:016x}:{:08x}",
            self.noise.next(),
            self.noise.next() as u32
        );
        let request = BindingRequest {
            transaction_id,
            username: &username,
            priority: 0x7eff_ffff,
            controlling: self.noise.next(),
            use_candidate: true,
        };
        stun::write_binding_request(&request, b"a password that is not right", packet)
    }

    fn hello(&mut self, packet: &mut [u8]) -> usize {
        let (random, tail) = (HELLO_HEAD.len(), HELLO_HEAD.len() + RANDOM_BYTES);
        packet[..random].copy_from_slice(&HELLO_HEAD);
        self.noise.fill(&mut packet[random..tail]);
        packet[tail..tail + HELLO_TAIL.len()].copy_from_slice(&HELLO_TAIL);
        tail + HELLO_TAIL.len()
    }

    fn record(&mut self, packet: &mut [u8]) -> usize {
        if self.noise.next().is_multiple_of(4) {
            return self.hello(packet);
        }
        let length = 1 + (self.noise.next() % 300) as usize;
        self.noise.fill(&mut packet[..length]);
        packet[0] = DTLS_FIRST + packet[0] % DTLS_KINDS;
        length
    }

    fn forged(&mut self, packet: &mut [u8]) -> usize {
        self.sequence = self.sequence.wrapping_add(1);
        self.noise.fill(&mut packet[..FORGED_BYTES]);
        packet[..2].copy_from_slice(&[RTP_VERSION, 96]);
        packet[2..4].copy_from_slice(&self.sequence.to_be_bytes());
        packet[8..12].copy_from_slice(&self.ssrc.to_be_bytes());
        FORGED_BYTES
    }
}

fn validate(job: &Attack) -> Result<(), Error> {
    let sane = (1.0..=1e6).contains(&job.rate_pps)
        && (0.0..=3_600.0).contains(&job.seconds)
        && (1..=1_024).contains(&job.sockets)
        && job.fds.len() <= 1_024;
    if sane {
        Ok(())
    } else {
        Err(Error::Job("attack: a field is out of range".into()))
    }
}

/// The attackers' own sockets, or sockets of victims whose addresses are forged.
fn open(job: &Attack) -> Result<Vec<UdpSocket>, Error> {
    if !job.fds.is_empty() {
        return Ok(job
            .fds
            .iter()
            .map(|&fd| system::adopt(fd))
            .collect::<Result<_, _>>()?);
    }
    let own = || {
        let socket = UdpSocket::bind("127.0.0.1:0")?;
        socket.set_nonblocking(true)?;
        socket.connect(job.target)?;
        Ok(socket)
    };
    (0..job.sockets).map(|_| own()).collect()
}

struct Attacker {
    sockets: Vec<UdpSocket>,
    forger: Forger,
    packets: Vec<[u8; LARGEST_BYTES]>,
    batch: ReceiveBatch,
    /// Whether to receive: datagrams to a victim's socket belong to the victim.
    listens: bool,
    turn: usize,
    result: AttackResult,
}

impl Attacker {
    fn send(&mut self, count: usize) {
        let mut lengths = [0; BATCH];
        for (packet, length) in self.packets.iter_mut().zip(&mut lengths).take(count) {
            *length = self.forger.write(packet);
        }
        let packets = self.packets.iter().zip(lengths);
        let slices: Vec<&[u8]> = packets
            .take(count)
            .map(|(packet, length)| &packet[..length])
            .collect();
        self.turn = (self.turn + 1) % self.sockets.len();
        // A full buffer or an error counts as loss.
        let taken = system::send_batch(&self.sockets[self.turn], &slices).unwrap_or(0);
        self.result.sent += taken as u64;
        let bytes: usize = lengths[..taken].iter().sum();
        self.result.sent_bytes += bytes as u64;
    }

    fn listen(&mut self, socket: usize) -> Result<(), Error> {
        if !self.listens {
            return Ok(());
        }
        loop {
            let count = self.batch.receive(&self.sockets[socket])?;
            for index in 0..count {
                let (bytes, _) = self.batch.packet(index);
                self.result.replies += 1;
                self.result.reply_bytes += bytes.len() as u64;
            }
            if count < BATCH {
                return Ok(());
            }
        }
    }
}

/// Runs the attack for the duration of the job.
pub fn attack(job: &Attack) -> Result<AttackResult, Error> {
    validate(job)?;
    let mut attacker = Attacker {
        sockets: open(job)?,
        forger: Forger {
            kind: job.kind,
            ssrc: job.ssrc,
            noise: Noise(job.seed | 1),
            sequence: 0,
        },
        packets: vec![[0; LARGEST_BYTES]; BATCH],
        batch: ReceiveBatch::default(),
        listens: job.fds.is_empty(),
        turn: 0,
        result: AttackResult {
            sent: 0,
            sent_bytes: 0,
            replies: 0,
            reply_bytes: 0,
            seconds: 0.0,
            cpu_us_per_packet: 0.0,
        },
    };
    system::sleep_precisely();
    let (begin, cpu_before) = (unix_ns(), thread_cpu_ns());
    let (mut tick, mut tried) = (begin, 0);
    loop {
        let passed_s = unix_ns().saturating_sub(begin) as f64 / 1e9;
        if passed_s >= job.seconds {
            break;
        }
        let due = (passed_s * job.rate_pps) as u64;
        // A slow machine does not make up for its backlog at once.
        tried = tried.max(due.saturating_sub((job.rate_pps / 50.0) as u64 + 1));
        while tried < due {
            let count = (due - tried).min(BATCH as u64);
            attacker.send(count as usize);
            tried += count;
        }
        let turn = attacker.turn;
        attacker.listen(turn)?;
        tick = (tick + TICK_NS).max(unix_ns());
        sleep_until(tick);
    }
    let end = unix_ns();
    attacker.result.seconds = (end - begin) as f64 / 1e9;
    let cpu_us = (thread_cpu_ns() - cpu_before) as f64 / 1e3;
    attacker.result.cpu_us_per_packet = cpu_us / attacker.result.sent.max(1) as f64;
    sleep_until(end + DRAIN_NS);
    for socket in 0..attacker.sockets.len() {
        attacker.listen(socket)?;
    }
    Ok(attacker.result)
}

#[cfg(test)]
mod tests {
    use super::*;
    use sealroute_transport::{PacketKind, classify};

    fn forger(kind: AttackKind) -> Forger {
        Forger {
            kind,
            ssrc: 0x1234_5678,
            noise: Noise(7),
            sequence: 0,
        }
    }

    #[test]
    fn forged_packets_look_like_real_ones() {
        let mut packet = [0; LARGEST_BYTES];
        let length = forger(AttackKind::Hellos).write(&mut packet);
        assert_eq!(classify(&packet[..length]), PacketKind::Dtls);
        assert_eq!(length, 13 + usize::from(packet[12]));
        let length = forger(AttackKind::Forged).write(&mut packet);
        assert_eq!(classify(&packet[..length]), PacketKind::Rtp);
        assert_eq!(&packet[8..12], &[0x12, 0x34, 0x56, 0x78]);
        let mut records = forger(AttackKind::Records);
        for _ in 0..100 {
            let length = records.write(&mut packet);
            assert_eq!(classify(&packet[..length]), PacketKind::Dtls);
        }
        let length = forger(AttackKind::Checks).write(&mut packet);
        assert!(stun::parse_request(&packet[..length]).is_ok());
    }

    #[test]
    fn an_attack_keeps_its_rate_and_counts_replies() {
        let target = UdpSocket::bind("127.0.0.1:0").unwrap();
        system::prepare_receiver(&target, 8 << 20).unwrap();
        let std::net::SocketAddr::V4(address) = target.local_addr().unwrap() else {
            unreachable!()
        };
        let job = Attack {
            kind: AttackKind::Noise,
            target: address,
            rate_pps: 5_000.0,
            seconds: 0.2,
            sockets: 4,
            fds: Vec::new(),
            ssrc: 0,
            seed: 3,
        };
        let echo = std::thread::spawn(move || {
            let mut bytes = [0; 2_048];
            let (_, from) = target.recv_from(&mut bytes).unwrap();
            target.send_to(b"ten bytes!", from).unwrap();
            target
        });
        let result = attack(&job).unwrap();
        let target = echo.join().unwrap();
        let mut batch = ReceiveBatch::default();
        let mut arrived = 1;
        while let more @ 1.. = batch.receive(&target).unwrap() {
            arrived += more as u64;
        }
        assert_eq!((result.replies, result.reply_bytes), (1, 10));
        assert_eq!(result.sent, arrived);
        assert!(result.sent <= 1_100, "{}", result.sent);
    }

    #[test]
    fn a_job_out_of_range_is_refused() {
        let job = Attack {
            kind: AttackKind::Checks,
            target: "127.0.0.1:9".parse().unwrap(),
            rate_pps: 1e9,
            seconds: 1.0,
            sockets: 1,
            fds: Vec::new(),
            ssrc: 0,
            seed: 0,
        };
        assert!(attack(&job).is_err());
    }
}
