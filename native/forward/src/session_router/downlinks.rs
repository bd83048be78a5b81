//! The downlinks of a session and their timeouts.
//!
//! In a large session most downlinks are idle. Those with a timeout of their own are listed. All
//! are allocated at a common tick; a large session does so in several parts, with packets handled
//! in between.

use std::collections::HashMap;
use std::ops::{Index, IndexMut};
use std::time::Instant;

use super::ForwardSettings;
use crate::congestion::bandwidth_estimator::BandwidthEstimator;
use crate::congestion::downlink::{Downlink, TICK};
use crate::parameters::TransportHandle;
use crate::registry::{DownlinkKey, Key, Registry};

/// Allocated in one go.
const AT_ONCE: usize = 64;
const MAX_PARTS: usize = 10;

/// All downlinks, by key and by transport.
#[derive(Default)]
pub(super) struct Downlinks {
    all: Registry<DownlinkKey, Downlink>,
    of: HashMap<TransportHandle, DownlinkKey>,
    /// Downlinks whose queue or probe has a timeout.
    timed: Vec<DownlinkKey>,
    tick: Option<Instant>,
    /// The part of the last tick, and the number of parts in a row without work.
    part: usize,
    quiet_parts: usize,
}

impl Downlinks {
    /// The downlink of a transport, created if it has none.
    pub(super) fn open(
        &mut self,
        now: Instant,
        transport: TransportHandle,
        settings: &ForwardSettings,
    ) -> DownlinkKey {
        let all = &mut self.all;
        let make = || {
            let (start, max) = (settings.start_downlink, settings.max_downlink);
            let estimator = BandwidthEstimator::new(now, start, max);
            all.insert(Downlink::new(now, transport, estimator))
        };
        *self.of.entry(transport).or_insert_with(make)
    }

    /// Removes and returns the downlink of a transport.
    pub(super) fn close(&mut self, transport: TransportHandle) -> Option<Downlink> {
        let key = self.of.remove(&transport)?;
        self.timed.retain(|&timed| timed != key);
        self.all.remove(key)
    }

    /// The downlink of a transport.
    pub(super) fn of(&mut self, transport: TransportHandle) -> Option<&mut Downlink> {
        self.all.get_mut(*self.of.get(&transport)?)
    }

    pub(super) fn get_mut(&mut self, key: DownlinkKey) -> Option<&mut Downlink> {
        self.all.get_mut(key)
    }

    pub(super) fn iter(&self) -> impl Iterator<Item = &Downlink> {
        self.all.iter().map(|(_, downlink)| downlink)
    }

    /// Updates the timeouts of a downlink after something was sent or started.
    pub(super) fn note(&mut self, now: Instant, key: DownlinkKey) {
        let parts = self.parts();
        let Some(downlink) = self.all.get_mut(key) else {
            return;
        };
        if self.tick.is_none() && downlink.is_busy() {
            self.tick = Some(now + TICK / parts as u32);
            self.quiet_parts = 0;
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

    /// Takes the list of downlinks with timeouts of their own; `note` lists them again.
    pub(super) fn take_timed(&mut self) -> Vec<DownlinkKey> {
        for &key in &self.timed {
            self.all[key].listed = false;
        }
        std::mem::take(&mut self.timed)
    }

    /// Downlinks whose estimate is due for allocation. Each is due once per `TICK`.
    pub(super) fn take_tick(&mut self, now: Instant) -> Vec<DownlinkKey> {
        if self.tick.is_none_or(|at| at > now) {
            return Vec::new();
        }
        let parts = self.parts();
        self.part = (self.part + 1) % parts;
        let part = self.part;
        let due = |(key, downlink): (DownlinkKey, &mut Downlink)| {
            (key.index() % parts == part && downlink.take_tick()).then_some(key)
        };
        let due: Vec<_> = self.all.iter_mut().filter_map(due).collect();
        self.quiet_parts = if due.is_empty() {
            self.quiet_parts + 1
        } else {
            0
        };
        self.tick = (self.quiet_parts < parts).then(|| now + TICK / parts as u32);
        due
    }

    fn parts(&self) -> usize {
        (self.all.len() / AT_ONCE).clamp(1, MAX_PARTS)
    }
}

impl Index<DownlinkKey> for Downlinks {
    type Output = Downlink;

    fn index(&self, key: DownlinkKey) -> &Downlink {
        &self.all[key]
    }
}

impl IndexMut<DownlinkKey> for Downlinks {
    fn index_mut(&mut self, key: DownlinkKey) -> &mut Downlink {
        &mut self.all[key]
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::congestion::downlink::Content;

    const PEERS: usize = 500;

    fn busy(now: Instant) -> Downlinks {
        let mut downlinks = Downlinks::default();
        for peer in 0..PEERS {
            let key = downlinks.open(
                now,
                TransportHandle(peer as u64),
                &ForwardSettings::default(),
            );
            downlinks[key].stamp(now, 1_000, Content::Media);
        }
        downlinks.note(now, DownlinkKey::of(0));
        downlinks
    }

    #[test]
    fn the_many_of_a_large_session_are_divided_in_parts_each_once_in_a_tick() {
        let begin = Instant::now();
        let mut downlinks = busy(begin);
        let mut seen = Vec::new();
        while let Some(now) = downlinks.tick.filter(|&at| at <= begin + TICK) {
            let due = downlinks.take_tick(now);
            assert!(due.len() <= 2 * AT_ONCE, "{}", due.len());
            seen.extend(due.into_iter().map(Key::index));
        }
        seen.sort_unstable();
        assert_eq!(seen, (0..PEERS).collect::<Vec<_>>());
    }

    #[test]
    fn ticks_end_when_nothing_is_sent_and_begin_again_with_the_next_packet() {
        let begin = Instant::now();
        let mut downlinks = busy(begin);
        let mut last = begin;
        while let Some(now) = downlinks.tick {
            last = now;
            downlinks.take_tick(now);
            assert!(now < begin + 5 * TICK);
        }
        downlinks[DownlinkKey::of(3)].stamp(last, 1_000, Content::Media);
        downlinks.note(last, DownlinkKey::of(3));
        assert!(downlinks.tick.is_some_and(|at| at <= last + TICK));
    }
}
