//! The downlinks of a session, and when something is due for one of them.
//!
//! In a large session most downlinks have nothing due at most times: those with a time of their
//! own stand in a list, and all are divided anew at one common tick.

use std::collections::HashMap;
use std::ops::{Index, IndexMut};
use std::time::Instant;

use slab::Slab;

use super::ForwardSettings;
use crate::congestion::downlink::{Downlink, TICK};
use crate::congestion::estimator::Estimator;
use crate::parameters::TransportHandle;

/// Keys are those of [`crate::sink::Sink::downlink`].
#[derive(Default)]
pub(super) struct Downlinks {
    all: Slab<Downlink>,
    of: HashMap<TransportHandle, usize>,
    /// Those whose queue or probe has a time.
    timed: Vec<usize>,
    tick: Option<Instant>,
}

impl Downlinks {
    /// That of a transport, made now if it has none.
    pub(super) fn open(
        &mut self,
        now: Instant,
        transport: TransportHandle,
        settings: &ForwardSettings,
    ) -> usize {
        let all = &mut self.all;
        let make = || {
            let (start_bps, max_bps) = (settings.start_downlink_bps, settings.max_downlink_bps);
            let estimator = Estimator::new(now, start_bps, max_bps);
            all.insert(Downlink::new(now, transport, estimator))
        };
        *self.of.entry(transport).or_insert_with(make)
    }

    /// What ended, if the transport had one.
    pub(super) fn close(&mut self, transport: TransportHandle) -> Option<Downlink> {
        let key = self.of.remove(&transport)?;
        self.timed.retain(|&timed| timed != key);
        Some(self.all.remove(key))
    }

    /// That of a transport.
    pub(super) fn of(&mut self, transport: TransportHandle) -> Option<&mut Downlink> {
        self.all.get_mut(*self.of.get(&transport)?)
    }

    pub(super) fn get_mut(&mut self, key: usize) -> Option<&mut Downlink> {
        self.all.get_mut(key)
    }

    pub(super) fn iter(&self) -> impl Iterator<Item = &Downlink> {
        self.all.iter().map(|(_, downlink)| downlink)
    }

    /// Something was sent over it or begun for it: keeps its times.
    pub(super) fn note(&mut self, now: Instant, key: usize) {
        let Some(downlink) = self.all.get_mut(key) else {
            return;
        };
        if self.tick.is_none() && downlink.is_busy() {
            self.tick = Some(now + TICK);
        }
        if !downlink.listed && downlink.poll_timeout().is_some() {
            downlink.listed = true;
            self.timed.push(key);
        }
    }

    pub(super) fn poll_timeout(&self) -> Option<Instant> {
        let times = self.timed.iter().map(|&key| self.all[key].poll_timeout());
        times.chain([self.tick]).flatten().min()
    }

    /// Takes the list of those that have a time of their own; `note` lists them again.
    pub(super) fn take_timed(&mut self) -> Vec<usize> {
        for &key in &self.timed {
            self.all[key].listed = false;
        }
        std::mem::take(&mut self.timed)
    }

    /// Those whose estimate is to be divided anew, if it is time for that.
    pub(super) fn take_tick(&mut self, now: Instant) -> Vec<usize> {
        if self.tick.is_none_or(|at| at > now) {
            return Vec::new();
        }
        let due = |(key, downlink): (usize, &mut Downlink)| downlink.take_tick().then_some(key);
        let due: Vec<_> = self.all.iter_mut().filter_map(due).collect();
        self.tick = (!due.is_empty()).then(|| now + TICK);
        due
    }
}

impl Index<usize> for Downlinks {
    type Output = Downlink;

    fn index(&self, key: usize) -> &Downlink {
        &self.all[key]
    }
}

impl IndexMut<usize> for Downlinks {
    fn index_mut(&mut self, key: usize) -> &mut Downlink {
        &mut self.all[key]
    }
}
