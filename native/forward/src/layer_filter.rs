//! The layer filter: which packets of an encoding with spatial and temporal layers a down track
//! forwards. Pure.
//!
//! A picture is RFC 9628's: all layer frames with one RTP timestamp. Frames up to the down track's
//! level pass, those above do not. The level drops between any two pictures. It rises only where
//! the sender allows it: at key frames and switch points. Packets of earlier pictures that arrive
//! late are judged by the level of their own picture. A rise is never allowed in a picture with a
//! withheld packet: the decoder would miss it.

use std::collections::VecDeque;

/// Pictures whose packets may still arrive late.
const REMEMBERED: usize = 32;
const SPATIAL_LAYERS: u8 = 4;
const TEMPORAL_LAYERS: u8 = 8;

/// A spatial and a temporal layer of one encoding.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub(crate) struct Level {
    pub(crate) spatial: u8,
    pub(crate) temporal: u8,
}

impl Level {
    /// At or above every possible layer.
    pub(crate) const TOP: Self = Self {
        spatial: SPATIAL_LAYERS - 1,
        temporal: TEMPORAL_LAYERS - 1,
    };

    pub(crate) fn min(self, other: Self) -> Self {
        Self {
            spatial: self.spatial.min(other.spatial),
            temporal: self.temporal.min(other.temporal),
        }
    }

    pub(crate) fn max(self, other: Self) -> Self {
        Self {
            spatial: self.spatial.max(other.spatial),
            temporal: self.temporal.max(other.temporal),
        }
    }

    fn reaches(self, other: Self) -> bool {
        self.spatial >= other.spatial && self.temporal >= other.temporal
    }
}

/// A set of levels.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub(crate) struct Levels(u32);

impl Levels {
    pub(crate) const NONE: Self = Self(0);

    pub(crate) fn with(self, level: Level) -> Self {
        let level = level.min(Level::TOP);
        Self(self.0 | 1 << (level.spatial * TEMPORAL_LAYERS + level.temporal))
    }

    /// `with`, and the same temporal layer of every larger spatial layer.
    pub(crate) fn with_larger(self, level: Level) -> Self {
        (level.spatial..SPATIAL_LAYERS)
            .fold(self, |set, spatial| set.with(Level { spatial, ..level }))
    }

    /// Every temporal layer of one spatial layer.
    pub(crate) fn of_spatial(spatial: u8) -> Self {
        (0..TEMPORAL_LAYERS).fold(Self::default(), |set, temporal| {
            set.with(Level { spatial, temporal })
        })
    }

    /// Whether a level within this one is in the set.
    fn any_up_to(self, level: Level) -> bool {
        self != Self::NONE
            && (0..=level.spatial).any(|spatial| {
                (0..=level.temporal).any(|temporal| self.contains(Level { spatial, temporal }))
            })
    }

    fn contains(self, level: Level) -> bool {
        self == self.with(level)
    }
}

/// The position of a packet in the layers of its encoding.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub(crate) struct LayerMark {
    pub(crate) level: Level,
    /// Receivers at the level just below may receive these levels from this frame on.
    pub(crate) rises: Levels,
    /// Only for receivers of this frame: it may depend on earlier frames of its own layer.
    pub(crate) leans_on_own: bool,
    /// Every temporal layer may start with the next picture.
    pub(crate) opens: bool,
    /// The last packet of a layer frame.
    pub(crate) ends: bool,
}

/// The verdict on a packet.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Verdict {
    /// Forwarded. The last packet of a picture carries the marker.
    Pass { ends_frame: bool },
    /// Its layer is above the level.
    Above,
}

/// The level of one down track, picture by picture.
#[derive(Clone, Debug, Default)]
pub(crate) struct LayerFilter {
    level: Level,
    /// RTP timestamp of the newest picture.
    picture: Option<u32>,
    opened: bool,
    /// Levels of the newest picture with withheld packets: the level cannot rise to them.
    withheld: Levels,
    earlier: VecDeque<(u32, Level)>,
}

impl LayerFilter {
    /// The level of the newest picture.
    pub(crate) fn level(&self) -> Level {
        self.level
    }

