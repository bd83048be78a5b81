//! The filter in front of the DTLS handshake: it passes whole records that a peer may send, at a
//! limited rate.
//!
//! A handshake message costs thousands of times as much as receiving a datagram. Its records are in
//! the clear, so anybody who can forge a peer's address can send one. Invalid records are discarded
//! silently and change nothing (RFC 6347, section 4.1.2.7). Pure: time is a parameter.

use std::time::{Duration, Instant};

/// Larger than any datagram of a client.
const MAX_DATAGRAM_BYTES: usize = 2_048;
const RECORD_HEADER_BYTES: usize = 13;
const HANDSHAKE_HEADER_BYTES: usize = 12;
const CHANGE_CIPHER_SPEC: u8 = 20;
const ALERT: u8 = 21;
const HANDSHAKE: u8 = 22;
const APPLICATION_DATA: u8 = 23;
/// Every handshake message of either role: hellos, `HelloVerifyRequest`, tickets, certificates and
/// their status, key exchanges, `CertificateRequest`, `ServerHelloDone`, `CertificateVerify`,
/// Finished.
const MESSAGES: [u8; 12] = [1, 2, 3, 4, 11, 12, 13, 14, 15, 16, 20, 22];
/// A peer sends at most six messages, and starts over after a `HelloVerifyRequest`.
const MAX_MESSAGE_SEQUENCE: u16 = 15;
/// A certificate chain is the longest message; WebRTC clients have one certificate of about 300
/// bytes.
const MAX_MESSAGE_BYTES: usize = 16_384;

/// A handshake takes about ten datagrams; this burst leaves room for retransmitted flights.
const HANDSHAKING: Rate = Rate {
    burst: 64,
    every: Duration::from_millis(20),
};
/// After the handshake only a retransmitted last flight and an alert are expected.
const CONNECTED: Rate = Rate {
    burst: 8,
    every: Duration::from_secs(1),
};
/// All transports of a worker together. A storm of 100 joins per second takes about 2,000 datagrams
/// per second. A bad record costs OpenSSL 0.2 ms, so a flood from many transports has to be limited
/// too.
const OF_A_WORKER: Rate = Rate {
    burst: 5_000,
    every: Duration::from_micros(400),
};

/// Why a DTLS datagram was discarded.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum DtlsRefusal {
    /// Not a sequence of whole DTLS 1.2 records, or not handshake messages.
    Malformed,
    /// An unprotected alert: anybody can forge one.
    ClearAlert,
    /// Application data; data channels are not supported.
    ApplicationData,
    /// More datagrams than handshakes take.
    Flood,
}

/// A token bucket's parameters: `burst` tokens, and one more per `every`.
#[derive(Clone, Copy, Debug)]
struct Rate {
    burst: u32,
    every: Duration,
}

/// A token bucket.
#[derive(Clone, Copy, Debug)]
struct Bucket {
    rate: Rate,
    tokens: u32,
    refilled: Instant,
}

impl Bucket {
    fn new(rate: Rate, now: Instant) -> Self {
        Self {
            rate,
            tokens: rate.burst,
            refilled: now,
        }
    }

    fn has_one(&mut self, now: Instant) -> bool {
        let Rate { burst, every } = self.rate;
        let elapsed = now.saturating_duration_since(self.refilled);
        let due = (elapsed.as_micros() / every.as_micros()).min(u128::from(burst)) as u32;
        if self.tokens + due >= burst {
            (self.tokens, self.refilled) = (burst, now);
        } else {
            self.tokens += due;
            self.refilled += every * due;
        }
        self.tokens > 0
    }
}

/// The rate limit shared by all transports of a worker.
#[derive(Clone, Copy, Debug)]
pub struct SharedDtlsGate(Bucket);

impl SharedDtlsGate {
    /// A full bucket, sized for a storm of joins.
    pub fn new(now: Instant) -> Self {
        Self(Bucket::new(OF_A_WORKER, now))
    }
}

/// The filter of one transport.
#[derive(Clone, Copy, Debug)]
pub struct DtlsGate(Bucket);

impl DtlsGate {
    /// A full bucket, sized for a whole handshake.
    pub fn new(now: Instant) -> Self {
        Self(Bucket::new(HANDSHAKING, now))
    }

    /// The handshake succeeded: few datagrams are expected from now on.
    pub fn on_connected(&mut self, now: Instant) {
        self.0 = Bucket::new(CONNECTED, now);
    }

