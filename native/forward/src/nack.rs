//! Which packets of an RtpStream are missing, and when to ask for them (RFC 4585).

use std::collections::BTreeMap;
use std::time::{Duration, Instant};

use sealroute_rtp::{FullSequence, Sequence};

/// A gap larger than this is a jump: asking for it would only waste the uplink.
const MAX_GAP: u64 = 256;
const MAX_MISSING: usize = 512;
const MAX_TRIES: u8 = 10;
/// About a round trip within a continent: asking sooner fetches packets that are on their way.
const RETRY_INTERVAL: Duration = Duration::from_millis(80);
/// A packet that comes later than this is of no use to a jitter buffer.
const MAX_AGE: Duration = Duration::from_millis(800);

#[derive(Clone, Copy, Debug)]
struct Missing {
    since: Instant,
    next_try: Instant,
    tries: u8,
}

/// Follows one RtpStream.
#[derive(Clone, Debug, Default)]
pub struct NackGenerator {
    highest: Option<FullSequence>,
    missing: BTreeMap<FullSequence, Missing>,
}

impl NackGenerator {
    /// Takes note of an arrival.
    pub fn handle_arrival(&mut self, now: Instant, sequence: FullSequence) {
        let Some(highest) = self.highest else {
            self.highest = Some(sequence);
            return;
        };
        if sequence <= highest {
            self.missing.remove(&sequence);
            return;
        }
        self.highest = Some(sequence);
        let gap = sequence.0 - highest.0 - 1;
        if gap > MAX_GAP {
            self.missing.clear();
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
        }
    }

    /// The numbers to ask for now, ascending; they are not given again before their next try.
    pub fn poll(&mut self, now: Instant, into: &mut Vec<Sequence>) {
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
    }

    /// When there is something to ask for next.
    pub fn poll_timeout(&self) -> Option<Instant> {
        self.missing.values().map(|missing| missing.next_try).min()
    }
}
