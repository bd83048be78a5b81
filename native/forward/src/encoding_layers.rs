//! The spatial and temporal layers inside one encoding: the layer of each packet, and the bitrate
//! of each layer.

use std::time::Duration;

use sealroute_rtp::DataRate;
use sealroute_rtp::dependency_descriptor::{
    DependencyDescriptor, FrameDescriptor, Indication, Structure,
};

use crate::layer_filter::{LayerMark, Level, Levels};
use crate::parameters::PreferredLayers;

/// Higher layers are counted with the highest.
const SPATIAL_LAYERS: usize = 4;
const TEMPORAL_LAYERS: usize = 4;
/// A preference of 15 fps allows 16 fps.
const FRAME_RATE_SLACK: f32 = 1.15;
/// A structure from a frame at most this far behind the newest one is late. One from further behind
/// comes from a sender that restarted its count.
const LATE_FRAMES: u16 = 256;

#[derive(Clone, Copy, Debug, Default)]
struct Counts {
    bits: [[f64; TEMPORAL_LAYERS]; SPATIAL_LAYERS],
    pictures: [f32; TEMPORAL_LAYERS],
    top: Level,
}

/// What is known of the layers of one encoding. An encoding with a single layer costs nothing.
#[derive(Clone, Debug, Default)]
pub(crate) struct EncodingLayers {
    structure: Option<Structure>,
    /// The number of the frame that carried it.
    structure_from: u16,
    layered: bool,
    counting: Counts,
    /// Per second.
    measured: Option<Counts>,
}

impl EncodingLayers {
    /// The layer of a packet, once the encoding has shown more than one layer. The dependency
    /// descriptor takes precedence over the codec's own descriptor, where VP8 senders then omit the
    /// layer. Also returns what the dependency descriptor says of key frames: a key frame carries a
    /// structure.
    pub(crate) fn mark(
        &mut self,
        own: LayerMark,
        descriptor: Option<&[u8]>,
    ) -> (Option<LayerMark>, Option<bool>) {
        let read = descriptor
            .and_then(|value| DependencyDescriptor::parse(value, self.structure.as_ref()));
        let key_frame = read
            .as_ref()
            .map(|read| read.frame.start && read.structure.is_some());
        let frame = read.map(|read| {
            if let Some(structure) = read.structure {
                self.replace_structure(read.frame.number, structure);
            }
            read.frame
        });
        let mark = frame.and_then(|frame| self.mark_of(frame)).unwrap_or(own);
        self.layered |= mark.level != Level::default();
        (self.layered.then_some(mark), key_frame)
    }

    fn replace_structure(&mut self, from: u16, structure: Structure) {
        let behind = self.structure_from.wrapping_sub(from);
        if self.structure.is_some() && (1..=LATE_FRAMES).contains(&behind) {
            return;
        }
        self.layered = structure.is_layered();
        self.structure = Some(structure);
        self.structure_from = from;
    }

    /// `mark` for a packet that was marked before.
    pub(crate) fn look(&self, own: LayerMark, descriptor: Option<&[u8]>) -> Option<LayerMark> {
        let read = descriptor
            .and_then(|value| DependencyDescriptor::parse(value, self.structure.as_ref()))
            .and_then(|read| self.mark_of(read.frame));
        self.layered.then(|| read.unwrap_or(own))
    }

    fn mark_of(&self, frame: FrameDescriptor) -> Option<LayerMark> {
        let structure = self.structure.as_ref()?;
        let mut rises = Levels::default();
        let targets = structure.target_layers();
        let largest = targets.iter().map(|&(spatial, _)| spatial).max();
        for (target, &(spatial, temporal)) in (0_u8..).zip(targets) {
            if frame.indications.of(target) == Indication::Switch {
                let level = Level { spatial, temporal };
                rises = if Some(spatial) == largest {
                    rises.with_larger(level)
                } else {
                    rises.with(level)
                };
            }
        }
        Some(LayerMark {
            level: Level {
                spatial: frame.spatial,
                temporal: frame.temporal,
            },
            rises,
            leans_on_own: true,
            opens: false,
            ends: frame.end,
        })
    }

