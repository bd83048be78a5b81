//! Allocates a downlink's bandwidth among its video tracks. Pure.

use sealroute_rtp::DataRate;

use crate::layers::Layer;
use crate::registry::DownTrackKey;

/// The request of one video m-line for bandwidth.
#[derive(Clone, Debug, PartialEq)]
pub(crate) struct AllocationRequest {
    /// Its key; opaque to the allocator.
    pub(crate) down_track: DownTrackKey,
    /// Bitrates of the layer options, ascending.
    pub(crate) bitrates: Vec<DataRate>,
    /// The layer of each bitrate; opaque to the allocator.
    pub(crate) layer_options: Vec<Layer>,
    /// The option in use; None: paused.
    pub(crate) current: Option<usize>,
    /// Larger frames get the upper layers first.
    pub(crate) weight: u32,
    /// The result; None: paused.
    pub(crate) granted: Option<usize>,
}

impl AllocationRequest {
    /// Removes the options above this one.
    pub(crate) fn limit_to(&mut self, layer: Option<usize>) {
        let count = layer.map_or(self.bitrates.len(), |layer| layer + 1);
        self.bitrates.truncate(count);
        self.layer_options.truncate(count);
    }
}

/// Which changes this allocation may make.
#[derive(Clone, Copy, Debug, PartialEq)]
pub(crate) struct Hysteresis {
    /// Nothing is paused: the path has not shown a limit.
    pub(crate) keep_all: bool,
    /// Nothing is raised.
    pub(crate) hold: bool,
}

/// The current layer may exceed the budget by this much: estimates fluctuate.
const CURRENT_OVERSHOOT: f64 = 1.05;
/// The smallest layer is kept longer: a single sign of congestion cuts the estimate by 15 %.
const SMALLEST_OVERSHOOT: f64 = 1.25;
/// A higher layer must fit with this headroom.
const RAISE_HEADROOM: f64 = 1.15;
/// Paused video must fit with this headroom: video that flaps is worse than none.
const RESUME_HEADROOM: f64 = 1.35;

/// Allocates `budget` (audio already subtracted): the smallest layer for everyone first, then
/// one more layer for each in turn. Returns the cost of the granted layers.
pub(crate) fn allocate(
    budget: DataRate,
    requests: &mut [AllocationRequest],
    hysteresis: Hysteresis,
) -> DataRate {
    // Active video keeps its layer before paused video resumes; larger frames first.
    requests.sort_by_key(|request| {
        let paused = request.current.is_none() && !hysteresis.keep_all;
        (
            paused,
            std::cmp::Reverse(request.weight),
            request.down_track,
        )
    });
    let mut spent = DataRate::ZERO;
    for request in requests.iter_mut() {
        request.granted = None;
        let Some(&cost) = request.bitrates.first() else {
            continue;
        };
        if hysteresis.keep_all || fits(request, 0, spent + cost, budget, hysteresis) {
            request.granted = Some(0);
            spent += cost;
        }
    }
    let highest = requests.iter().map(|request| request.bitrates.len()).max();
    for layer in 1..highest.unwrap_or_default() {
        for request in requests.iter_mut() {
            let (Some(&cost), true) = (request.bitrates.get(layer), request.granted.is_some())
            else {
                continue;
            };
            let below = request
                .granted
                .map_or(DataRate::ZERO, |granted| request.bitrates[granted]);
            let total = spent - below + cost;
            if fits(request, layer, total, budget, hysteresis) {
                request.granted = Some(layer);
                spent = total;
            }
        }
    }
    spent
}

fn fits(
    request: &AllocationRequest,
    layer: usize,
    total: DataRate,
    budget: DataRate,
    hysteresis: Hysteresis,
) -> bool {
    match request.current {
        Some(_) if layer == 0 => total <= budget * SMALLEST_OVERSHOOT,
        Some(current) if layer <= current => total <= budget * CURRENT_OVERSHOOT,
        _ if hysteresis.hold => false,
        Some(_) => total * RAISE_HEADROOM <= budget,
        None => total * RESUME_HEADROOM <= budget,
    }
}

