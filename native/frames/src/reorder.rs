//! Packets in the order of their sequence numbers, with a wait for repairs.

use std::collections::{BTreeMap, VecDeque};

use sealroute_rtp::Sequence;

/// 400 ms of 100 Mbit/s; bounds what one track may hold.
const MAX_PACKETS: usize = 4_096;
/// The same in bytes of payload.
const MAX_BYTES: usize = 5 * 1024 * 1024;
/// No repair is that late; whatever comes after such a silence is new.
const SILENCE_US: u64 = 5_000_000;
/// A repair may be so many packets older than the newest one.
const MAX_LATENESS: u64 = 1_024;
/// Drops that the tap reported and that were not reached yet; more of them become one.
const MAX_REPORTS: usize = 16;

/// A packet without its header.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(crate) struct Packet {
    pub(crate) timestamp: u32,
    pub(crate) marker: bool,
    pub(crate) arrival_us: u64,
    pub(crate) audio_level: Option<u8>,
    pub(crate) orientation: Option<u16>,
    pub(crate) payload: Box<[u8]>,
}

/// What comes next in order.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(crate) enum Next {
    Packet(Packet),
    /// So many packets are lost.
    Gap(u32),
}

/// What became of a packet.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Arrival {
    Held,
    /// It is there already, or was given up.
    Late,
}

#[derive(Debug)]
struct Held {
    since_us: u64,
    packet: Packet,
}

/// What the tap dropped after a sequence number.
#[derive(Clone, Copy, Debug)]
struct Dropped {
    after: u64,
    packets: u32,
}

#[derive(Debug)]
pub(crate) struct Reorder {
    hold_us: u64,
    held: BTreeMap<u64, Held>,
    bytes: usize,
    /// The number that comes next; `None` before the first packet was given out.
    next: Option<u64>,
    highest: Option<u64>,
    last_us: u64,
    dropped: VecDeque<Dropped>,
    flushing: bool,
}

impl Reorder {
    pub(crate) fn new(hold_us: u64) -> Self {
        Self {
            hold_us,
            held: BTreeMap::new(),
            bytes: 0,
            next: None,
            highest: None,
            last_us: 0,
            dropped: VecDeque::new(),
            flushing: false,
        }
    }

    pub(crate) fn insert(&mut self, now_us: u64, sequence: Sequence, packet: Packet) -> Arrival {
        let number = self.unwrap(now_us, sequence);
        if self.next.is_some_and(|next| number < next) || self.held.contains_key(&number) {
            return Arrival::Late;
        }
        self.last_us = now_us;
        self.highest = self.highest.max(Some(number));
        self.bytes += packet.payload.len();
        let since_us = now_us;
        self.held.insert(number, Held { since_us, packet });
        Arrival::Held
    }

    /// The tap dropped packets after the newest one: no repair will come.
    pub(crate) fn insert_dropped(&mut self, packets: u32) {
        let Some(after) = self.highest else {
            // Nothing is missed before the first packet.
            return;
        };
        let many = self.dropped.len() == MAX_REPORTS;
        match self.dropped.back_mut() {
            Some(last) if last.after == after || many => {
                last.packets = last.packets.saturating_add(packets);
            }
            _ => self.dropped.push_back(Dropped { after, packets }),
        }
    }

    /// Nothing more is held until something was given out.
    pub(crate) fn is_full(&self) -> bool {
        self.held.len() >= MAX_PACKETS || self.bytes >= MAX_BYTES
    }

    /// What is held is given out without waiting.
    pub(crate) fn flush(&mut self) {
        self.flushing = true;
    }

    pub(crate) fn next(&mut self, now_us: u64) -> Option<Next> {
        let (&first, held) = self.held.first_key_value()?;
        let waited =
            self.flushing || now_us >= held.since_us.saturating_add(self.hold_us) || self.is_full();
        let Some(next) = self.next else {
            // Earlier ones may have been overtaken.
            return waited.then(|| self.take(first)).flatten();
        };
        if let Some(dropped) = self.take_dropped(next) {
            self.next = Some(first);
            let missing = u32::try_from(first - next).unwrap_or(u32::MAX);
            return Some(Next::Gap(missing.max(dropped)));
        }
        if first == next {
            return self.take(first);
        }
        if waited {
            self.next = Some(first);
            return Some(Next::Gap(u32::try_from(first - next).unwrap_or(u32::MAX)));
        }
        None
    }

    /// When the wait for a missing packet ends.
    pub(crate) fn poll_timeout(&self) -> Option<u64> {
        let (_, held) = self.held.first_key_value()?;
        Some(held.since_us.saturating_add(self.hold_us))
    }

    /// Packets that were dropped at the end, where no packet came after them.
    pub(crate) fn take_all_dropped(&mut self) -> u32 {
        let packets = self.reported();
        self.dropped.clear();
        packets
    }

    fn reported(&self) -> u32 {
        let packets = self.dropped.iter().map(|dropped| dropped.packets);
        packets.fold(0, u32::saturating_add)
    }

    fn take(&mut self, number: u64) -> Option<Next> {
        let held = self.held.remove(&number)?;
        self.bytes -= held.packet.payload.len();
        self.next = Some(number + 1);
        Some(Next::Packet(held.packet))
    }

    fn take_dropped(&mut self, next: u64) -> Option<u32> {
        let mut sum = None::<u32>;
        while let Some(dropped) = self.dropped.front().filter(|dropped| dropped.after < next) {
            sum = Some(sum.unwrap_or(0).saturating_add(dropped.packets));
            self.dropped.pop_front();
        }
        sum
    }

