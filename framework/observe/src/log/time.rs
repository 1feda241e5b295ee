//! Times and durations as text. No time zone but UTC, and no calendar but the civil one.

use std::{
    fmt,
    time::{Duration, SystemTime, UNIX_EPOCH},
};

const SECONDS_A_DAY: i64 = 86_400;

/// A time as RFC 3339 has it, in UTC: `2026-11-26T16:20:33.123456Z`.
#[derive(Debug, Clone, Copy)]
pub(crate) struct Rfc3339 {
    /// Since 1970.
    seconds: i64,
    nanos: u32,
    /// Digits behind the second.
    digits: usize,
}

impl Rfc3339 {
    pub(crate) fn millis(time: SystemTime) -> Self {
        Self::of(time, 3)
    }

    pub(super) fn micros(time: SystemTime) -> Self {
        Self::of(time, 6)
    }

    fn of(time: SystemTime, digits: usize) -> Self {
        let seconds = |since: Duration| i64::try_from(since.as_secs()).unwrap_or(i64::MAX);
        let (seconds, nanos) = match time.duration_since(UNIX_EPOCH) {
            Ok(since) => (seconds(since), since.subsec_nanos()),
            // A clock that is set to a time before 1970: the second before, and what is left of it.
            Err(before) => match before.duration() {
                before if before.subsec_nanos() == 0 => (-seconds(before), 0),
                before => (-seconds(before) - 1, 1_000_000_000 - before.subsec_nanos()),
            },
        };
        Self { seconds, nanos, digits }
    }
}

impl fmt::Display for Rfc3339 {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let Self { seconds, nanos, digits } = *self;
        let (year, month, day) = civil(seconds.div_euclid(SECONDS_A_DAY));
        let second = seconds.rem_euclid(SECONDS_A_DAY);
        let (hour, minute, second) = (second / 3600, second / 60 % 60, second % 60);
        let part = format!("{nanos:09}");
        write!(
            f,
            "{year:04}-{month:02}-{day:02}T{hour:02}:{minute:02}:{second:02}.{}Z",
            &part[..digits]
        )
    }
}

/// Year, month and day of a day since 1970-01-01.
///
/// Years begin in March here, so that the leap day is the last of its year. An era is 400 years, after which the
/// calendar repeats.
fn civil(day: i64) -> (i64, i64, i64) {
    const DAYS_AN_ERA: i64 = 146_097;
    // Days from 0000-03-01 to 1970-01-01.
    let day = day + 719_468;
    let (era, of_era) = (day.div_euclid(DAYS_AN_ERA), day.rem_euclid(DAYS_AN_ERA));
    let year_of_era = (of_era - of_era / 1460 + of_era / 36_524 - of_era / 146_096) / 365;
    let of_year = of_era - (365 * year_of_era + year_of_era / 4 - year_of_era / 100);
    // March to July have 153 days, and so have August to December.
    let march_first = (5 * of_year + 2) / 153;
    let day = of_year - (153 * march_first + 2) / 5 + 1;
    let month = if march_first < 10 { march_first + 3 } else { march_first - 9 };
    let year = year_of_era + era * 400 + i64::from(month <= 2);
    (year, month, day)
}

/// The nanoseconds of a duration that was written by its `Debug`, such as `2.1ms`: that shows all digits.
pub(super) fn nanos(text: &str) -> Option<u64> {
    let unit_at = text.find(|one: char| !one.is_ascii_digit() && one != '.')?;
    let (number, unit) = text.split_at(unit_at);
    let digits = match unit {
        "s" => 9,
        "ms" => 6,
        "µs" => 3,
        "ns" => 0,
        _ => return None,
    };
    let (whole, part) = number.split_once('.').unwrap_or((number, ""));
    if whole.is_empty() || part.len() > digits {
        return None;
    }
    format!("{whole}{part:0<digits$}").parse().ok()
}

#[cfg(test)]
mod tests {
    use super::*;

    fn shown(seconds: i64, nanos: u32) -> String {
        Rfc3339 { seconds, nanos, digits: 6 }.to_string()
    }

    #[test]
    fn times_are_those_of_the_calendar() {
        for (seconds, expected) in [
            (0, "1970-01-01T00:00:00.000001Z"),
            (951_782_399, "2000-02-28T23:59:59.000001Z"),
            (951_782_400, "2000-02-29T00:00:00.000001Z"),
            (951_868_800, "2000-03-01T00:00:00.000001Z"),
            (1_709_164_800, "2024-02-29T00:00:00.000001Z"),
            (1_735_689_599, "2024-12-31T23:59:59.000001Z"),
            (1_795_710_033, "2026-11-26T16:20:33.000001Z"),
            (4_107_542_400, "2100-03-01T00:00:00.000001Z"),
            (-1, "1969-12-31T23:59:59.000001Z"),
            (-2_208_988_800, "1900-01-01T00:00:00.000001Z"),
        ] {
            assert_eq!(shown(seconds, 1_999), expected);
        }
        let time = UNIX_EPOCH + Duration::new(1_795_710_033, 123_456_789);
        assert_eq!(Rfc3339::millis(time).to_string(), "2026-11-26T16:20:33.123Z");
        assert_eq!(Rfc3339::micros(time).to_string(), "2026-11-26T16:20:33.123456Z");
        let before = UNIX_EPOCH - Duration::from_millis(1);
        assert_eq!(Rfc3339::millis(before).to_string(), "1969-12-31T23:59:59.999Z");
    }

    /// Each day follows the one before, over two eras.
    #[test]
    fn no_day_is_missing() {
        let is_leap = |year: i64| year % 4 == 0 && (year % 100 != 0 || year % 400 == 0);
        let (mut year, mut month, mut day) = (1600, 1, 1);
        // 1600-01-01.
        for number in -135_140..160_000 {
            assert_eq!(civil(number), (year, month, day), "{number}");
            let last = match month {
                2 if is_leap(year) => 29,
                2 => 28,
                4 | 6 | 9 | 11 => 30,
                _ => 31,
            };
            day += 1;
            if day > last {
                (day, month) = (1, month + 1);
            }
            if month > 12 {
                (month, year) = (1, year + 1);
            }
        }
    }

    #[test]
    fn a_duration_is_read_as_it_was_shown() {
        for duration in [
            Duration::ZERO,
            Duration::from_nanos(999),
            Duration::from_nanos(1_001),
            Duration::from_nanos(2_103_456),
            Duration::from_millis(20),
            Duration::new(3, 7),
            Duration::from_secs(3600),
        ] {
            assert_eq!(nanos(&format!("{duration:?}")).map(u128::from), Some(duration.as_nanos()));
        }
        for wrong in ["", "s", "12", "1.5", "1.5m", "-1s", "1.5ns", "1..5s", "soon"] {
            assert_eq!(nanos(wrong), None, "{wrong}");
        }
    }
}