    /// The next packet starts with a key frame. Returns the filter of the pictures before.
    pub(crate) fn restart(&mut self) -> Self {
        let level = self.level;
        std::mem::replace(
            self,
            Self {
                level,
                ..Self::default()
            },
        )
    }

    pub(crate) fn judge(
        &mut self,
        mark: LayerMark,
        timestamp: u32,
        key_frame: bool,
        target: Level,
    ) -> Verdict {
        let level = self.level_of(mark, timestamp, key_frame, target);
        if !level.reaches(mark.level) {
            if self.picture == Some(timestamp) {
                self.withheld = self.withheld.with(mark.level);
            }
            return Verdict::Above;
        }
        Verdict::Pass {
            ends_frame: mark.ends && mark.level.spatial == level.spatial,
        }
    }

    fn level_of(
        &mut self,
        mark: LayerMark,
        timestamp: u32,
        key_frame: bool,
        target: Level,
    ) -> Level {
        if let Some(picture) = self.picture
            && picture.wrapping_sub(timestamp) as i32 > 0
        {
            let known = self.earlier.iter().rev().find(|(of, _)| *of == timestamp);
            return known.map_or(self.level, |&(_, level)| level);
        }
        if self.picture != Some(timestamp) {
            self.begin(timestamp, target);
        }
        if key_frame {
            self.level = target;
        }
        if !mark.leans_on_own || self.level.reaches(mark.level) {
            self.climb(mark.rises, target);
        }
        self.opened |= mark.opens && mark.level.temporal <= self.level.temporal;
        self.level
    }

    fn begin(&mut self, timestamp: u32, target: Level) {
        match self.picture.replace(timestamp) {
            None => self.level = target,
            Some(picture) => {
                if self.earlier.len() == REMEMBERED {
                    self.earlier.pop_front();
                }
                self.earlier.push_back((picture, self.level));
            }
        }
        self.withheld = Levels::NONE;
        self.level = self.level.min(target);
        if std::mem::take(&mut self.opened) {
            self.level.temporal = target.temporal;
        }
    }

    fn climb(&mut self, rises: Levels, target: Level) {
        loop {
            let (mut faster, mut larger) = (self.level, self.level);
            faster.temporal += 1;
            larger.spatial += 1;
            let next = [faster, larger];
            let next = next.into_iter().find(|&level| {
                target.reaches(level)
                    && Level::TOP.reaches(level)
                    && rises.contains(level)
                    && !self.withheld.any_up_to(level)
            });
            match next {
                Some(level) => self.level = level,
                None => return,
            }
        }
    }
}

#[cfg(test)]
mod tests {
    use super::{LayerFilter, LayerMark, Level, Levels, Verdict};

    fn level(spatial: u8, temporal: u8) -> Level {
        Level { spatial, temporal }
    }

    /// A VP8 frame with layer sync: receivers of the layer below may start here.
    fn synced(temporal: u8) -> LayerMark {
        LayerMark {
            level: level(0, temporal),
            rises: Levels::default().with(level(0, temporal)),
            ends: true,
            ..LayerMark::default()
        }
    }

    fn plain(spatial: u8, temporal: u8) -> LayerMark {
        LayerMark {
            level: level(spatial, temporal),
            ends: true,
            ..LayerMark::default()
        }
    }

    fn passed(filter: &mut LayerFilter, mark: LayerMark, picture: u32, target: Level) -> bool {
        filter.judge(mark, picture, false, target) != Verdict::Above
    }

    #[test]
    fn a_level_drops_with_the_next_picture_not_within_one() {
        let mut filter = LayerFilter::default();
        assert!(passed(&mut filter, plain(0, 2), 1, Level::TOP));
        assert!(passed(&mut filter, plain(0, 2), 1, level(0, 0)));
        assert!(!passed(&mut filter, plain(0, 2), 2, level(0, 0)));
    }