    /// Counts a packet of this layer. `ends`: it is the last packet of its picture.
    pub(crate) fn count(&mut self, level: Level, bytes: usize, ends: bool) {
        let spatial = usize::from(level.spatial).min(SPATIAL_LAYERS - 1);
        let temporal = usize::from(level.temporal).min(TEMPORAL_LAYERS - 1);
        self.counting.bits[spatial][temporal] += (bytes * 8) as f64;
        self.counting.pictures[temporal] += f32::from(u8::from(ends));
        self.counting.top = self.counting.top.max(level);
    }

    /// Ends a measurement that took this long.
    pub(crate) fn measure(&mut self, elapsed: Duration) {
        if !self.layered {
            return;
        }
        let seconds = elapsed.as_secs_f64();
        let mut counts = std::mem::take(&mut self.counting);
        for bits in counts.bits.as_flattened_mut() {
            *bits /= seconds;
        }
        for pictures in &mut counts.pictures {
            *pictures /= seconds as f32;
        }
        self.measured = Some(counts);
    }

    /// The highest layers seen in the last second.
    pub(crate) fn top(&self) -> Level {
        let measured = self.measured.as_ref();
        measured.map_or(Level::default(), |counts| counts.top)
    }

    /// The bitrate and the pictures per second of all layers up to a level. `None` before the first
    /// measurement, or for a single layer.
    pub(crate) fn up_to(&self, level: Level) -> Option<(DataRate, f32)> {
        let counts = self.measured.as_ref().filter(|_| self.layered)?;
        let spatial = usize::from(level.spatial).min(SPATIAL_LAYERS - 1);
        let temporal = usize::from(level.temporal).min(TEMPORAL_LAYERS - 1);
        let sizes = &counts.bits[..=spatial];
        let bits = sizes.iter().flat_map(|size| &size[..=temporal]).sum();
        let pictures = counts.pictures[..=temporal].iter().sum();
        Some((DataRate::from_bps(bits), pictures))
    }

    /// The largest frame size in the structure.
    pub(crate) fn full_size(&self) -> Option<(u16, u16)> {
        let structure = self.structure.as_ref()?;
        let sizes = (0..SPATIAL_LAYERS as u8).map_while(|spatial| structure.resolution(spatial));
        sizes.last()
    }

    /// The frame size of a spatial layer, given the size of the highest one. Without a declared
    /// size, each layer is half the size of the next.
    pub(crate) fn size(&self, spatial: u8, full: Option<(u16, u16)>) -> Option<(u16, u16)> {
        let said = self.structure.as_ref().and_then(|s| s.resolution(spatial));
        let halvings = self.top().spatial.saturating_sub(spatial);
        said.or_else(|| full.map(|(width, height)| (width >> halvings, height >> halvings)))
    }

    /// The highest layers that the preferences allow, or the lowest if they allow none.
    pub(crate) fn preferred(&self, preferred: PreferredLayers, full: Option<(u16, u16)>) -> Level {
        let top = self.top();
        let fits = |spatial: &u8| {
            let size = self.size(*spatial, full);
            size.is_none_or(|size| preferred.allows_size(size))
        };
        let fast_enough = |temporal: &u8| {
            let level = Level {
                temporal: *temporal,
                ..Level::TOP
            };
            let measured = self.up_to(level).map_or(0.0, |(_, pictures)| pictures);
            preferred
                .max_frame_rate
                .is_none_or(|limit| measured <= limit * FRAME_RATE_SLACK)
        };
        let spatial = (0..=top.spatial).rev().find(fits).unwrap_or_default();
        let temporal = (0..=top.temporal).rev().find(fast_enough);
        let temporal = temporal.unwrap_or_default();
        // A layer that has not been measured yet may be above the measured ones.
        Level {
            spatial: if spatial == top.spatial {
                Level::TOP.spatial
            } else {
                spatial
            },
            temporal: if temporal == top.temporal {
                Level::TOP.temporal
            } else {
                temporal
            },
        }
    }
}

#[cfg(test)]
mod tests {
    use super::{DataRate, Duration, EncodingLayers};
    use crate::layer_filter::{LayerMark, Level};
    use crate::parameters::PreferredLayers;

