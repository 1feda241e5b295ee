//! A histogram of durations.

use hdrhistogram::Histogram;

/// Decimal digits that are kept of a duration: a quantile is exact to one part in 128.
const DIGITS: u8 = 2;

/// Durations in nanoseconds.
#[derive(Debug, Clone)]
pub struct Times(Histogram<u64>);

impl Default for Times {
    fn default() -> Self {
        // All durations have a place from the start, so that no timed call allocates.
        let all = Histogram::new_with_max(u64::MAX, DIGITS);
        Self(all.expect("the bounds are constants that the histogram accepts"))
    }
}

impl Times {
    /// Adds a duration.
    pub fn add(&mut self, nanos: u64) {
        self.0.saturating_record(nanos);
    }

    /// Adds all durations of another histogram.
    pub fn add_all(&mut self, other: &Self) {
        self.0.add(&other.0).expect("both histograms have the same bounds");
    }

    /// The number of durations.
    pub fn len(&self) -> u64 {
        self.0.len()
    }

    /// Whether there are no durations.
    pub fn is_empty(&self) -> bool {
        self.0.is_empty()
    }

    /// The duration that this share does not exceed: 0.5 gives the median. 0 if there are no
    /// durations.
    pub fn quantile(&self, part: f64) -> u64 {
        self.0.value_at_quantile(part)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    /// Up to 2^63 ns, which is 292 years.
    #[test]
    fn every_time_is_known_to_a_part_in_128() {
        let times = Times::default();
        for power in 0..63 {
            for step in 0..250u64 {
                let nanos = (1u64 << power) + (step << (power.max(8) - 8));
                let known = times.0.highest_equivalent(nanos);
                assert!(known >= nanos && known - nanos <= nanos / 128, "{nanos} {known}");
            }
        }
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
