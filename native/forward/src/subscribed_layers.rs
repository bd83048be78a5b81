//! Subscribed layers: the encodings of a video that at least one subscriber can receive. The
//! publisher may suspend the others. Pure.
//!
//! Only preferences count. The bandwidth of downlinks does not, because a downlink that recovers
//! must find its layer. The layers below a subscribed one stay active: a downlink falls back to
//! them.

use std::time::{Duration, Instant};

use crate::layer_selector::{EncodingView, allows, rank};
use crate::parameters::PreferredLayers;
use crate::up_track::EncodingIndex;

/// A short-lived change of preferences must not cost a key frame.
const LINGER: Duration = Duration::from_secs(5);
/// Frame sizes and rates change without an event.
const REVIEW: Duration = Duration::from_secs(1);
/// An announcement is repeated after this time, and after twice the time each time, while the
/// publisher still sends other encodings: messages are lost with the connections that carry them.
const REPEAT: Duration = Duration::from_secs(2);
const MAX_REPEAT: Duration = Duration::from_secs(64);
/// Encodings beyond this index always count as subscribed.
const MAX_ENCODINGS: u8 = 32;

/// A set of encodings of an up track, by index.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub(crate) struct EncodingSet(u32);

impl EncodingSet {
    pub(crate) fn contains(self, EncodingIndex(encoding): EncodingIndex) -> bool {
        encoding >= MAX_ENCODINGS || self.0 & (1 << encoding) != 0
    }

    pub(crate) fn with(self, other: Self) -> Self {
        Self(self.0 | other.0)
    }
}

impl FromIterator<EncodingIndex> for EncodingSet {
    fn from_iter<I: IntoIterator<Item = EncodingIndex>>(encodings: I) -> Self {
        let indices = encodings.into_iter().map(|EncodingIndex(index)| index);
        let in_range = indices.filter(|&one| one < MAX_ENCODINGS);
        Self(in_range.fold(0, |set, encoding| set | 1 << encoding))
    }
}

/// The encodings that receivers with these preferences can use: for each, the best one that it
/// allows and all below.
pub(crate) fn subscribed(
    encodings: &(impl Iterator<Item = EncodingView> + Clone),
    preferences: impl Iterator<Item = PreferredLayers>,
) -> EncodingSet {
    preferences.fold(EncodingSet::default(), |set, preferred| {
        set.with(subscribed_by(encodings, preferred))
    })
}

fn subscribed_by(
    encodings: &(impl Iterator<Item = EncodingView> + Clone),
    preferred: PreferredLayers,
) -> EncodingSet {
    // An encoding of unknown size may be the subscribed one.
    let known = || encodings.clone().filter(|view| view.size.is_some());
    let best = known()
        .filter(|&view| allows(preferred, view))
        .map(rank)
        .max();
    let ceiling = best.or_else(|| known().map(rank).min());
    (0..)
        .map(EncodingIndex)
        .zip(encodings.clone())
        .filter(|&(_, view)| {
            view.size.is_none() || ceiling.is_none_or(|ceiling| rank(view) <= ceiling)
        })
        .map(|(index, _)| index)
        .collect()
}

/// The last announcement to the publisher of one video, and when it is reviewed.
#[derive(Clone, Copy, Debug)]
pub(crate) struct SubscribedLayers {
    since: Instant,
    review: Instant,
    announced: EncodingSet,
    /// Since when fewer encodings are subscribed than announced.
    less: Option<Instant>,
    /// When to repeat the announcement, and the delay before that. `None`: nothing announced yet.
    repeat: Option<(Instant, Duration)>,
}

impl SubscribedLayers {
    /// For a video with this many encodings that starts at `since`: all of them are subscribed.
    pub(crate) fn new(since: Instant, encodings: usize) -> Self {
        Self {
            since,
            review: since,
            announced: (0..encodings as u8).map(EncodingIndex).collect(),
            less: None,
            repeat: None,
        }
    }

    /// Keeps the announcement until the next review.
    pub(crate) fn keep(&mut self, now: Instant) {
        self.review = now + REVIEW;
        self.less = None;
    }

    pub(crate) fn includes(&self, encoding: EncodingIndex) -> bool {
        self.announced.contains(encoding)
    }

    /// Requests a review: a receiver or its preferences changed.
    pub(crate) fn recheck(&mut self) {
        self.review = self.since;
    }

    /// When `update` is due. A time in the past means now.
    pub(crate) fn poll_timeout(&self) -> Instant {
        self.review
    }

    /// Returns whether the publisher needs a new announcement. Additional encodings are announced
    /// at once, fewer after `LINGER`.
    pub(crate) fn update(&mut self, now: Instant, subscribed: EncodingSet) -> bool {
        self.review = now + REVIEW;
        let more = self.announced.with(subscribed);
        if more == subscribed {
            self.less = None;
        }
        let lapsed = more != subscribed
            && now.saturating_duration_since(*self.less.get_or_insert(now)) >= LINGER;
        let next = if lapsed { subscribed } else { more };
        if lapsed {
            self.less = None;
        }
        let changed = std::mem::replace(&mut self.announced, next) != next;
        if changed {
            self.repeat = Some((now + REPEAT, REPEAT));
        }
        changed
    }

