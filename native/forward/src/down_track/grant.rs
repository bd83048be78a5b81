//! The grant: what the bandwidth allocation leaves a down track, and what its subscriber is told.

use std::time::{Duration, Instant};

use crate::layers::{Allocation, Layer};
use crate::outbox::StreamState;

/// The smallest layer pauses when it has not fitted for this long.
const STARVED: Duration = Duration::from_millis(800);

/// How the grants of a downlink compare to its budget.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub(crate) struct Fit {
    /// The down track got its smallest layer.
    pub(crate) is_smallest: bool,
    /// The path has shown a limit, and the grants exceed the budget.
    pub(crate) exceeds: bool,
    /// The grants leave room in the budget.
    pub(crate) has_headroom: bool,
}

/// The bandwidth limit of one down track.
#[derive(Clone, Copy, Debug)]
pub(crate) struct Grant {
    pub(super) allocation: Allocation,
    /// Since when the downlink has not carried the smallest layer.
    starved: Option<Instant>,
    state: StreamState,
}

impl Grant {
    pub(super) fn new(allocation: Allocation) -> Self {
        Self {
            allocation,
            starved: None,
            state: StreamState::Ok,
        }
    }

    /// The allocation after a round that granted a layer, or not even the `smallest` one.
    pub(super) fn decide(
        &mut self,
        now: Instant,
        granted: Option<Layer>,
        smallest: Layer,
    ) -> Allocation {
        if let Some(layer) = granted {
            self.starved = None;
            return Allocation::UpTo(layer);
        }
        if self.allocation == Allocation::Paused {
            return Allocation::Paused;
        }
        let since = *self.starved.get_or_insert(now);
        if now.saturating_duration_since(since) >= STARVED {
            Allocation::Paused
        } else {
            Allocation::UpTo(smallest)
        }
    }

    /// Updates the stream state after `decide`. Returns it if it changed. A warning is lifted with
    /// some headroom only.
    pub(crate) fn review(&mut self, fit: Fit) -> Option<StreamState> {
        let stays = self.state == StreamState::Limited && !fit.has_headroom;
        let limited = fit.is_smallest && (fit.exceeds || stays);
        let state = match self.allocation {
            Allocation::Paused => StreamState::Paused,
            _ if self.starved.is_some() || limited => StreamState::Limited,
            _ => StreamState::Ok,
        };
        let changed = std::mem::replace(&mut self.state, state) != state;
        changed.then_some(state)
    }

    pub(crate) fn state(&self) -> StreamState {
        self.state
    }
}

#[cfg(test)]
mod tests {
    use super::{Fit, Grant, STARVED};
    use crate::layers::{Allocation, Layer};
    use crate::outbox::StreamState;
    use std::time::{Duration, Instant};

    const SMALLEST: Layer = Layer {
        encoding: 0,
        spatial: 0,
        temporal: 0,
    };

    fn round(grant: &mut Grant, now: Instant, granted: Option<Layer>) -> Allocation {
        let allocation = grant.decide(now, granted, SMALLEST);
        grant.allocation = allocation;
        allocation
    }

    #[test]
    fn the_smallest_layer_pauses_only_when_it_has_not_fitted_for_a_while() {
        let (mut grant, begin) = (Grant::new(Allocation::Unlimited), Instant::now());
        let smallest = Allocation::UpTo(SMALLEST);
        assert_eq!(round(&mut grant, begin, None), smallest);
        let before = begin + STARVED.saturating_sub(Duration::from_millis(1));
        assert_eq!(round(&mut grant, before, None), smallest);
        assert_eq!(round(&mut grant, begin + STARVED, None), Allocation::Paused);
    }

    #[test]
    fn a_layer_that_fits_ends_the_starvation() {
        let (mut grant, begin) = (Grant::new(Allocation::Unlimited), Instant::now());
        round(&mut grant, begin, None);
        round(&mut grant, begin + STARVED / 2, Some(SMALLEST));
        let allocation = round(&mut grant, begin + STARVED, None);
        assert_eq!(allocation, Allocation::UpTo(SMALLEST));
    }

    #[test]
    fn a_change_of_state_is_told_once() {
        let (mut grant, now) = (Grant::new(Allocation::Unlimited), Instant::now());
        assert_eq!(grant.review(Fit::default()), None);
        round(&mut grant, now, None);
        assert_eq!(grant.review(Fit::default()), Some(StreamState::Limited));
        assert_eq!(grant.review(Fit::default()), None);
        grant.allocation = Allocation::Paused;
        assert_eq!(grant.review(Fit::default()), Some(StreamState::Paused));
    }

    #[test]
    fn a_warning_is_lifted_with_headroom_or_a_larger_layer() {
        let mut grant = Grant::new(Allocation::UpTo(SMALLEST));
        let exceeded = Fit {
            is_smallest: true,
            exceeds: true,
            has_headroom: false,
        };
        assert_eq!(grant.review(exceeded), Some(StreamState::Limited));
        let tight = Fit {
            exceeds: false,
            ..exceeded
        };
        assert_eq!(grant.review(tight), None);
        let roomy = Fit {
            has_headroom: true,
            ..tight
        };
        assert_eq!(grant.review(roomy), Some(StreamState::Ok));
        grant.review(exceeded);
        let larger = Fit {
            is_smallest: false,
            ..tight
        };
        assert_eq!(grant.review(larger), Some(StreamState::Ok));
    }
}
