//! Bytes per time over a sliding window.

use std::time::Duration;

use sealroute_rtp::DataRate;

const BUCKET_US: i64 = 25_000;
const BUCKETS: usize = 16;
const RECENT: i64 = 4;
const WINDOW_US: i64 = BUCKET_US * BUCKETS as i64;

/// The bitrate of the last 400 ms, on any clock in microseconds. A clock that jumps or runs
/// backwards restarts the measurement.
#[derive(Clone, Debug, Default)]
pub(crate) struct RateMeter {
    bytes: [u64; BUCKETS],
    /// The index of the newest bucket, and of the first one measured.
    newest: Option<i64>,
    began: i64,
}

impl RateMeter {
    pub(crate) fn add(&mut self, at_us: i64, bytes: usize) {
        let bucket = at_us.div_euclid(BUCKET_US);
        let Some(newest) = self.newest else {
            self.restart(bucket, bytes);
            return;
        };
        let ahead = bucket.saturating_sub(newest);
        if ahead <= -(BUCKETS as i64) {
            self.restart(bucket, bytes);
            return;
        }
        for step in 1..=ahead.min(BUCKETS as i64) {
            self.bytes[slot(newest + step)] = 0;
        }
        if ahead > BUCKETS as i64 {
            self.bytes = [0; BUCKETS];
        }
        self.newest = Some(bucket.max(newest));
        self.bytes[slot(bucket)] += bytes as u64;
    }

    /// `add` for a time within the newest bucket.
    #[inline]
    pub(crate) fn add_to_newest(&mut self, bytes: usize) {
        if let Some(newest) = self.newest {
            self.bytes[slot(newest)] += bytes as u64;
        }
    }

    /// When the bucket of this time ends.
    pub(crate) fn bucket_end_us(at_us: i64) -> i64 {
        (at_us.div_euclid(BUCKET_US) + 1) * BUCKET_US
    }

    fn restart(&mut self, bucket: i64, bytes: usize) {
        self.bytes = [0; BUCKETS];
        self.bytes[slot(bucket)] = bytes as u64;
        self.newest = Some(bucket);
        self.began = bucket;
    }

    /// Bits per second of the last 100 ms: what a full path has just carried.
    pub(crate) fn recent_rate(&self) -> DataRate {
        let Some(newest) = self.newest else {
            return DataRate::ZERO;
        };
        let whole = (1..=RECENT).map(|back| self.bytes[slot(newest - back)]);
        rate_of(whole.sum(), RECENT * BUCKET_US)
    }

    /// Bits per second; `None` before half a window has been measured.
    pub(crate) fn rate(&self) -> Option<DataRate> {
        let newest = self.newest?;
        let seen_us = (newest - self.began) * BUCKET_US;
        if seen_us < WINDOW_US / 2 {
            return None;
        }
        // The newest bucket is not complete yet.
        let whole = self.bytes.iter().sum::<u64>() - self.bytes[slot(newest)];
        let span_us = seen_us.min(WINDOW_US - BUCKET_US);
        Some(rate_of(whole, span_us))
    }
}

fn rate_of(bytes: u64, span_us: i64) -> DataRate {
    DataRate::of(bytes as f64, Duration::from_micros(span_us as u64))
}

fn slot(bucket: i64) -> usize {
    bucket.rem_euclid(BUCKETS as i64) as usize
}

#[cfg(test)]
mod tests {
    use super::{DataRate, RateMeter};

    #[test]
    fn an_even_stream_has_its_rate_and_a_pause_takes_it_away() {
        let mut meter = RateMeter::default();
        for step in 0..200 {
            meter.add(step * 5_000, 625);
        }
        let bps = meter.rate().expect("measured").bps();
        assert!((900_000.0..1_100_000.0).contains(&bps), "{bps}");
        meter.add(60_000_000, 100);
        assert!(meter.rate().expect("measured") < DataRate::from_kbps(10.0));
    }

    #[test]
    fn bytes_of_one_bucket_can_be_added_without_its_time() {
        let (mut timed, mut untimed) = (RateMeter::default(), RateMeter::default());
        let mut end_us = 0;
        for step in 0..200 {
            let at_us = step * 4_000;
            timed.add(at_us, 500);
            if at_us < end_us {
                untimed.add_to_newest(500);
            } else {
                untimed.add(at_us, 500);
                end_us = RateMeter::bucket_end_us(at_us);
            }
        }
        assert_eq!(timed.bytes, untimed.bytes);
    }

    #[test]
    fn a_clock_that_jumps_back_restarts_the_measurement() {
        let mut meter = RateMeter::default();
        meter.add(i64::MAX / 2, 1_000);
        meter.add(0, 1_000);
        assert_eq!(meter.rate(), None);
    }
}