    /// Returns whether to repeat the announcement: the publisher sends `live`, which differs from
    /// it.
    pub(crate) fn must_repeat(&mut self, now: Instant, live: EncodingSet) -> bool {
        let Some((due, waited)) = self.repeat else {
            return false;
        };
        if live == self.announced {
            self.repeat = Some((now + REPEAT, REPEAT));
        }
        if live == self.announced || due > now {
            return false;
        }
        let wait = (waited * 2).min(MAX_REPEAT);
        self.repeat = Some((now + wait, wait));
        true
    }
}

#[cfg(test)]
mod tests {
    use std::time::{Duration, Instant};

    use super::{EncodingSet, LINGER, SubscribedLayers, subscribed};
    use crate::layer_selector::EncodingView;
    use crate::parameters::PreferredLayers;
    use crate::up_track::EncodingIndex;

    fn view(size: Option<(u16, u16)>) -> EncodingView {
        EncodingView {
            size,
            ..EncodingView::default()
        }
    }

    fn camera() -> [EncodingView; 3] {
        [(320, 180), (640, 360), (1_280, 720)].map(|size| view(Some(size)))
    }

    fn up_to(width: u32, height: u32) -> PreferredLayers {
        PreferredLayers {
            max_width_px: Some(width),
            max_height_px: Some(height),
            ..PreferredLayers::default()
        }
    }

    fn set(encodings: &[u8]) -> EncodingSet {
        encodings.iter().copied().map(EncodingIndex).collect()
    }

    #[test]
    fn nothing_is_subscribed_without_receivers() {
        let found = subscribed(&camera().into_iter(), std::iter::empty());
        assert_eq!(found, set(&[]));
    }

    #[test]
    fn the_largest_preference_decides_and_lower_encodings_stay() {
        let preferences = [up_to(320, 180), up_to(640, 360)];
        let found = subscribed(&camera().into_iter(), preferences.into_iter());
        assert_eq!(found, set(&[0, 1]));
        let preferences = [up_to(320, 180), PreferredLayers::default()];
        let found = subscribed(&camera().into_iter(), preferences.into_iter());
        assert_eq!(found, set(&[0, 1, 2]));
    }

    #[test]
    fn the_smallest_is_subscribed_when_a_preference_allows_none() {
        let found = subscribed(&camera().into_iter(), [up_to(16, 16)].into_iter());
        assert_eq!(found, set(&[0]));
    }

    #[test]
    fn an_encoding_of_unknown_size_is_subscribed_while_there_are_receivers() {
        let views = [view(Some((320, 180))), view(None)];
        let found = subscribed(&views.into_iter(), [up_to(320, 180)].into_iter());
        assert_eq!(found, set(&[0, 1]));
    }

    #[test]
    fn fewer_encodings_are_announced_after_a_while_and_more_at_once() {
        let start = Instant::now();
        let mut subscribed_layers = SubscribedLayers::new(start, 3);
        assert!(!subscribed_layers.update(start, set(&[0])));
        assert!(!subscribed_layers.update(start + LINGER / 2, set(&[0])));
        assert!(subscribed_layers.includes(EncodingIndex(2)));
        assert!(subscribed_layers.update(start + LINGER, set(&[0])));
        assert!(
            subscribed_layers.includes(EncodingIndex(0))
                && !subscribed_layers.includes(EncodingIndex(2))
        );
        assert!(subscribed_layers.update(start + LINGER, set(&[0, 1])));
        assert!(
            subscribed_layers.includes(EncodingIndex(1))
                && !subscribed_layers.includes(EncodingIndex(2))
        );
    }

    #[test]
    fn a_preference_that_returns_in_time_changes_nothing() {
        let start = Instant::now();
        let mut subscribed_layers = SubscribedLayers::new(start, 3);
        subscribed_layers.update(start, set(&[0, 1, 2]));
        subscribed_layers.update(start + Duration::from_secs(1), set(&[0]));
        subscribed_layers.update(start + Duration::from_secs(4), set(&[0, 1, 2]));
        assert!(!subscribed_layers.update(start + Duration::from_secs(7), set(&[0])));
        assert!(subscribed_layers.includes(EncodingIndex(2)));
    }

    #[test]
    fn an_ignored_announcement_is_repeated_less_and_less_often() {
        let start = Instant::now();
        let at = |seconds| start + Duration::from_secs(seconds);
        let mut subscribed_layers = SubscribedLayers::new(start, 2);
        assert!(
            !subscribed_layers.must_repeat(at(9), set(&[0])),
            "nothing was announced"
        );
        subscribed_layers.update(at(10), set(&[0]));
        subscribed_layers.update(at(15), set(&[0]));
        let repeated: Vec<u64> = (15..300)
            .filter(|&second| subscribed_layers.must_repeat(at(second), set(&[0, 1])))
            .collect();
        assert_eq!(repeated, [17, 21, 29, 45, 77, 141, 205, 269]);
        assert!(
            !subscribed_layers.must_repeat(at(400), set(&[0])),
            "the publisher has followed"
        );
        assert!(!subscribed_layers.must_repeat(at(401), set(&[0, 1])));
        assert!(subscribed_layers.must_repeat(at(402), set(&[0, 1])));
    }

    #[test]
    fn a_change_is_reviewed_at_once_and_otherwise_each_second() {
        let start = Instant::now();
        let mut subscribed_layers = SubscribedLayers::new(start, 3);
        assert!(subscribed_layers.poll_timeout() <= start);
        subscribed_layers.update(start, set(&[0, 1, 2]));
        assert_eq!(
            subscribed_layers.poll_timeout(),
            start + Duration::from_secs(1)
        );
        subscribed_layers.recheck();
        assert!(subscribed_layers.poll_timeout() <= start);
    }
}
