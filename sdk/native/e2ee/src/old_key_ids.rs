//! How long key ids stay declared after a switch: packets under them are still on the way
//! (docs/e2ee.md section 9, step 7).

use std::collections::VecDeque;
use std::time::Duration;

use sealroute_rules::{MAX_OLD_KIDS, OLD_KIDS};

use crate::KeyId;

/// The key ids of one track that were in use before the present one.
#[derive(Debug, Default)]
pub struct OldKeyIds(VecDeque<(KeyId, Duration)>);

impl OldKeyIds {
    /// It was replaced. `immediate`: it and all others are withdrawn at once.
    pub fn on_replaced(&mut self, key_id: KeyId, immediate: bool, now: Duration) {
        if immediate {
            self.0.clear();
            return;
        }
        self.expire(now);
        self.0.push_back((key_id, now + OLD_KIDS));
        while self.0.len() as u64 > MAX_OLD_KIDS {
            self.0.pop_front();
        }
    }

    /// True if a declaration without the ones that ended is due.
    pub fn expire(&mut self, now: Duration) -> bool {
        let before = self.0.len();
        self.0.retain(|(_, end)| now < *end);
        self.0.len() < before
    }

    /// When the next one ends.
    pub fn next_end(&self) -> Option<Duration> {
        self.0.front().map(|(_, end)| *end)
    }

    /// What is declared beside the present one, oldest first.
    pub fn declared(&self) -> impl Iterator<Item = KeyId> {
        self.0.iter().map(|(key_id, _)| *key_id)
    }
}

#[cfg(test)]
mod tests {
    use std::time::Duration;

    use super::OldKeyIds;
    use crate::{KeyId, KeyPart};

    fn id(context: u16) -> KeyId {
        KeyId::new(1, context, KeyPart(2))
    }

    #[test]
    fn a_key_id_stays_for_ten_seconds_and_six_at_most() {
        let mut old = OldKeyIds::default();
        for context in 0..8_u16 {
            old.on_replaced(id(context), false, Duration::from_secs(u64::from(context)));
        }
        assert!(old.declared().eq((2..8).map(id)));
        assert!(!old.expire(Duration::from_millis(11_999)));
        assert!(old.expire(Duration::from_secs(12)));
        assert!(old.declared().eq((3..8).map(id)));
        assert_eq!(old.next_end(), Some(Duration::from_secs(13)));
    }

    #[test]
    fn an_immediate_change_withdraws_all() {
        let mut old = OldKeyIds::default();
        old.on_replaced(id(0), false, Duration::ZERO);
        old.on_replaced(id(1), true, Duration::from_secs(1));
        assert_eq!(old.declared().count(), 0);
    }
}