    /// Whether a datagram is passed on. Invalid ones use no tokens, and a transport that exceeds
    /// its own limit uses no shared ones.
    ///
    /// # Errors
    /// Why it is discarded.
    pub fn pass(
        &mut self,
        now: Instant,
        datagram: &[u8],
        shared: &mut SharedDtlsGate,
    ) -> Result<(), DtlsRefusal> {
        check_datagram(datagram)?;
        if !self.0.has_one(now) || !shared.0.has_one(now) {
            return Err(DtlsRefusal::Flood);
        }
        self.0.tokens -= 1;
        shared.0.tokens -= 1;
        Ok(())
    }
}

/// Whether a datagram is a sequence of records that a peer may send.
///
/// # Errors
/// Why not.
pub fn check_datagram(datagram: &[u8]) -> Result<(), DtlsRefusal> {
    if datagram.is_empty() || datagram.len() > MAX_DATAGRAM_BYTES {
        return Err(DtlsRefusal::Malformed);
    }
    let (mut rest, mut carries_data) = (datagram, false);
    while !rest.is_empty() {
        let (header, behind) = rest
            .split_first_chunk::<RECORD_HEADER_BYTES>()
            .ok_or(DtlsRefusal::Malformed)?;
        let length = usize::from(u16::from_be_bytes([header[11], header[12]]));
        let content = behind.get(..length).ok_or(DtlsRefusal::Malformed)?;
        check_record(header, content)?;
        carries_data |= header[0] == APPLICATION_DATA;
        rest = &behind[length..];
    }
    if carries_data {
        return Err(DtlsRefusal::ApplicationData);
    }
    Ok(())
}

fn check_record(header: &[u8; RECORD_HEADER_BYTES], content: &[u8]) -> Result<(), DtlsRefusal> {
    // DTLS 1.2, or the version of DTLS 1.0 in a first hello. Epoch 0 is in the clear, epoch 1
    // encrypted.
    let known_version = header[1] == 0xFE && matches!(header[2], 0xFD | 0xFF);
    let epoch = u16::from_be_bytes([header[3], header[4]]);
    if !known_version || epoch > 1 || content.is_empty() {
        return Err(DtlsRefusal::Malformed);
    }
    let in_clear = epoch == 0;
    match header[0] {
        ALERT if in_clear => Err(DtlsRefusal::ClearAlert),
        HANDSHAKE if in_clear => check_handshake(content),
        CHANGE_CIPHER_SPEC if in_clear && content != [1] => Err(DtlsRefusal::Malformed),
        APPLICATION_DATA if in_clear => Err(DtlsRefusal::Malformed),
        CHANGE_CIPHER_SPEC | ALERT | HANDSHAKE | APPLICATION_DATA => Ok(()),
        _ => Err(DtlsRefusal::Malformed),
    }
}

/// One or more handshake messages or fragments in the clear.
fn check_handshake(mut content: &[u8]) -> Result<(), DtlsRefusal> {
    while !content.is_empty() {
        let (header, behind) = content
            .split_first_chunk::<HANDSHAKE_HEADER_BYTES>()
            .ok_or(DtlsRefusal::Malformed)?;
        let number =
            |at: usize| u32::from_be_bytes([0, header[at], header[at + 1], header[at + 2]]);
        let (length, offset, piece) = (number(1), number(6), number(9) as usize);
        let sequence = u16::from_be_bytes([header[4], header[5]]);
        let is_inside = offset as usize + piece <= length as usize;
        let is_known = MESSAGES.contains(&header[0]) && sequence <= MAX_MESSAGE_SEQUENCE;
        if !is_known || !is_inside || length as usize > MAX_MESSAGE_BYTES {
            return Err(DtlsRefusal::Malformed);
        }
        content = behind.get(piece..).ok_or(DtlsRefusal::Malformed)?;
    }
    Ok(())
}

#[cfg(test)]
mod tests {
    use super::*;

    fn record(kind: u8, epoch: u8, content: &[u8]) -> Vec<u8> {
        let mut bytes = vec![kind, 0xFE, 0xFD, 0, epoch, 0, 0, 0, 0, 0, 0];
        bytes.extend_from_slice(&(content.len() as u16).to_be_bytes());
        bytes.extend_from_slice(content);
        bytes
    }

    fn message(kind: u8, sequence: u8, body: &[u8]) -> Vec<u8> {
        let length = body.len() as u8;
        let mut bytes = vec![kind, 0, 0, length, 0, sequence, 0, 0, 0, 0, 0, length];
        bytes.extend_from_slice(body);
        bytes
    }