    fn level(spatial: u8, temporal: u8) -> Level {
        Level { spatial, temporal }
    }

    /// Thirty-two pictures: every fourth of layer 0, every other one of layer 2.
    fn second(sizes: u8) -> EncodingLayers {
        let mut layers = EncodingLayers::default();
        for picture in 0..32_usize {
            let temporal = [0, 2, 1, 2][picture % 4];
            for spatial in 0..sizes {
                let mark = LayerMark {
                    level: level(spatial, temporal),
                    ..LayerMark::default()
                };
                layers.mark(mark, None);
                let bytes = 1_000 << (2 * spatial);
                layers.count(mark.level, bytes, spatial + 1 == sizes);
            }
        }
        layers.measure(Duration::from_secs(1));
        layers
    }

    /// A key frame with two temporal layers. Its templates count from `offset`.
    fn key_frame(number: u16, offset: u8) -> [u8; 8] {
        let [high, low] = number.to_be_bytes();
        // Offset (6 bits), targets (5); templates (0, 0) and (0, 1): switch, switch; none, last.
        let head = [0xC0 | offset, high, low];
        let [h0, h1, h2] = head;
        [
            h0,
            h1,
            h2,
            0x80 | offset >> 3,
            offset << 5 | 0x01,
            0x7A,
            0x24,
            0,
        ]
    }

    #[test]
    fn a_structure_that_comes_late_does_not_replace_a_newer_one() {
        let mut layers = EncodingLayers::default();
        let mut mark = |value: &[u8]| layers.mark(LayerMark::default(), Some(value)).0;
        let of = |layer: Option<LayerMark>| layer.map(|mark| mark.level.temporal);
        assert_eq!(of(mark(&key_frame(100, 8))), Some(0));
        assert_eq!(of(mark(&key_frame(90, 0))), Some(0));
        assert_eq!(
            of(mark(&[0xC0 | 9, 0, 101])),
            Some(1),
            "the newer one's second template"
        );
        assert_eq!(of(mark(&key_frame(60_000, 0))), Some(0));
        assert_eq!(
            of(mark(&[0xC0 | 1, 0xEA, 0x61])),
            Some(1),
            "a sender that restarted its count"
        );
    }

    #[test]
    fn an_encoding_without_layers_has_no_marks() {
        let mut layers = EncodingLayers::default();
        assert_eq!(layers.mark(LayerMark::default(), None), (None, None));
        layers.count(Level::default(), 1_000, true);
        layers.measure(Duration::from_secs(1));
        assert_eq!(layers.up_to(Level::TOP), None);
    }

    #[test]
    fn rates_add_up_from_the_lowest_layer_on() {
        let layers = second(1);
        assert_eq!(
            layers.up_to(level(0, 0)),
            Some((DataRate::from_kbps(64.0), 8.0))
        );
        assert_eq!(
            layers.up_to(level(0, 1)),
            Some((DataRate::from_kbps(128.0), 16.0))
        );
        assert_eq!(
            layers.up_to(Level::TOP),
            Some((DataRate::from_kbps(256.0), 32.0))
        );
    }

    #[test]
    fn a_lower_preferred_frame_rate_leaves_the_layers_below_it() {
        let layers = second(1);
        let preferred = |rate| PreferredLayers {
            max_frame_rate: Some(rate),
            ..PreferredLayers::default()
        };
        assert_eq!(
            layers.preferred(preferred(30.0), None).temporal,
            Level::TOP.temporal
        );
        assert_eq!(layers.preferred(preferred(15.0), None).temporal, 1);
        assert_eq!(layers.preferred(preferred(1.0), None).temporal, 0);
    }

    #[test]
    fn a_smaller_preferred_size_excludes_the_sizes_above() {
        let layers = second(3);
        let preferred = PreferredLayers {
            max_width_px: Some(640),
            ..PreferredLayers::default()
        };
        assert_eq!(layers.preferred(preferred, Some((1_280, 720))).spatial, 1);
        let all = layers.preferred(PreferredLayers::default(), Some((1_280, 720)));
        assert_eq!(all, Level::TOP);
    }
}
