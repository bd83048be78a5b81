//! Registries with typed keys: a key of one registry cannot be used with another.

use std::marker::PhantomData;
use std::ops::{Index, IndexMut};

use slab::Slab;

/// A key of a [`Registry`].
pub(crate) trait Key: Copy {
    fn of(index: usize) -> Self;
    fn index(self) -> usize;
}

macro_rules! keys {
    ($($(#[$doc:meta])* $name:ident)+) => {$(
        $(#[$doc])*
        #[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Hash)]
        pub(crate) struct $name(usize);

        impl Key for $name {
            fn of(index: usize) -> Self {
                Self(index)
            }

            fn index(self) -> usize {
                self.0
            }
        }
    )+};
}

keys! {
    /// An up track of a session.
    UpTrackKey
    /// A down track of a session.
    DownTrackKey
    /// The downlink of a transport, with all down tracks that it carries.
    DownlinkKey
}

/// Values of one kind, each under the key that it was given. A key is used again after `remove`.
#[derive(Debug)]
pub(crate) struct Registry<K, T> {
    entries: Slab<T>,
    of: PhantomData<K>,
}

impl<K, T> Default for Registry<K, T> {
    fn default() -> Self {
        Self {
            entries: Slab::new(),
            of: PhantomData,
        }
    }
}

impl<K: Key, T> Registry<K, T> {
    pub(crate) fn insert(&mut self, value: T) -> K {
        K::of(self.entries.insert(value))
    }

    pub(crate) fn remove(&mut self, key: K) -> Option<T> {
        self.entries.try_remove(key.index())
    }

    pub(crate) fn get_mut(&mut self, key: K) -> Option<&mut T> {
        self.entries.get_mut(key.index())
    }

    pub(crate) fn iter(&self) -> impl Iterator<Item = (K, &T)> {
        self.entries
            .iter()
            .map(|(index, value)| (K::of(index), value))
    }

    pub(crate) fn iter_mut(&mut self) -> impl Iterator<Item = (K, &mut T)> {
        let entries = self.entries.iter_mut();
        entries.map(|(index, value)| (K::of(index), value))
    }

    pub(crate) fn len(&self) -> usize {
        self.entries.len()
    }

    pub(crate) fn is_empty(&self) -> bool {
        self.entries.is_empty()
    }
}

impl<K: Key, T> Index<K> for Registry<K, T> {
    type Output = T;

    fn index(&self, key: K) -> &T {
        &self.entries[key.index()]
    }
}

impl<K: Key, T> IndexMut<K> for Registry<K, T> {
    fn index_mut(&mut self, key: K) -> &mut T {
        &mut self.entries[key.index()]
    }
}
