//! The key ids of one stream and kind: which are in use, and which are retired for good
//! (docs/e2ee.md section 7, "Contexts").

use std::collections::{BTreeMap, BTreeSet};
use std::time::Duration;

use sealroute_rules::{MAX_ACTIVE_CONTEXTS, OLD_CONTEXT};

use crate::KeyId;

#[derive(Debug, Default)]
pub(crate) struct Contexts {
    /// When each key id in use opened its first frame.
    active: BTreeMap<KeyId, Duration>,
    /// Eight bytes each, never forgotten: the oldest context that is accepted moves on, and after
    /// half a turn of 65,536 these would look new.
    retired: BTreeSet<KeyId>,
    /// Whatever is older than this is retired, also if it was never seen.
    floor: Option<u16>,
}

impl Contexts {
    /// Whether frames of a key id are refused for its age.
    pub(crate) fn is_retired(&mut self, key_id: KeyId, now: Duration) -> bool {
        self.retire_older(now);
        self.retired.contains(&key_id) || self.is_below_floor(key_id)
    }

    pub(crate) fn is_active(&self, key_id: KeyId) -> bool {
        self.active.contains_key(&key_id)
    }

    /// A frame under it opened.
    pub(crate) fn open(&mut self, key_id: KeyId, now: Duration) {
        self.active.entry(key_id).or_insert(now);
        while self.active.len() as u64 > MAX_ACTIVE_CONTEXTS {
            let Some(oldest) = self.oldest() else { return };
            self.raise_floor(oldest.context().wrapping_add(1));
            // Beside it may stand another key of the same context.
            self.retire(oldest);
        }
    }

    fn oldest(&self) -> Option<KeyId> {
        let ids = || self.active.keys().copied();
        // Contexts of one sender that are in use lie close together.
        ids()
            .find(|id| !ids().any(|other| is_newer(id.context(), other.context())))
            .or_else(|| ids().next())
    }

    /// Ten seconds after a newer one opened its first frame.
    fn retire_older(&mut self, now: Duration) {
        let settled = self
            .active
            .iter()
            .filter(|(_, opened)| **opened + OLD_CONTEXT <= now);
        let floors: Vec<u16> = settled.map(|(id, _)| id.context()).collect();
        for floor in floors {
            self.raise_floor(floor);
        }
    }

    fn raise_floor(&mut self, floor: u16) {
        if self.floor.is_some_and(|before| !is_newer(floor, before)) {
            return;
        }
        self.floor = Some(floor);
        let below: Vec<KeyId> = self
            .active
            .keys()
            .copied()
            .filter(|id| self.is_below_floor(*id))
            .collect();
        for key_id in below {
            self.retire(key_id);
        }
    }

    fn retire(&mut self, key_id: KeyId) {
        self.active.remove(&key_id);
        self.retired.insert(key_id);
    }

    fn is_below_floor(&self, key_id: KeyId) -> bool {
        self.floor
            .is_some_and(|floor| is_newer(floor, key_id.context()))
    }
}

/// As serial numbers modulo 2^16: one to 32,767 ahead.
fn is_newer(one: u16, other: u16) -> bool {
    (1..0x8000).contains(&one.wrapping_sub(other))
}
