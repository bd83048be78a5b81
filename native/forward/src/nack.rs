//! NACK generation: which packets of an RtpStream are missing, and when to request them (RFC 4585).

use std::collections::BTreeMap;
use std::time::{Duration, Instant};

use sealroute_rtp::{FullSequence, Sequence};

/// A gap larger than this is a jump. Requesting it would only waste the uplink.
const MAX_GAP: u64 = 256;
const MAX_MISSING: usize = 512;
const MAX_TRIES: u8 = 10;
/// About a round trip within a continent. An earlier request would fetch packets that are already
/// on their way.
const RETRY_INTERVAL: Duration = Duration::from_millis(80);
/// Packets later than this are useless to a jitter buffer.
const MAX_AGE: Duration = Duration::from_millis(800);

#[derive(Clone, Copy, Debug)]
struct Missing {
    since: Instant,
    next_try: Instant,
    tries: u8,
}

/// NACK state of one RtpStream.
#[derive(Clone, Debug, Default)]
pub struct NackGenerator {
    highest: Option<FullSequence>,
    missing: BTreeMap<FullSequence, Missing>,
    /// Nothing is due before this time, so the map is not examined with each packet.
    next: Option<Instant>,
}

impl NackGenerator {
    /// Registers an arrival.
    pub fn handle_arrival(&mut self, now: Instant, sequence: FullSequence) {
        let Some(highest) = self.highest else {
            self.highest = Some(sequence);
            return;
        };
        if sequence <= highest {
            self.missing.remove(&sequence);
            self.next = self.next.filter(|_| !self.missing.is_empty());
            return;
        }
        self.highest = Some(sequence);
        let gap = sequence.0 - highest.0 - 1;
        if gap > MAX_GAP {
            self.missing.clear();
            self.next = None;
            return;
        }
        for lost in highest.0 + 1..sequence.0 {
            if self.missing.len() >= MAX_MISSING {
                self.missing.pop_first();
            }
            let entry = Missing {
                since: now,
                next_try: now,
                tries: 0,
            };
            self.missing.insert(FullSequence(lost), entry);
            self.next = Some(now);
        }
    }

    /// Appends the sequence numbers to request now, ascending. Each is returned again only after
    /// its retry interval.
    pub fn poll(&mut self, now: Instant, into: &mut Vec<Sequence>) {
        if self.next.is_none_or(|next| next > now) {
            return;
        }
        self.missing.retain(|_, missing| {
            missing.tries < MAX_TRIES && now.duration_since(missing.since) < MAX_AGE
        });
        for (sequence, missing) in &mut self.missing {
            if missing.next_try <= now {
                missing.tries += 1;
                missing.next_try = now + RETRY_INTERVAL;
                into.push(sequence.truncated());
            }
        }
        self.next = self.missing.values().map(|missing| missing.next_try).min();
    }

    /// When the next request may be due.
    pub fn poll_timeout(&self) -> Option<Instant> {
        self.next
    }
}
