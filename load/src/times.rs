//! A histogram of durations with a resolution of one part in 128.

use serde::{Deserialize, Serialize};

/// Buckets within each power of two.
const STEPS: u64 = 128;
const BITS: u32 = STEPS.trailing_zeros();
/// Enough buckets for all 64-bit numbers.
const BUCKETS: usize = (STEPS as usize) * (64 - BITS as usize + 1);

/// Durations in nanoseconds.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct Times {
    buckets: Vec<u64>,
    count: u64,
}

impl Default for Times {
    fn default() -> Self {
        Self { buckets: vec![0; BUCKETS], count: 0 }
    }
}

/// The bucket of a duration. Small numbers have a bucket each.
fn bucket(nanos: u64) -> usize {
    if nanos < STEPS {
        return nanos as usize;
    }
    let shift = nanos.ilog2() - BITS;
    let step = (nanos >> shift) - STEPS;
    (u64::from(shift + 1) * STEPS + step) as usize
}

/// The largest duration of a bucket.
fn largest(bucket: usize) -> u64 {
    let bucket = bucket as u64;
    if bucket < STEPS {
        return bucket;
    }
    let shift = bucket / STEPS - 1;
    let step = bucket % STEPS + STEPS;
    (step << shift) + ((1 << shift) - 1)
}

impl Times {
    /// Adds a duration.
    pub fn add(&mut self, nanos: u64) {
        self.buckets[bucket(nanos)] += 1;
        self.count += 1;
    }

    /// Adds all durations of another histogram.
    pub fn add_all(&mut self, other: &Self) {
        for (sum, more) in self.buckets.iter_mut().zip(&other.buckets) {
            *sum += more;
        }
        self.count += other.count;
    }

    /// The number of durations.
    pub fn len(&self) -> u64 {
        self.count
    }

    /// Whether there are no durations.
    pub fn is_empty(&self) -> bool {
        self.count == 0
    }

    /// The duration that this share does not exceed: 0.5 gives the median. 0 if there are no
    /// durations.
    pub fn quantile(&self, part: f64) -> u64 {
        let wanted = ((self.count as f64 * part).ceil() as u64).max(1);
        let mut so_far = 0;
        let found = self.buckets.iter().position(|count| {
            so_far += count;
            so_far >= wanted
        });
        found.map_or(0, largest)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn every_time_is_known_to_a_part_in_128() {
        let mut last = 0;
        for power in 0..64 {
            for step in 0..300u64 {
                let nanos = (1u64 << power).saturating_add(step << (power.max(8) - 8));
                let known = largest(bucket(nanos));
                assert!(known >= nanos && known - nanos <= nanos / 128, "{nanos} {known}");
            }
            assert!(bucket(1 << power) >= last);
            last = bucket(1 << power);
        }
        assert_eq!(bucket(u64::MAX) + 1, BUCKETS);
    }

    #[test]
    fn quantiles_are_of_all() {
        let (mut times, mut others) = (Times::default(), Times::default());
        assert!(times.is_empty() && times.quantile(0.5) == 0);
        (1..=50).for_each(|nanos| times.add(nanos));
        (51..=100).for_each(|nanos| others.add(nanos));
        times.add_all(&others);
        assert_eq!((times.len(), times.quantile(0.5), times.quantile(0.99)), (100, 50, 99));
        assert_eq!(times.quantile(1.0), 100);
    }
}
