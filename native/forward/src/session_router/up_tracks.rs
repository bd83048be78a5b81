//! The up tracks of a session and their timeouts.
//!
//! A timeout depends on lost packets, wanted key frames, the request budget and the next review of
//! the subscribed layers, so many places change it. Instead of each of them, the registry notes
//! which up tracks were lent for a change; only their timeouts are computed again, once per batch.

use std::collections::BTreeSet;
use std::ops::{Index, IndexMut};
use std::time::{Duration, Instant};

use crate::registry::{Registry, UpTrackKey};
use crate::up_track::UpTrack;

struct Entry {
    up_track: UpTrack,
    /// Its timeout as listed.
    due: Option<Instant>,
    /// It may have changed since.
    stale: bool,
}

/// All up tracks, with their timeouts in order.
#[derive(Default)]
pub(super) struct UpTracks {
    all: Registry<UpTrackKey, Entry>,
    order: BTreeSet<(Instant, UpTrackKey)>,
    stale: Vec<UpTrackKey>,
}

impl UpTracks {
    pub(super) fn insert(&mut self, up_track: UpTrack) -> UpTrackKey {
        let key = self.all.insert(Entry {
            up_track,
            due: None,
            stale: true,
        });
        self.stale.push(key);
        key
    }

    pub(super) fn remove(&mut self, key: UpTrackKey) -> Option<UpTrack> {
        let entry = self.all.remove(key)?;
        if let Some(due) = entry.due {
            self.order.remove(&(due, key));
        }
        self.stale.retain(|&stale| stale != key);
        Some(entry.up_track)
    }

    pub(super) fn get_mut(&mut self, key: UpTrackKey) -> Option<&mut UpTrack> {
        Some(lend(self.all.get_mut(key)?, key, &mut self.stale))
    }

    pub(super) fn iter(&self) -> impl Iterator<Item = (UpTrackKey, &UpTrack)> {
        self.all.iter().map(|(key, entry)| (key, &entry.up_track))
    }

    pub(super) fn iter_mut(&mut self) -> impl Iterator<Item = &mut UpTrack> {
        let stale = &mut self.stale;
        let all = self.all.iter_mut();
        all.map(|(key, entry)| lend(entry, key, stale))
    }

    pub(super) fn is_empty(&self) -> bool {
        self.all.is_empty()
    }

    /// The earliest timeout. `interval`: the minimum time between two key-frame requests.
    pub(super) fn poll_timeout(&mut self, interval: Duration) -> Option<Instant> {
        self.refresh(interval);
        self.order.first().map(|&(due, _)| due)
    }

    /// The up tracks whose timeout is due.
    pub(super) fn due(&mut self, now: Instant, interval: Duration) -> Vec<UpTrackKey> {
        self.refresh(interval);
        let due = self.order.iter().take_while(|&&(at, _)| at <= now);
        due.map(|&(_, key)| key).collect()
    }

    fn refresh(&mut self, interval: Duration) {
        for key in self.stale.drain(..) {
            let Some(entry) = self.all.get_mut(key) else {
                continue;
            };
            entry.stale = false;
            let due = entry.up_track.poll_timeout(interval);
            if due == entry.due {
                continue;
            }
            if let Some(before) = entry.due {
                self.order.remove(&(before, key));
            }
            if let Some(due) = due {
                self.order.insert((due, key));
            }
            entry.due = due;
        }
    }
}

fn lend<'e>(entry: &'e mut Entry, key: UpTrackKey, stale: &mut Vec<UpTrackKey>) -> &'e mut UpTrack {
    if !std::mem::replace(&mut entry.stale, true) {
        stale.push(key);
    }
    &mut entry.up_track
}

impl Index<UpTrackKey> for UpTracks {
    type Output = UpTrack;

    fn index(&self, key: UpTrackKey) -> &UpTrack {
        &self.all[key].up_track
    }
}

impl IndexMut<UpTrackKey> for UpTracks {
    fn index_mut(&mut self, key: UpTrackKey) -> &mut UpTrack {
        lend(&mut self.all[key], key, &mut self.stale)
    }
}

#[cfg(test)]
mod tests {
    use super::UpTracks;
    use crate::parameters::{
        Codec, EncodingParameters, ExtensionIds, MediaKind, PayloadAccess, PublisherHandle,
        TransportHandle, UpTrackParameters,
    };
    use crate::up_track::UpTrack;
    use std::time::{Duration, Instant};

    const INTERVAL: Duration = Duration::from_millis(500);

    fn video(now: Instant, ssrc: u32) -> UpTrack {
        let parameters = UpTrackParameters {
            mid: "0".into(),
            kind: MediaKind::Video,
            codec: Codec::Vp8,
            payload_type: 96,
            rtx_payload_type: None,
            clock_rate_hz: 90_000,
            encodings: vec![EncodingParameters {
                ssrc: Some(ssrc),
                ..EncodingParameters::default()
            }],
            extensions: ExtensionIds::default(),
            nack: true,
            declared_kids: Vec::new(),
        };
        let (publisher, transport) = (PublisherHandle(1), TransportHandle(1));
        UpTrack::new(now, PayloadAccess::Clear, publisher, transport, parameters)
    }

    /// The earliest timeout by asking every up track.
    fn scanned(up_tracks: &UpTracks) -> Option<Instant> {
        let due = up_tracks.iter().map(|(_, one)| one.poll_timeout(INTERVAL));
        due.flatten().min()
    }

    #[test]
    fn the_listed_timeout_is_that_of_the_up_tracks_after_every_change() {
        let start = Instant::now();
        let at = |ms| start + Duration::from_millis(ms);
        let mut up_tracks = UpTracks::default();
        assert_eq!(up_tracks.poll_timeout(INTERVAL), None);
        let first = up_tracks.insert(video(at(5), 1));
        let second = up_tracks.insert(video(at(3), 2));
        assert_eq!(up_tracks.poll_timeout(INTERVAL), Some(at(3)));
        assert_eq!(up_tracks.due(at(4), INTERVAL), [second]);
        assert_eq!(up_tracks.due(at(5), INTERVAL), [second, first]);
        let review = |up_tracks: &mut UpTracks, key, now| {
            let layers = up_tracks.get_mut(key).unwrap().subscribed_layers.as_mut();
            layers.unwrap().keep(now);
        };
        review(&mut up_tracks, second, at(100));
        assert_eq!(up_tracks.poll_timeout(INTERVAL), Some(at(5)));
        review(&mut up_tracks, first, at(200));
        assert_eq!(up_tracks.poll_timeout(INTERVAL), scanned(&up_tracks));
        up_tracks[first].want_key_frame(None);
        assert_eq!(up_tracks.due(at(5), INTERVAL), [first]);
        for up_track in up_tracks.iter_mut() {
            up_track.recheck_subscribed_layers();
        }
        assert_eq!(up_tracks.poll_timeout(INTERVAL), scanned(&up_tracks));
        up_tracks.remove(second);
        assert_eq!(up_tracks.poll_timeout(INTERVAL), Some(at(5)));
        up_tracks.remove(first);
        assert_eq!(up_tracks.poll_timeout(INTERVAL), None);
        assert_eq!(up_tracks.due(at(9_999), INTERVAL), []);
    }
}