    /// The full number nearest to the highest one, or the next after it where a repair cannot be.
    fn unwrap(&self, now_us: u64, sequence: Sequence) -> u64 {
        let Some(highest) = self.highest else {
            // Room for packets that were overtaken by the first.
            return 0x1_0000 + u64::from(sequence.0);
        };
        let forward = u64::from(sequence.0.wrapping_sub(highest as u16));
        let ahead = sequence.distance_from(Sequence(highest as u16));
        if ahead >= 0 || self.is_new(now_us, forward) {
            return highest + forward;
        }
        highest.saturating_add_signed(i64::from(ahead))
    }

    /// Whether a number that looks old is a new one after a long gap.
    fn is_new(&self, now_us: u64, forward: u64) -> bool {
        let reported = u64::from(self.reported());
        now_us.saturating_sub(self.last_us) > SILENCE_US
            || (reported + MAX_LATENESS >= forward && reported > MAX_LATENESS)
    }
}

#[cfg(test)]
mod tests {
    use super::{Arrival, MAX_PACKETS, Next, Packet, Reorder};
    use sealroute_rtp::Sequence;

    const HOLD_US: u64 = 400_000;

    fn packet(number: u16) -> Packet {
        Packet {
            timestamp: number.into(),
            marker: false,
            arrival_us: 0,
            audio_level: None,
            orientation: None,
            payload: Box::new([1]),
        }
    }

    fn insert(reorder: &mut Reorder, now_us: u64, number: u16) -> Arrival {
        reorder.insert(now_us, Sequence(number), packet(number))
    }

    /// Numbers that are given out, and gaps as negative counts.
    fn take(reorder: &mut Reorder, now_us: u64) -> Vec<i64> {
        let next = || reorder.next(now_us);
        std::iter::from_fn(next)
            .map(|next| match next {
                Next::Packet(packet) => i64::from(packet.timestamp),
                Next::Gap(count) => -i64::from(count),
            })
            .collect()
    }

    /// One that has given out 65534 at the time 0.
    fn started() -> Reorder {
        let mut reorder = Reorder::new(HOLD_US);
        insert(&mut reorder, 0, 65_534);
        assert_eq!(take(&mut reorder, HOLD_US), [65_534]);
        reorder
    }

    #[test]
    fn the_first_packet_waits_for_those_that_it_overtook() {
        let mut reorder = Reorder::new(HOLD_US);
        insert(&mut reorder, 0, 7);
        insert(&mut reorder, 1_000, 6);
        assert_eq!(take(&mut reorder, 300_000), [] as [i64; 0]);
        assert_eq!(take(&mut reorder, 401_000), [6, 7]);
    }

    #[test]
    fn numbers_wrap_and_a_repair_within_the_hold_closes_the_gap() {
        let mut reorder = started();
        insert(&mut reorder, 500_000, 0);
        insert(&mut reorder, 510_000, 1);
        assert_eq!(take(&mut reorder, 899_999), [] as [i64; 0]);
        assert_eq!(reorder.poll_timeout(), Some(900_000));
        insert(&mut reorder, 899_999, 65_535);
        assert_eq!(take(&mut reorder, 899_999), [65_535, 0, 1]);
        assert_eq!(insert(&mut reorder, 899_999, 0), Arrival::Late);
    }

    #[test]
    fn without_a_repair_the_gap_is_counted_when_the_hold_ends() {
        let mut reorder = started();
        insert(&mut reorder, 500_000, 3);
        assert_eq!(insert(&mut reorder, 500_000, 3), Arrival::Late, "twice");
        assert_eq!(take(&mut reorder, 900_000), [-4, 3]);
        assert_eq!(insert(&mut reorder, 900_001, 2), Arrival::Late);
        assert_eq!(reorder.poll_timeout(), None);
    }

    #[test]
    fn what_the_tap_dropped_is_not_waited_for() {
        let mut reorder = started();
        insert(&mut reorder, 500_000, 65_535);
        reorder.insert_dropped(2);
        insert(&mut reorder, 500_000, 2);
        assert_eq!(take(&mut reorder, 500_000), [65_535, -2, 2]);
        reorder.insert_dropped(3);
        insert(&mut reorder, 500_000, 3);
        assert_eq!(
            take(&mut reorder, 500_000),
            [-3, 3],
            "numbers may be rewritten"
        );
        reorder.insert_dropped(4);
        assert_eq!(
            (reorder.take_all_dropped(), reorder.take_all_dropped()),
            (4, 0)
        );
    }

    #[test]
    fn more_packets_than_a_number_tells_apart_may_be_dropped_or_missing() {
        let mut reorder = started();
        reorder.insert_dropped(40_000);
        let beyond = 65_534_u16.wrapping_add(40_001);
        insert(&mut reorder, 1_000_000, beyond);
        assert_eq!(take(&mut reorder, 1_000_000), [-40_000, beyond.into()]);
        let silent = beyond.wrapping_sub(10);
        assert_eq!(insert(&mut reorder, 2_000_000, silent), Arrival::Late);
        assert_eq!(insert(&mut reorder, 6_000_001, silent), Arrival::Held);
    }

    #[test]
    fn a_full_buffer_does_not_wait() {
        let mut reorder = started();
        for number in 1..=MAX_PACKETS as u16 {
            assert!(reorder.next(500_000).is_none());
            insert(&mut reorder, 500_000, number);
        }
        assert_eq!(reorder.next(500_000), Some(Next::Gap(2)));
        assert!(matches!(reorder.next(500_000), Some(Next::Packet(_))));
    }
}