    #[test]
    fn valid_records_pass() {
        let hello = record(HANDSHAKE, 0, &message(1, 0, &[7; 90]));
        let mut flight = record(HANDSHAKE, 0, &message(11, 1, &[7; 200]));
        flight.extend(record(HANDSHAKE, 0, &message(16, 2, &[7; 66])));
        flight.extend(record(HANDSHAKE, 0, &message(15, 3, &[7; 70])));
        flight.extend(record(CHANGE_CIPHER_SPEC, 0, &[1]));
        flight.extend(record(HANDSHAKE, 1, &[9; 48]));
        for datagram in [hello, flight, record(ALERT, 1, &[9; 26])] {
            assert_eq!(check_datagram(&datagram), Ok(()));
        }
    }

    #[test]
    fn invalid_records_are_discarded_by_reason() {
        let hello = record(HANDSHAKE, 0, &message(1, 0, &[7; 90]));
        let with = |at: usize, value: u8| {
            let mut bytes = hello.clone();
            bytes[at] = value;
            bytes
        };
        for (datagram, reason) in [
            (Vec::new(), DtlsRefusal::Malformed),
            (hello[..hello.len() - 1].to_vec(), DtlsRefusal::Malformed),
            ([hello.as_slice(), &[22]].concat(), DtlsRefusal::Malformed),
            (with(0, 24), DtlsRefusal::Malformed),
            (with(1, 3), DtlsRefusal::Malformed),
            (with(2, 0xFC), DtlsRefusal::Malformed),
            (with(4, 2), DtlsRefusal::Malformed),
            (with(13, 0), DtlsRefusal::Malformed),
            (with(13 + 5, 16), DtlsRefusal::Malformed),
            (with(13 + 3, 10), DtlsRefusal::Malformed),
            (with(13 + 11, 99), DtlsRefusal::Malformed),
            (record(HANDSHAKE, 0, &[]), DtlsRefusal::Malformed),
            (record(CHANGE_CIPHER_SPEC, 0, &[2]), DtlsRefusal::Malformed),
            (record(ALERT, 0, &[2, 40]), DtlsRefusal::ClearAlert),
            (record(APPLICATION_DATA, 0, &[1]), DtlsRefusal::Malformed),
            (
                record(APPLICATION_DATA, 1, &[1]),
                DtlsRefusal::ApplicationData,
            ),
            (vec![22; 3_000], DtlsRefusal::Malformed),
        ] {
            assert_eq!(check_datagram(&datagram), Err(reason), "{datagram:?}");
        }
    }

    #[test]
    fn a_flood_is_limited_to_fifty_a_second_and_junk_uses_no_tokens() {
        let mut now = Instant::now();
        let (mut gate, mut shared) = (DtlsGate::new(now), SharedDtlsGate::new(now));
        let hello = record(HANDSHAKE, 0, &message(1, 0, &[7; 90]));
        for _ in 0..10_000 {
            let refused = gate.pass(now, &[22; 40], &mut shared);
            assert_eq!(refused, Err(DtlsRefusal::Malformed));
        }
        let mut passed = 0;
        for _ in 0..50_000 {
            now += Duration::from_micros(20);
            match gate.pass(now, &hello, &mut shared) {
                Ok(()) => passed += 1,
                Err(reason) => assert_eq!(reason, DtlsRefusal::Flood),
            }
        }
        assert!((110..=115).contains(&passed), "{passed}");
        now += Duration::from_secs(100);
        let at_once = (0..100).filter(|_| gate.pass(now, &hello, &mut shared).is_ok());
        assert_eq!(at_once.count(), 64);
    }

    #[test]
    fn after_the_handshake_few_datagrams_pass() {
        let mut now = Instant::now();
        let (mut gate, mut shared) = (DtlsGate::new(now), SharedDtlsGate::new(now));
        let hello = record(HANDSHAKE, 0, &message(1, 0, &[7; 90]));
        gate.on_connected(now);
        let mut passed = 0;
        for _ in 0..10_000 {
            now += Duration::from_millis(1);
            passed += usize::from(gate.pass(now, &hello, &mut shared).is_ok());
        }
        assert!((17..=19).contains(&passed), "{passed}");
    }

    #[test]
    fn many_transports_together_are_limited_too() {
        let mut now = Instant::now();
        let mut shared = SharedDtlsGate::new(now);
        let mut gates = vec![DtlsGate::new(now); 400];
        let hello = record(HANDSHAKE, 0, &message(1, 0, &[7; 90]));
        let mut passed = 0;
        for _ in 0..100 {
            now += Duration::from_millis(10);
            for gate in &mut gates {
                passed += usize::from(gate.pass(now, &hello, &mut shared).is_ok());
            }
        }
        assert!((7_400..=7_600).contains(&passed), "{passed}");
    }
}
