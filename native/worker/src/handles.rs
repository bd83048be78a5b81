//! Hash maps keyed by handles. The control plane assigns handles sequentially, so no peer chooses
//! them.

use std::collections::HashMap;
use std::hash::{BuildHasherDefault, Hasher};

/// Spreads consecutive handles with one multiplication; they need no protection from hash flooding.
#[derive(Clone, Copy, Default)]
pub(crate) struct HandleHasher(u64);

impl Hasher for HandleHasher {
    fn finish(&self) -> u64 {
        self.0
    }

    fn write(&mut self, bytes: &[u8]) {
        for byte in bytes {
            self.write_u64(u64::from(*byte));
        }
    }

    fn write_u64(&mut self, handle: u64) {
        self.0 = (self.0 ^ handle)
            .wrapping_mul(0x9E37_79B9_7F4A_7C15)
            .rotate_left(26);
    }
}

pub(crate) type HandleMap<K, V> = HashMap<K, V, BuildHasherDefault<HandleHasher>>;
