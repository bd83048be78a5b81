//! Divides what a downlink carries among its video. Pure.

use crate::layers::Layer;

/// One video m-line that wants a share.
#[derive(Clone, Debug, Default, PartialEq)]
pub(crate) struct Claim {
    /// Whose: not looked at here.
    pub(crate) down_track: usize,
    /// Bitrates of the layers that may be given, from the smallest on.
    pub(crate) layers: Vec<f64>,
    /// Which layers these are: not looked at here.
    pub(crate) steps: Vec<Layer>,
    /// What it has at present; None: paused.
    pub(crate) current: Option<usize>,
    /// Larger pictures gain the upper layers first.
    pub(crate) weight: u32,
    /// Result. None: paused.
    pub(crate) granted: Option<usize>,
}

impl Claim {
    /// Gives up whatever is above a layer.
    pub(crate) fn keep_to(&mut self, layer: Option<usize>) {
        let count = layer.map_or(self.layers.len(), |layer| layer + 1);
        self.layers.truncate(count);
        self.steps.truncate(count);
    }
}

/// How ready a division is to change.
#[derive(Clone, Copy, Debug, PartialEq)]
pub(crate) struct Readiness {
    /// Nothing is paused: the path has not shown a limit.
    pub(crate) keep_all: bool,
    /// Nothing is given more than it has.
    pub(crate) hold: bool,
}

/// What is held may cost a little more than there is: estimates swing.
const KEEP: f64 = 1.05;
/// The smallest layer is kept longer: a single sign of congestion takes off 15 %.
const KEEP_LAST: f64 = 1.25;
/// What is new has to fit with room to spare.
const RAISE: f64 = 1.15;
/// What was paused has to fit with much room: a picture that comes and goes is worse than none.
const RESUME: f64 = 1.35;

/// Divides `budget_bps` (sound already taken off): everyone's smallest layer first, then one
/// layer more for each in turn. Returns what the granted layers cost.
pub(crate) fn divide(budget_bps: f64, claims: &mut [Claim], readiness: Readiness) -> f64 {
    // Those who have a picture keep it before others get one; larger ones first.
    claims.sort_by_key(|claim| {
        let paused = claim.current.is_none() && !readiness.keep_all;
        (paused, std::cmp::Reverse(claim.weight), claim.down_track)
    });
    let mut spent = 0.0;
    for claim in claims.iter_mut() {
        claim.granted = None;
        let Some(&cost) = claim.layers.first() else {
            continue;
        };
        if readiness.keep_all || fits(claim, 0, spent + cost, budget_bps, readiness) {
            claim.granted = Some(0);
            spent += cost;
        }
    }
    let highest = claims.iter().map(|claim| claim.layers.len()).max();
    for layer in 1..highest.unwrap_or_default() {
        for claim in claims.iter_mut() {
            let (Some(&cost), true) = (claim.layers.get(layer), claim.granted.is_some()) else {
                continue;
            };
            let below = claim.granted.map_or(0.0, |granted| claim.layers[granted]);
            let total = spent - below + cost;
            if fits(claim, layer, total, budget_bps, readiness) {
                claim.granted = Some(layer);
                spent = total;
            }
        }
    }
    spent
}

fn fits(claim: &Claim, layer: usize, total: f64, budget: f64, readiness: Readiness) -> bool {
    match claim.current {
        Some(_) if layer == 0 => total <= budget * KEEP_LAST,
        Some(current) if layer <= current => total <= budget * KEEP,
        _ if readiness.hold => false,
        Some(_) => total * RAISE <= budget,
        None => total * RESUME <= budget,
    }
}

#[cfg(test)]
mod tests {
    use super::{Claim, Readiness, divide};

    const STEADY: Readiness = Readiness {
        keep_all: false,
        hold: false,
    };

    fn claim(down_track: usize, current: Option<usize>) -> Claim {
        Claim {
            down_track,
            layers: vec![150e3, 500e3, 2e6],
            steps: Vec::new(),
            current,
            weight: 1,
            granted: None,
        }
    }

    fn granted(budget: f64, mut claims: Vec<Claim>, readiness: Readiness) -> Vec<Option<usize>> {
        divide(budget, &mut claims, readiness);
        claims.sort_by_key(|claim| claim.down_track);
        claims.iter().map(|claim| claim.granted).collect()
    }

    #[test]
    fn everyone_gets_a_picture_before_anyone_gets_a_better_one() {
        let three = || {
            (0..3)
                .map(|down_track| claim(down_track, Some(0)))
                .collect::<Vec<_>>()
        };
        assert_eq!(granted(600e3, three(), STEADY), [Some(0); 3]);
        assert_eq!(granted(1e6, three(), STEADY), [Some(1), Some(0), Some(0)]);
        assert_eq!(granted(1.8e6, three(), STEADY), [Some(1); 3]);
    }

    #[test]
    fn what_does_not_fit_is_paused_before_anything_freezes() {
        let two = vec![claim(0, Some(2)), claim(1, Some(2))];
        assert_eq!(granted(200e3, two, STEADY), [Some(0), None]);
        assert_eq!(granted(50e3, vec![claim(0, Some(0))], STEADY), [None]);
    }

    #[test]
    fn what_is_held_stays_where_what_is_new_would_not_be_given() {
        assert_eq!(granted(500e3, vec![claim(0, Some(1))], STEADY), [Some(1)]);
        assert_eq!(granted(500e3, vec![claim(0, Some(0))], STEADY), [Some(0)]);
        assert_eq!(granted(180e3, vec![claim(0, Some(0))], STEADY), [Some(0)]);
        assert_eq!(granted(180e3, vec![claim(0, None)], STEADY), [None]);
        assert_eq!(granted(250e3, vec![claim(0, None)], STEADY), [Some(0)]);
    }

    #[test]
    fn larger_pictures_gain_first() {
        let mut large = claim(1, Some(0));
        large.weight = 9;
        let two = vec![claim(0, Some(0)), large];
        assert_eq!(granted(800e3, two, STEADY), [Some(0), Some(1)]);
    }

    #[test]
    fn nothing_rises_while_held_and_nothing_pauses_on_a_path_without_limit() {
        let hold = Readiness {
            hold: true,
            ..STEADY
        };
        assert_eq!(granted(9e6, vec![claim(0, Some(0))], hold), [Some(0)]);
        let keep_all = Readiness {
            keep_all: true,
            ..STEADY
        };
        assert_eq!(granted(1e3, vec![claim(0, None)], keep_all), [Some(0)]);
    }

    #[test]
    fn no_division_costs_more_than_there_is() {
        for budget in (0..400).map(|step| f64::from(step) * 10e3) {
            for current in [None, Some(0), Some(1), Some(2)] {
                let mut claims: Vec<_> = (0..4)
                    .map(|down_track| claim(down_track, current))
                    .collect();
                assert!(divide(budget, &mut claims, STEADY) <= budget * 1.25);
            }
        }
    }
}
