//! What an application is told of a server that does wrong: at once, and then once in ten seconds.

use std::collections::HashMap;
use std::time::Duration;

/// The same is told once in so long.
const AGAIN: Duration = Duration::from_secs(10);
/// Different ones in so long: the words of some are the server's own.
const MAX_REPORTED: usize = 20;

#[derive(Debug, Default)]
pub(crate) struct Complaints {
    reported: HashMap<String, Duration>,
}

impl Complaints {
    /// Whether it is reported now.
    pub(crate) fn take(&mut self, words: &str, now: Duration) -> bool {
        self.reported.retain(|_, told| now < *told + AGAIN);
        if self.reported.contains_key(words) || self.reported.len() >= MAX_REPORTED {
            return false;
        }
        self.reported.insert(words.to_owned(), now);
        true
    }
}

#[cfg(test)]
mod tests {
    use std::time::Duration;

    use super::Complaints;

    #[test]
    fn the_same_is_told_once_in_ten_seconds_and_twenty_different_ones() {
        let mut complaints = Complaints::default();
        let s = Duration::from_secs;
        assert!(complaints.take("a", s(0)));
        assert!(!complaints.take("a", s(9)));
        assert!(complaints.take("a", s(10)));
        let told = (0..30)
            .filter(|n| complaints.take(&n.to_string(), s(11)))
            .count();
        assert_eq!(told, 19);
    }
}
