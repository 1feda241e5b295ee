//! How long to wait before another try.

use super::chance;
use std::time::Duration;

/// Pauses that double from the first to the longest. Each is drawn from a range, so that what failed together does
/// not come back together.
#[derive(Debug, Clone, Copy, PartialEq)]
pub struct Backoff {
    first: Duration,
    longest: Duration,
    /// The range, as parts of the doubled pause.
    from: f64,
    to: f64,
}

impl Backoff {
    /// From nothing to the whole pause: for many callers of one thing.
    pub const fn full(first: Duration, longest: Duration) -> Self {
        Self { first, longest, from: 0.0, to: 1.0 }
    }

    /// From half of the pause to the whole: where a pause must not be short.
    pub const fn half(first: Duration, longest: Duration) -> Self {
        Self { first, longest, from: 0.5, to: 1.0 }
    }

    /// The pause, give or take a fifth: where a person has stated it.
    pub const fn fifth(first: Duration, longest: Duration) -> Self {
        Self { first, longest, from: 0.8, to: 1.2 }
    }

    /// The pause after this many tries that failed in a row, before the last one.
    pub fn pause(&self, failures: u32) -> Duration {
        self.pause_at(failures, chance::part())
    }

    /// The same, at this part of its range, from 0 to 1.
    pub fn pause_at(&self, failures: u32, part: f64) -> Duration {
        let doubled = self.first.saturating_mul(2_u32.saturating_pow(failures.min(20)));
        doubled.min(self.longest).mul_f64(self.from + (self.to - self.from) * part)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn pauses_double_up_to_the_longest() {
        let backoff = Backoff::fifth(Duration::from_millis(100), Duration::from_secs(1));
        let pauses: Vec<u128> =
            [0, 1, 3, 4, 40].map(|failures| backoff.pause_at(failures, 0.5).as_millis()).into();
        assert_eq!(pauses, [100, 200, 800, 1_000, 1_000]);
    }

    #[test]
    fn they_are_anything_in_their_range() {
        chance::seed(3);
        let (first, longest) = (Duration::from_millis(10), Duration::from_secs(1));
        for (backoff, from, to) in [
            (Backoff::full(first, longest), 0, 10_000),
            (Backoff::half(first, longest), 5_000, 10_000),
            (Backoff::fifth(first, longest), 8_000, 12_000),
        ] {
            let pauses: Vec<u128> = (0..1_000).map(|_| backoff.pause(0).as_micros()).collect();
            let (least, most) = (pauses.iter().min().unwrap(), pauses.iter().max().unwrap());
            let width = (to - from) / 20;
            assert!((from..from + width).contains(least), "{least}");
            assert!((to - width..=to).contains(most), "{most}");
            let mean = pauses.iter().sum::<u128>() / 1_000;
            assert!(((from + to) / 2).abs_diff(mean) < width, "{mean}");
        }
    }
}
