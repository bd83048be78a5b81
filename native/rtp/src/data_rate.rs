//! Bitrates as a type of their own: a number of bits per second is not mistaken for bytes, for
//! kilobits, or for a number of packets.

use std::iter::Sum;
use std::ops::{Add, AddAssign, Div, Mul, Sub};
use std::time::Duration;

const BITS_PER_BYTE: f64 = 8.0;

/// A bitrate, never negative.
#[derive(Clone, Copy, Debug, Default, PartialEq, PartialOrd)]
pub struct DataRate(f64);

impl DataRate {
    /// Nothing at all.
    pub const ZERO: Self = Self(0.0);

    /// `bps`: bits per second.
    pub const fn from_bps(bps: f64) -> Self {
        Self(bps)
    }

    /// `kbps`: thousands of bits per second.
    pub const fn from_kbps(kbps: f64) -> Self {
        Self(kbps * 1_000.0)
    }

    /// The rate at which `bytes` take `time`.
    #[inline]
    pub fn of(bytes: f64, time: Duration) -> Self {
        Self(bytes * BITS_PER_BYTE / time.as_secs_f64())
    }

    /// Bits per second.
    #[inline]
    pub const fn bps(self) -> f64 {
        self.0
    }

    /// Whole bits per second, as reports have them.
    #[inline]
    pub const fn whole_bps(self) -> u64 {
        self.0 as u64
    }

    /// The bytes that pass within `time`.
    #[inline]
    pub fn bytes_in(self, time: Duration) -> f64 {
        self.0 * time.as_secs_f64() / BITS_PER_BYTE
    }

    /// The time that `bytes` take.
    #[inline]
    pub fn time_of(self, bytes: f64) -> Duration {
        Duration::from_secs_f64(bytes * BITS_PER_BYTE / self.0)
    }

    /// Whether it is a rate at all: peers may send anything.
    #[inline]
    pub const fn is_finite(self) -> bool {
        self.0.is_finite()
    }

    /// The smaller one.
    #[inline]
    #[must_use]
    pub const fn min(self, other: Self) -> Self {
        Self(self.0.min(other.0))
    }

    /// The larger one.
    #[inline]
    #[must_use]
    pub const fn max(self, other: Self) -> Self {
        Self(self.0.max(other.0))
    }
}

impl Add for DataRate {
    type Output = Self;

    fn add(self, other: Self) -> Self {
        Self(self.0 + other.0)
    }
}

impl AddAssign for DataRate {
    fn add_assign(&mut self, other: Self) {
        *self = *self + other;
    }
}

impl Sub for DataRate {
    type Output = Self;

    /// Nothing if more is taken than there is.
    fn sub(self, other: Self) -> Self {
        Self((self.0 - other.0).max(0.0))
    }
}

impl Mul<f64> for DataRate {
    type Output = Self;

    fn mul(self, factor: f64) -> Self {
        Self(self.0 * factor)
    }
}

impl Div for DataRate {
    type Output = f64;

    /// How many times the other one.
    fn div(self, other: Self) -> f64 {
        self.0 / other.0
    }
}

impl Sum for DataRate {
    fn sum<I: Iterator<Item = Self>>(rates: I) -> Self {
        rates.fold(Self::ZERO, Self::add)
    }
}

#[cfg(test)]
mod tests {
    use super::DataRate;
    use std::time::Duration;

    const MEGABIT: DataRate = DataRate::from_bps(1_000_000.0);

    #[test]
    fn bytes_and_time_make_a_rate_and_a_rate_gives_them_back() {
        let time = Duration::from_millis(500);
        assert_eq!(DataRate::of(62_500.0, time), MEGABIT);
        assert_eq!(DataRate::from_kbps(1_000.0), MEGABIT);
        assert_eq!(MEGABIT.bytes_in(time) as u64, 62_500);
        assert_eq!(MEGABIT.time_of(62_500.0), time);
    }

    #[test]
    fn nothing_is_left_when_more_is_taken_than_there_is() {
        assert_eq!(MEGABIT - MEGABIT * 2.0, DataRate::ZERO);
        assert_eq!(MEGABIT * 2.0 - MEGABIT, MEGABIT);
    }

    #[test]
    fn rates_add_up() {
        let rates = [MEGABIT, MEGABIT, MEGABIT * 0.5];
        assert_eq!(rates.into_iter().sum::<DataRate>(), MEGABIT * 2.5);
        assert_eq!((MEGABIT * 2.5).whole_bps(), 2_500_000);
        assert_eq!((MEGABIT * 3.0 / MEGABIT) as u32, 3);
    }
}
