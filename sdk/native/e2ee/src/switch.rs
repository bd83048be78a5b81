//! When the senders of a client move to a new secret (docs/e2ee.md section 9): the one rule.

use std::collections::{BTreeMap, BTreeSet};
use std::time::Duration;

use sealroute_rules::SWITCH_AFTER;

use crate::KeyPart;

/// Secrets go by their hints here.
#[derive(Debug)]
pub struct Switch {
    current: KeyPart,
    newest: KeyPart,
    /// When senders move at the latest, while they have not.
    deadline: Option<Duration>,
    /// The last hint of each other connection that announced one and is present.
    announced: BTreeMap<String, KeyPart>,
}

impl Switch {
    /// The senders use this one.
    pub fn new(hint: KeyPart) -> Self {
        Self {
            current: hint,
            newest: hint,
            deadline: None,
            announced: BTreeMap::new(),
        }
    }

    /// What the senders use.
    pub fn current(&self) -> KeyPart {
        self.current
    }

    /// When [`Self::poll`] has something to say, if nothing else happens.
    pub fn deadline(&self) -> Option<Duration> {
        self.deadline
    }

    /// Another connection announced a hint.
    pub fn on_announced(&mut self, connection_id: &str, hint: KeyPart) {
        self.announced.insert(connection_id.to_owned(), hint);
    }

    /// Another connection is gone, and is waited for no longer.
    pub fn on_left(&mut self, connection_id: &str) {
        self.announced.remove(connection_id);
    }

    /// After a resume: members that are missing have left.
    pub fn keep_present(&mut self, present: &BTreeSet<String>) {
        self.announced
            .retain(|connection_id, _| present.contains(connection_id));
    }

    /// The application set a secret. A further one does not prolong the use of the old key.
    pub fn set(&mut self, hint: KeyPart, immediate: bool, now: Duration) {
        self.newest = hint;
        if hint == self.current {
            self.deadline = None;
        } else if immediate {
            self.deadline = Some(now);
        } else {
            self.deadline.get_or_insert(now + SWITCH_AFTER);
        }
    }

    /// The hint to move to, once for each switch.
    pub fn poll(&mut self, now: Duration) -> Option<KeyPart> {
        let deadline = self.deadline?;
        let is_ready = self.announced.values().all(|hint| *hint == self.newest);
        if now < deadline && !is_ready {
            return None;
        }
        self.deadline = None;
        self.current = self.newest;
        Some(self.current)
    }
}
