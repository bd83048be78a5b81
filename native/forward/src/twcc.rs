//! Transport-wide congestion feedback on the packets of a peer
//! (draft-holmer-rmcat-transport-wide-cc-extensions-01).

use std::collections::VecDeque;
use std::time::{Duration, Instant};

const INTERVAL: Duration = Duration::from_millis(100);
/// Packets per feedback, even within one interval: keeps a feedback below one datagram.
const MAX_PACKETS: usize = 256;
/// Sequence numbers that one feedback spans, including lost ones.
const MAX_SPAN: i64 = 512;
/// A larger jump in sequence numbers is a restart, not loss.
const MAX_GAP: i64 = 0x1000;
/// Unit of the reference time (section 3.1).
const REFERENCE_TICK_US: i64 = 64_000;
/// Unit of the receive deltas.
const DELTA_TICK_US: i64 = 250;

/// FMT and PT (section 3.1).
const FEEDBACK_FORMAT: u8 = 15;
const TRANSPORT_FEEDBACK: u8 = 205;
const PADDING_FLAG: u8 = 0x20;
/// 13 bits.
const MAX_RUN: usize = 0x1fff;

/// The status of a packet in the status chunks.
#[derive(Clone, Copy, PartialEq, Eq)]
enum Status {
    Lost = 0,
    SmallDelta = 1,
    LargeDelta = 2,
}

/// Records the arrival of transport-wide sequence numbers, and writes the feedback on them.
///
/// A sequence number is reported as received once. One that arrives after it was reported lost is
/// reported in a separate feedback, as long as it is within the last 512.
pub struct TwccReceiver {
    /// Arrival of the first packet: the origin of receive times.
    epoch: Option<Instant>,
    /// Extended sequence numbers, in order, with ticks of [`DELTA_TICK_US`], of packets not
    /// reported yet. Nearly all arrive in order, so appending needs neither a search nor an
    /// allocation per packet.
    arrivals: VecDeque<(i64, i64)>,
    /// The first sequence number that no feedback has covered.
    next: Option<i64>,
    highest: i64,
    due: Option<Instant>,
    feedback_count: u8,
}

impl Default for TwccReceiver {
    fn default() -> Self {
        Self::new()
    }
}

impl TwccReceiver {
    /// A receiver without any packets.
    pub fn new() -> Self {
        Self {
            epoch: None,
            arrivals: VecDeque::new(),
            next: None,
            highest: 0,
            due: None,
            feedback_count: 0,
        }
    }

    /// Records the arrival of an authentic packet. Bounded: excess packets are reported as lost.
    pub fn record(&mut self, now: Instant, sequence: u16) {
        let full = self.unwrap(sequence);
        let epoch = *self.epoch.get_or_insert(now);
        let ticks = now.saturating_duration_since(epoch).as_micros() as i64 / DELTA_TICK_US;
        self.highest = self.highest.max(full);
        if full <= self.highest - MAX_SPAN || self.arrivals.len() >= 2 * MAX_PACKETS {
            return;
        }
        self.insert(full, ticks);
        let due = if self.arrivals.len() >= MAX_PACKETS {
            now
        } else {
            now + INTERVAL
        };
        self.due = Some(self.due.map_or(due, |earlier| earlier.min(due)));
    }

    /// When [`Self::poll_feedback`] is due; `None` until the next packet.
    pub fn poll_timeout(&self) -> Option<Instant> {
        self.due
    }

    /// Appends a feedback packet to the compound `out` if one is due. Returns whether it did; call
    /// it again then, because the arrivals may need more than one.
    pub fn poll_feedback(
        &mut self,
        now: Instant,
        sender_ssrc: u32,
        media_ssrc: u32,
        out: &mut Vec<u8>,
    ) -> bool {
        if self.due.is_none_or(|due| now < due) {
            return false;
        }
        let Some(report) = self.take_report() else {
            self.due = None;
            return false;
        };
        report.write([sender_ssrc, media_ssrc], self.feedback_count, out);
        self.feedback_count = self.feedback_count.wrapping_add(1);
        self.due = self.arrivals.front().map(|_| now);
        true
    }

    /// A duplicate keeps the first arrival time.
    fn insert(&mut self, full: i64, ticks: i64) {
        if self.arrivals.back().is_none_or(|&(last, _)| last < full) {
            self.arrivals.push_back((full, ticks));
        } else if let Err(place) = self.arrivals.binary_search_by_key(&full, |&(at, _)| at) {
            self.arrivals.insert(place, (full, ticks));
        }
    }

    fn unwrap(&mut self, sequence: u16) -> i64 {
        if self.epoch.is_none() {
            self.highest = i64::from(sequence);
            return self.highest;
        }
        let ahead = i64::from(sequence.wrapping_sub(self.highest as u16) as i16);
        let full = self.highest + ahead;
        if ahead.abs() > MAX_GAP {
            self.arrivals.clear();
            self.next = None;
            self.highest = full;
        }
        full
    }

