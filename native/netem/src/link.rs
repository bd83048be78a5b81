//! One direction of a network path.

use crate::random::Random;
use std::collections::BTreeMap;
use std::time::{Duration, Instant};

/// The conditions of a path. Shares are 0.0 (never) to 1.0 (always).
#[derive(Clone, Copy, Debug, Default, PartialEq)]
pub struct Conditions {
    /// Share of datagrams lost.
    pub loss: f64,
    /// Share of datagrams duplicated.
    pub duplication: f64,
    /// Share of datagrams held back by `reordering_delay`, so that later ones overtake them.
    pub reordering: f64,
    /// Additional delay of those datagrams.
    pub reordering_delay: Duration,
    /// Delay of every datagram.
    pub delay: Duration,
    /// Maximum random addition to `delay`; by itself it does not reorder.
    pub jitter: Duration,
}

/// Datagrams in flight in one direction.
#[derive(Clone, Debug)]
pub struct Link {
    conditions: Conditions,
    random: Random,
    /// Ordered by due time, then by send order.
    travelling: BTreeMap<(Instant, u64), Vec<u8>>,
    sent: u64,
    lost: u64,
    last_in_order: Option<Instant>,
}

impl Link {
    /// An empty path.
    pub fn new(seed: u64, conditions: Conditions) -> Self {
        Self {
            conditions,
            random: Random::new(seed),
            travelling: BTreeMap::new(),
            sent: 0,
            lost: 0,
            last_in_order: None,
        }
    }

    /// Sends a datagram.
    pub fn send(&mut self, now: Instant, datagram: &[u8]) {
        if self.random.chance(self.conditions.loss) {
            self.lost += 1;
            return;
        }
        let copies = 1 + usize::from(self.random.chance(self.conditions.duplication));
        for _ in 0..copies {
            let due = self.due(now);
            self.sent += 1;
            self.travelling.insert((due, self.sent), datagram.to_vec());
        }
    }

    fn due(&mut self, now: Instant) -> Instant {
        let jitter = self.random.below(self.conditions.jitter.as_nanos() as u64);
        let due = now + self.conditions.delay + Duration::from_nanos(jitter);
        if self.random.chance(self.conditions.reordering) {
            return due + self.conditions.reordering_delay;
        }
        let in_order = self.last_in_order.map_or(due, |last| due.max(last));
        self.last_in_order = Some(in_order);
        in_order
    }

    /// The next datagram that has arrived by `now`.
    pub fn receive(&mut self, now: Instant) -> Option<Vec<u8>> {
        let first = self.travelling.first_entry()?;
        (first.key().0 <= now).then(|| first.remove())
    }

    /// When the next datagram arrives.
    pub fn poll_timeout(&self) -> Option<Instant> {
        self.travelling.keys().next().map(|&(due, _)| due)
    }

    /// How many datagrams were lost.
    pub fn lost(&self) -> u64 {
        self.lost
    }
}

#[cfg(test)]
mod tests {
    use super::{Conditions, Link};
    use std::time::{Duration, Instant};

    const SENT: u32 = 2_000;

    /// Sends a numbered datagram each millisecond. Returns the arrivals in order, each with its
    /// delay.
    fn run(seed: u64, conditions: Conditions) -> (Vec<(u32, Duration)>, u64) {
        let start = Instant::now();
        let mut link = Link::new(seed, conditions);
        let mut arrived = Vec::new();
        let sending = |number: u32| start + Duration::from_millis(number.into());
        for number in 0..SENT {
            link.send(sending(number), &number.to_be_bytes());
        }
        while let Some(due) = link.poll_timeout() {
            let before = due.checked_sub(Duration::from_nanos(1)).expect("later");
            assert_eq!(link.receive(before), None);
            let datagram = link.receive(due).expect("due");
            let number = u32::from_be_bytes(datagram.try_into().expect("four bytes"));
            arrived.push((number, due - sending(number)));
        }
        (arrived, link.lost())
    }

    #[test]
    fn a_perfect_link_delivers_all_in_order_after_its_delay() {
        let delay = Duration::from_millis(30);
        let conditions = Conditions {
            delay,
            ..Conditions::default()
        };
        let (arrived, lost) = run(1, conditions);
        assert_eq!(
            arrived,
            (0..SENT).map(|number| (number, delay)).collect::<Vec<_>>()
        );
        assert_eq!(lost, 0);
    }

    #[test]
    fn runs_with_the_same_seed_are_equal_and_with_another_seed_different() {
        let conditions = Conditions {
            loss: 0.1,
            duplication: 0.1,
            reordering: 0.1,
            reordering_delay: Duration::from_millis(5),
            ..Conditions::default()
        };
        assert_eq!(run(7, conditions), run(7, conditions));
        assert_ne!(run(7, conditions), run(8, conditions));
    }

    #[test]
    fn the_configured_share_is_lost_and_the_rest_arrives() {
        let (arrived, lost) = run(
            2,
            Conditions {
                loss: 0.2,
                ..Conditions::default()
            },
        );
        assert_eq!(arrived.len() as u64 + lost, u64::from(SENT));
        assert!((300..500).contains(&lost), "{lost}");
    }

    #[test]
    fn the_configured_share_is_duplicated() {
        let (arrived, _) = run(
            3,
            Conditions {
                duplication: 0.25,
                ..Conditions::default()
            },
        );
        let more = arrived.len() as u64 - u64::from(SENT);
        assert!((400..600).contains(&more), "{more}");
    }

    #[test]
    fn jitter_varies_the_delay_and_keeps_the_order() {
        let jitter = Duration::from_millis(20);
        let (arrived, _) = run(
            4,
            Conditions {
                jitter,
                ..Conditions::default()
            },
        );
        assert!(arrived.is_sorted_by_key(|&(number, _)| number));
        assert!(arrived.iter().all(|&(_, took)| took <= jitter));
        assert!(arrived.iter().any(|&(_, took)| took != arrived[0].1));
    }

    #[test]
    fn a_datagram_held_back_is_overtaken_by_later_ones() {
        let (arrived, _) = run(
            5,
            Conditions {
                reordering: 0.05,
                reordering_delay: Duration::from_millis(10),
                ..Conditions::default()
            },
        );
        assert_eq!(arrived.len(), SENT as usize);
        assert!(!arrived.is_sorted_by_key(|&(number, _)| number));
    }
}
