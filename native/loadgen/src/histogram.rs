//! A histogram of delays with log-linear buckets: 64 per power of two, so percentiles are exact
//! within 1.6 %.

use serde::Serialize;

const SUB_BITS: u32 = 6;
const BUCKETS: usize = 64 << SUB_BITS;

/// Counts of values, by size.
pub struct Histogram {
    counts: Vec<u64>,
    total: u64,
    max: u64,
}

/// The percentiles of a report, in microseconds.
#[derive(Clone, Debug, Default, Serialize)]
pub struct Percentiles {
    /// Number of values.
    pub count: u64,
    /// Median.
    pub p50_us: f64,
    /// 90th percentile.
    pub p90_us: f64,
    /// 99th percentile.
    pub p99_us: f64,
    /// 99.9th percentile.
    pub p999_us: f64,
    /// Maximum.
    pub max_us: f64,
}

fn bucket(value: u64) -> usize {
    let small = 1_u64 << SUB_BITS;
    if value < small {
        return value as usize;
    }
    let exponent = value.ilog2();
    let shift = exponent - SUB_BITS;
    ((((shift + 1) as u64) << SUB_BITS) + ((value >> shift) - small)) as usize
}

fn upper_bound(bucket: usize) -> u64 {
    let small = 1_u64 << SUB_BITS;
    let bucket = bucket as u64;
    if bucket < small {
        return bucket;
    }
    let shift = (bucket >> SUB_BITS) - 1;
    let base = (small + (bucket & (small - 1))) << shift;
    base + ((1_u64 << shift) - 1)
}

impl Default for Histogram {
    fn default() -> Self {
        Self {
            counts: vec![0; BUCKETS],
            total: 0,
            max: 0,
        }
    }
}

impl Histogram {
    /// Records one value in nanoseconds.
    pub fn record(&mut self, value_ns: u64) {
        if let Some(count) = self.counts.get_mut(bucket(value_ns)) {
            *count += 1;
        }
        self.total += 1;
        self.max = self.max.max(value_ns);
    }

    fn quantile_us(&self, share: f64) -> f64 {
        let wanted = ((self.total as f64) * share).ceil().max(1.0) as u64;
        let mut seen = 0;
        for (index, count) in self.counts.iter().enumerate() {
            seen += count;
            if seen >= wanted {
                return upper_bound(index).min(self.max) as f64 / 1_000.0;
            }
        }
        0.0
    }

    /// The percentiles of the recorded values.
    pub fn percentiles(&self) -> Percentiles {
        Percentiles {
            count: self.total,
            p50_us: self.quantile_us(0.50),
            p90_us: self.quantile_us(0.90),
            p99_us: self.quantile_us(0.99),
            p999_us: self.quantile_us(0.999),
            max_us: self.max as f64 / 1_000.0,
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn every_value_falls_below_its_buckets_bound_and_above_the_one_before() {
        for value in (0..100_000).chain([1 << 40, (1 << 50) + 12_345, u64::MAX]) {
            let index = bucket(value);
            assert!(upper_bound(index) >= value, "{value}");
            assert!(index == 0 || upper_bound(index - 1) < value, "{value}");
        }
    }

    #[test]
    fn percentiles_are_within_two_percent() {
        let mut histogram = Histogram::default();
        for value in 1..=10_000_u64 {
            histogram.record(value * 1_000);
        }
        let found = histogram.percentiles();
        assert_eq!(found.count, 10_000);
        for (found, right) in [
            (found.p50_us, 5_000.0),
            (found.p99_us, 9_900.0),
            (found.p999_us, 9_990.0),
        ] {
            assert!((found - right).abs() / right < 0.02, "{found} {right}");
        }
        assert!((found.max_us - 10_000.0).abs() < 0.001);
    }

    #[test]
    fn an_empty_histogram_has_zeros() {
        assert_eq!(
            Histogram::default().percentiles().p99_us.to_bits(),
            0.0_f64.to_bits()
        );
    }
}