    /// Removes the arrivals of one feedback.
    fn take_report(&mut self) -> Option<Report> {
        let &(first, first_ticks) = self.arrivals.front()?;
        let next = self.next.unwrap_or(first);
        let late = first < next;
        // A gap of `MAX_SPAN` or more is not reported: it is too old for the sender to act on.
        let base = if late || first - next >= MAX_SPAN {
            first
        } else {
            next
        };
        let mut report = Report::starting_at(base, first_ticks);
        while let Some(&(sequence, ticks)) = self.arrivals.front() {
            let behind_run = late && (sequence >= next || sequence != report.end());
            if behind_run || !report.add(sequence, ticks) {
                break;
            }
            self.arrivals.pop_front();
        }
        self.next = Some(next.max(report.end()));
        Some(report)
    }
}

/// A feedback under construction.
struct Report {
    base: i64,
    reference: i64,
    last_ticks: i64,
    statuses: Vec<Status>,
    deltas: Vec<u8>,
    packets: usize,
}

impl Report {
    fn starting_at(base: i64, first_ticks: i64) -> Self {
        let reference = (first_ticks * DELTA_TICK_US).div_euclid(REFERENCE_TICK_US);
        Self {
            base,
            reference,
            last_ticks: reference * (REFERENCE_TICK_US / DELTA_TICK_US),
            statuses: Vec::with_capacity(64),
            deltas: Vec::with_capacity(64),
            packets: 0,
        }
    }

    /// The sequence number after the last one covered.
    fn end(&self) -> i64 {
        self.base + self.statuses.len() as i64
    }

    /// Returns `false` if it does not fit into this feedback.
    fn add(&mut self, sequence: i64, ticks: i64) -> bool {
        let Ok(delta) = i16::try_from(ticks - self.last_ticks) else {
            return false;
        };
        if sequence - self.base >= MAX_SPAN || self.packets >= MAX_PACKETS {
            return false;
        }
        let lost = (sequence - self.end()) as usize;
        self.statuses
            .extend(std::iter::repeat_n(Status::Lost, lost));
        if let Ok(small) = u8::try_from(delta) {
            self.statuses.push(Status::SmallDelta);
            self.deltas.push(small);
        } else {
            self.statuses.push(Status::LargeDelta);
            self.deltas.extend_from_slice(&delta.to_be_bytes());
        }
        self.last_ticks = ticks;
        self.packets += 1;
        true
    }

    /// Writes the packet (section 3.1), with padding as in RFC 3550.
    fn write(&self, [sender, media]: [u32; 2], count: u8, out: &mut Vec<u8>) {
        let begin = out.len();
        out.extend_from_slice(&[0x80 | FEEDBACK_FORMAT, TRANSPORT_FEEDBACK, 0, 0]);
        out.extend_from_slice(&sender.to_be_bytes());
        out.extend_from_slice(&media.to_be_bytes());
        out.extend_from_slice(&(self.base as u16).to_be_bytes());
        out.extend_from_slice(&(self.statuses.len() as u16).to_be_bytes());
        out.extend_from_slice(&(self.reference as u32).to_be_bytes()[1..]);
        out.push(count);
        let mut statuses = &self.statuses[..];
        while !statuses.is_empty() {
            let (chunk, covered) = chunk(statuses);
            out.extend_from_slice(&chunk.to_be_bytes());
            statuses = &statuses[covered..];
        }
        out.extend_from_slice(&self.deltas);
        let length = out.len() - begin;
        let padding = length.next_multiple_of(4) - length;
        if padding > 0 {
            out[begin] |= PADDING_FLAG;
            out.resize(out.len() + padding - 1, 0);
            out.push(padding as u8);
        }
        let words = ((out.len() - begin) / 4 - 1) as u16;
        out[begin + 2..begin + 4].copy_from_slice(&words.to_be_bytes());
    }
}

/// The first chunk of a list of statuses, and how many statuses it covers: a run-length chunk where
/// that covers more than a vector chunk (sections 3.1.3 and 3.1.4).
fn chunk(statuses: &[Status]) -> (u16, usize) {
    let first = statuses[0];
    let run = statuses
        .iter()
        .take_while(|status| **status == first)
        .count();
    let narrow = &statuses[..statuses.len().min(14)];
    let is_narrow = !narrow.contains(&Status::LargeDelta);
    let (vector, flags, bits) = if is_narrow {
        (narrow, 0x8000, 1)
    } else {
        (&statuses[..statuses.len().min(7)], 0xc000, 2)
    };
    if run >= vector.len() {
        let run = run.min(MAX_RUN);
        return ((first as u16) << 13 | run as u16, run);
    }
    let mut shift = 14;
    let chunk = vector.iter().fold(flags, |chunk, status| {
        shift -= bits;
        chunk | (*status as u16) << shift
    });
    (chunk, vector.len())
}

#[cfg(test)]
mod tests;
