//! Hash maps keyed by handles. The control plane assigns handles, so no peer chooses them.

use std::collections::HashMap;

pub(crate) type HandleMap<K, V> = HashMap<K, V, foldhash::fast::RandomState>;