#[cfg(test)]
mod tests {
    use super::{AllocationRequest, DataRate, Hysteresis, allocate};
    use crate::registry::{DownTrackKey, Key};

    const STEADY: Hysteresis = Hysteresis {
        keep_all: false,
        hold: false,
    };

    fn request(down_track: usize, current: Option<usize>) -> AllocationRequest {
        AllocationRequest {
            down_track: DownTrackKey::of(down_track),
            bitrates: [150.0, 500.0, 2_000.0].map(DataRate::from_kbps).to_vec(),
            layer_options: Vec::new(),
            current,
            weight: 1,
            granted: None,
        }
    }

    fn granted(
        budget_bps: f64,
        mut requests: Vec<AllocationRequest>,
        hysteresis: Hysteresis,
    ) -> Vec<Option<usize>> {
        allocate(DataRate::from_bps(budget_bps), &mut requests, hysteresis);
        requests.sort_by_key(|request| request.down_track);
        requests.iter().map(|request| request.granted).collect()
    }

    #[test]
    fn everyone_gets_the_smallest_layer_before_anyone_gets_a_higher_one() {
        let three = || {
            (0..3)
                .map(|down_track| request(down_track, Some(0)))
                .collect::<Vec<_>>()
        };
        assert_eq!(granted(600e3, three(), STEADY), [Some(0); 3]);
        assert_eq!(granted(1e6, three(), STEADY), [Some(1), Some(0), Some(0)]);
        assert_eq!(granted(1.8e6, three(), STEADY), [Some(1); 3]);
    }

    #[test]
    fn video_that_does_not_fit_is_paused_before_anything_freezes() {
        let two = vec![request(0, Some(2)), request(1, Some(2))];
        assert_eq!(granted(200e3, two, STEADY), [Some(0), None]);
        assert_eq!(granted(50e3, vec![request(0, Some(0))], STEADY), [None]);
    }

    #[test]
    fn a_current_layer_stays_where_a_new_one_would_not_be_granted() {
        assert_eq!(granted(500e3, vec![request(0, Some(1))], STEADY), [Some(1)]);
        assert_eq!(granted(500e3, vec![request(0, Some(0))], STEADY), [Some(0)]);
        assert_eq!(granted(180e3, vec![request(0, Some(0))], STEADY), [Some(0)]);
        assert_eq!(granted(180e3, vec![request(0, None)], STEADY), [None]);
        assert_eq!(granted(250e3, vec![request(0, None)], STEADY), [Some(0)]);
    }

    #[test]
    fn larger_frames_gain_first() {
        let mut large = request(1, Some(0));
        large.weight = 9;
        let two = vec![request(0, Some(0)), large];
        assert_eq!(granted(800e3, two, STEADY), [Some(0), Some(1)]);
    }

    #[test]
    fn nothing_rises_while_held_and_nothing_pauses_on_a_path_without_limit() {
        let hold = Hysteresis {
            hold: true,
            ..STEADY
        };
        assert_eq!(granted(9e6, vec![request(0, Some(0))], hold), [Some(0)]);
        let keep_all = Hysteresis {
            keep_all: true,
            ..STEADY
        };
        assert_eq!(granted(1e3, vec![request(0, None)], keep_all), [Some(0)]);
    }

    #[test]
    fn no_allocation_costs_more_than_there_is() {
        for budget in (0..400).map(|step| DataRate::from_kbps(f64::from(step) * 10.0)) {
            for current in [None, Some(0), Some(1), Some(2)] {
                let mut requests: Vec<_> = (0..4)
                    .map(|down_track| request(down_track, current))
                    .collect();
                assert!(allocate(budget, &mut requests, STEADY) <= budget * 1.25);
            }
        }
    }
}
