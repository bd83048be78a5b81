//! How many keys may be derived for key ids that anybody can invent.

use std::collections::{HashMap, VecDeque};
use std::time::Duration;

use sealroute_rules::{ALL_DERIVATIONS_PER_S, DERIVATIONS_PER_S};

use crate::{HistoryKey, Kind};

const SECOND: Duration = Duration::from_secs(1);

#[derive(Debug, Default)]
pub(crate) struct Derivations {
    all: Recent,
    of_each: HashMap<(HistoryKey, Kind), Recent>,
}

impl Derivations {
    /// True, and counted, while there are fewer than permitted in any second.
    pub(crate) fn take(&mut self, key: &HistoryKey, kind: Kind, now: Duration) -> bool {
        self.of_each.retain(|_, recent| recent.is_used(now));
        let of_one = self.of_each.entry((key.clone(), kind)).or_default();
        if !of_one.has_room(DERIVATIONS_PER_S, now)
            || !self.all.has_room(ALL_DERIVATIONS_PER_S, now)
        {
            return false;
        }
        of_one.0.push_back(now);
        self.all.0.push_back(now);
        true
    }
}

/// The times of the last second.
#[derive(Debug, Default)]
struct Recent(VecDeque<Duration>);

impl Recent {
    fn has_room(&mut self, most: u64, now: Duration) -> bool {
        while self.0.front().is_some_and(|first| *first + SECOND <= now) {
            self.0.pop_front();
        }
        (self.0.len() as u64) < most
    }

    fn is_used(&self, now: Duration) -> bool {
        self.0.back().is_some_and(|last| now < *last + SECOND)
    }
}

#[cfg(test)]
mod tests {
    use std::time::Duration;

    use super::Derivations;
    use crate::{HistoryKey, Kind};

    #[test]
    fn so_many_a_second_for_one_and_for_all() {
        let mut derivations = Derivations::default();
        let mut taken = |stream: &str, tries, ms| {
            let key = HistoryKey::Stream(stream.into());
            let now = Duration::from_millis(ms);
            (0..tries)
                .filter(|_| derivations.take(&key, Kind::Video, now))
                .count()
        };
        assert_eq!(taken("a", 30, 0), 20);
        assert_eq!(taken("a", 30, 999), 0);
        assert_eq!(taken("b", 30, 999), 20);
        assert_eq!(taken("c", 15, 999), 15);
        assert_eq!(taken("d", 30, 999), 5);
        assert_eq!(taken("a", 30, 1_000), 20);
    }
}
