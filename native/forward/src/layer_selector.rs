//! Layer selection: which encoding of an up track a Subscriber receives. Pure.
//!
//! Input: the measured view of each encoding, the subscriber's preferred layers, and the allocation
//! of its downlink. Output: the best live encoding that satisfies both limits. Preferences bound
//! the frame size from above; the allocation bounds the rank (frame size, then bitrate). Without a
//! match, the smallest live encoding is better than nothing. A paused allocation selects it too: its
//! still frames pass (`down_track/stills.rs`).
//!
//! The selector keeps no state. The down track holds the switch until a key frame of the target
//! arrives (`down_track/switching.rs`); layers inside the encoding are the layer filter's
//! (`layer_filter.rs`). Content and frame dependencies are left out: the server cannot read them.

use std::time::{Duration, Instant};

use sealroute_rtp::DataRate;

use crate::layers::Allocation;
use crate::parameters::PreferredLayers;
use crate::up_track::EncodingIndex;

/// An encoding without packets for this long counts as stopped.
pub(crate) const SILENCE: Duration = Duration::from_millis(500);

/// What selection knows of one encoding.
#[derive(Clone, Copy, Debug, Default, PartialEq)]
pub(crate) struct EncodingView {
    pub(crate) last_packet: Option<Instant>,
    pub(crate) bitrate: DataRate,
    pub(crate) size: Option<(u16, u16)>,
    /// Frame size of the lowest spatial layer, if there are several.
    pub(crate) smallest: Option<(u16, u16)>,
    pub(crate) frame_rate: Option<f32>,
}

impl EncodingView {
    pub(crate) fn is_live(&self, now: Instant) -> bool {
        self.last_packet
            .is_some_and(|at| now.duration_since(at) <= SILENCE)
    }
}

/// The best live encoding that preferences and allocation allow, else the smallest live one.
/// `None`: no encoding is live.
pub(crate) fn choose(
    now: Instant,
    encodings: impl Iterator<Item = EncodingView> + Clone,
    preferred: PreferredLayers,
    allocation: Allocation,
) -> Option<EncodingIndex> {
    let ceiling = match allocation {
        Allocation::Unlimited => None,
        Allocation::Paused => Some((0, 0)),
        // An absent encoding limits nothing.
        Allocation::UpTo(layer) => encodings.clone().nth(layer.encoding.into()).map(rank),
    };
    let mut best: Option<(EncodingIndex, EncodingView)> = None;
    let mut smallest: Option<(EncodingIndex, EncodingView)> = None;
    for (index, view) in (0..).map(EncodingIndex).zip(encodings) {
        if !view.is_live(now) {
            continue;
        }
        if smallest.is_none_or(|(_, other)| rank(view) < rank(other)) {
            smallest = Some((index, view));
        }
        let affordable = ceiling.is_none_or(|ceiling| rank(view) <= ceiling);
        if affordable
            && allows(preferred, view)
            && best.is_none_or(|(_, other)| rank(view) > rank(other))
        {
            best = Some((index, view));
        }
    }
    best.or(smallest).map(|(index, _)| index)
}

/// By frame size where it is known, else by bitrate.
pub(crate) fn rank(view: EncodingView) -> (u32, u64) {
    let pixels = view
        .size
        .map_or(0, |(width, height)| u32::from(width) * u32::from(height));
    (pixels, view.bitrate.whole_bps())
}

/// The smallest frame size that the encoding offers must fit.
pub(crate) fn allows(preferred: PreferredLayers, view: EncodingView) -> bool {
    view.smallest
        .or(view.size)
        .is_none_or(|size| preferred.allows_size(size))
}