    #[test]
    fn a_level_does_not_rise_in_a_picture_with_a_withheld_packet() {
        let mut filter = LayerFilter::default();
        filter.judge(plain(0, 0), 1, true, level(0, 0));
        assert!(!passed(&mut filter, synced(1), 2, level(0, 0)));
        assert!(
            !passed(&mut filter, synced(1), 2, level(0, 1)),
            "half of it"
        );
        assert!(passed(&mut filter, synced(1), 3, level(0, 1)));
    }

    #[test]
    fn a_level_rises_one_by_one_where_frames_are_synced() {
        let mut filter = LayerFilter::default();
        filter.judge(plain(0, 0), 1, true, level(0, 0));
        let top = level(0, 2);
        assert!(
            !passed(&mut filter, synced(2), 2, top),
            "one is missing between"
        );
        assert!(!passed(&mut filter, plain(0, 1), 3, top), "not synced");
        assert!(passed(&mut filter, synced(1), 4, top));
        assert!(!passed(&mut filter, plain(0, 2), 5, top));
        assert!(passed(&mut filter, synced(2), 6, top));
        assert!(passed(&mut filter, plain(0, 2), 7, top));
    }

    #[test]
    fn a_switching_up_point_opens_the_pictures_after_it() {
        let mut filter = LayerFilter::default();
        filter.judge(plain(0, 0), 1, true, level(0, 0));
        let opening = LayerMark {
            opens: true,
            ..plain(0, 0)
        };
        assert!(!passed(&mut filter, plain(0, 2), 2, level(0, 2)));
        assert!(passed(&mut filter, opening, 3, level(0, 2)));
        assert!(passed(&mut filter, plain(0, 2), 4, level(0, 2)));
    }

    #[test]
    fn a_key_frame_lifts_everything_that_is_wanted() {
        let mut filter = LayerFilter::default();
        filter.judge(plain(0, 0), 1, true, level(0, 0));
        assert!(!passed(&mut filter, plain(1, 0), 1, level(2, 2)));
        filter.judge(plain(0, 0), 2, true, level(1, 1));
        assert!(passed(&mut filter, plain(1, 1), 2, level(1, 1)));
        assert!(!passed(&mut filter, plain(2, 1), 2, level(1, 1)));
    }

    #[test]
    fn a_frame_that_depends_on_its_own_layer_lifts_only_receivers_of_that_layer() {
        let mut filter = LayerFilter::default();
        filter.judge(plain(0, 0), 1, true, level(0, 0));
        let switching = LayerMark {
            rises: Levels::of_spatial(1),
            leans_on_own: true,
            ..plain(1, 0)
        };
        assert!(!passed(&mut filter, switching, 2, level(1, 2)));
        filter.judge(plain(0, 0), 3, true, level(1, 0));
        assert!(passed(&mut filter, switching, 4, level(1, 2)));
        assert_eq!(filter.level(), level(1, 2));
    }

    #[test]
    fn the_last_packet_of_the_highest_passed_size_ends_the_picture() {
        let mut filter = LayerFilter::default();
        let ends = |filter: &mut LayerFilter, spatial| {
            let verdict = filter.judge(plain(spatial, 0), 1, spatial == 0, level(1, 0));
            verdict == Verdict::Pass { ends_frame: true }
        };
        assert!(!ends(&mut filter, 0));
        assert!(ends(&mut filter, 1));
    }

    #[test]
    fn a_late_packet_is_judged_by_the_level_of_its_picture() {
        let mut filter = LayerFilter::default();
        filter.judge(plain(0, 0), 1, true, level(0, 2));
        filter.judge(plain(0, 0), 2, false, level(0, 0));
        assert!(passed(&mut filter, plain(0, 2), 1, level(0, 0)));
        filter.judge(plain(0, 0), 3, true, level(0, 2));
        assert!(!passed(&mut filter, plain(0, 2), 2, level(0, 2)));
    }

    #[test]
    fn timestamps_may_wrap() {
        let mut filter = LayerFilter::default();
        filter.judge(plain(0, 0), u32::MAX - 10, true, level(0, 2));
        assert!(!passed(&mut filter, plain(0, 2), 10, level(0, 0)));
        assert!(passed(&mut filter, plain(0, 2), u32::MAX - 10, level(0, 0)));
    }
}
