//! Durations (`250ms`, `5s`, `2m`, `1h`) and sizes (`64KiB`, `4MiB`, `4096`) as people write them.
//!
//! Whole numbers with one unit, and nothing between them. What a setting allows beyond that is its own business.

use std::error::Error;
use std::fmt;
use std::time::Duration;

/// The longest duration that can be written: 24 hours. No wait of a call or a stop is longer.
pub const LONGEST: Duration = Duration::from_secs(24 * 60 * 60);

/// The largest size that can be written: 1024 GiB.
pub const LARGEST_BYTES: u64 = 1 << 40;

const DURATION_UNITS_MS: [(&str, u64); 4] =
    [("ms", 1), ("s", 1000), ("m", 60_000), ("h", 3_600_000)];
const SIZE_UNITS_BYTES: [(&str, u64); 5] =
    [("", 1), ("B", 1), ("KiB", 1 << 10), ("MiB", 1 << 20), ("GiB", 1 << 30)];

/// What was expected of a text that is no quantity. It does not hold the text, which may be a secret.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
#[non_exhaustive]
pub enum QuantityError {
    /// Not a number followed by a unit of time.
    NotADuration,
    /// A duration beyond [`LONGEST`].
    TooLong,
    /// Not a number followed by a unit of size, or by nothing.
    NotASize,
    /// A size beyond [`LARGEST_BYTES`].
    TooLarge,
}

impl fmt::Display for QuantityError {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(match self {
            Self::NotADuration => "expected a duration such as `250ms`, `5s`, `2m` or `1h`",
            Self::TooLong => "expected a duration of at most 24h",
            Self::NotASize => "expected a size such as `64KiB`, `4MiB` or a number of bytes",
            Self::TooLarge => "expected a size of at most 1024GiB",
        })
    }
}

impl Error for QuantityError {}

/// Reads a duration: `250ms`, `5s`, `2m`, `1h`; from `0s` to [`LONGEST`].
///
/// ```
/// # use std::time::Duration;
/// # use monolift_manifest::quantity::duration;
/// assert_eq!(duration("250ms"), Ok(Duration::from_millis(250)));
/// assert_eq!(
///     duration("5 apples").expect_err("not a duration").to_string(),
///     "expected a duration such as `250ms`, `5s`, `2m` or `1h`",
/// );
/// ```
pub fn duration(text: &str) -> Result<Duration, QuantityError> {
    let millis = scaled(text, &DURATION_UNITS_MS).ok_or(QuantityError::NotADuration)?;
    millis
        .map(Duration::from_millis)
        .filter(|duration| *duration <= LONGEST)
        .ok_or(QuantityError::TooLong)
}

/// Reads a size in bytes: `64KiB`, `4MiB`, `1GiB`, `4096`; from 0 to [`LARGEST_BYTES`].
///
/// ```
/// # use monolift_manifest::quantity::size;
/// assert_eq!(size("64KiB"), Ok(65_536));
/// assert_eq!(size("4096"), Ok(4096));
/// ```
pub fn size(text: &str) -> Result<u64, QuantityError> {
    let bytes = scaled(text, &SIZE_UNITS_BYTES).ok_or(QuantityError::NotASize)?;
    bytes.filter(|bytes| *bytes <= LARGEST_BYTES).ok_or(QuantityError::TooLarge)
}

/// A duration as it would be written: the largest unit that loses nothing (below a millisecond is dropped).
pub fn show_duration(duration: Duration) -> String {
    let millis = u64::try_from(duration.as_millis()).unwrap_or(u64::MAX);
    show(millis, &DURATION_UNITS_MS[1..], "ms")
}

/// A size as it would be written: the largest unit that loses nothing.
pub fn show_size(bytes: u64) -> String {
    show(bytes, &SIZE_UNITS_BYTES[2..], "")
}

fn show(amount: u64, units: &[(&str, u64)], smallest: &str) -> String {
    match units.iter().rev().find(|(_, factor)| amount >= *factor && amount.is_multiple_of(*factor))
    {
        Some((unit, factor)) => format!("{}{unit}", amount / factor),
        None => format!("{amount}{smallest}"),
    }
}

/// The number times its unit: `None` if the text is not that, `Some(None)` if it is too much to count.
fn scaled(text: &str, units: &[(&str, u64)]) -> Option<Option<u64>> {
    let digits = text.bytes().take_while(u8::is_ascii_digit).count();
    let (number, unit) = text.split_at(digits);
    let (_, factor) = units.iter().find(|(name, _)| *name == unit)?;
    if number.is_empty() {
        return None;
    }
    Some(number.parse::<u64>().ok().and_then(|number| number.checked_mul(*factor)))
}

#[cfg(test)]
mod tests {
    use super::*;

    /// A repeatable stream of numbers (splitmix64), so that the properties see more than hand-picked values.
    fn numbers() -> impl Iterator<Item = u64> {
        let mut state: u64 = 0x6d6f_6e6f_6c69_6674;
        std::iter::repeat_with(move || {
            state = state.wrapping_add(0x9e37_79b9_7f4a_7c15);
            let mut mixed = state;
            mixed = (mixed ^ (mixed >> 30)).wrapping_mul(0xbf58_476d_1ce4_e5b9);
            mixed = (mixed ^ (mixed >> 27)).wrapping_mul(0x94d0_49bb_1331_11eb);
            mixed ^ (mixed >> 31)
        })
        .take(5000)
    }

    #[test]
    fn every_duration_in_bounds_survives_being_written_and_read() {
        for number in numbers() {
            let millis = Duration::from_millis(number % 86_400_001);
            assert_eq!(duration(&show_duration(millis)), Ok(millis));
            let whole = Duration::from_secs(number % 86_401);
            assert_eq!(duration(&format!("{}s", whole.as_secs())), Ok(whole));
            assert_eq!(duration(&show_duration(whole)), Ok(whole));
        }
    }

    #[test]
    fn every_size_in_bounds_survives_being_written_and_read() {
        for number in numbers() {
            for bytes in
                [number % (LARGEST_BYTES + 1), (number % 1025) << 20, (number % 1025) << 30]
            {
                assert_eq!(size(&show_size(bytes)), Ok(bytes));
                assert_eq!(size(&bytes.to_string()), Ok(bytes));
            }
        }
    }

    #[test]
    fn no_text_panics_and_none_exceeds_the_bounds() {
        let pieces = [
            "",
            "0",
            "7",
            "18446744073709551615",
            "18446744073709551616",
            "ms",
            "s",
            "m",
            "h",
            "KiB",
            "-",
            " ",
            "é",
            ".",
        ];
        for number in numbers() {
            let pick = |shift: u32| pieces[(number >> shift) as usize % pieces.len()];
            let text = format!("{}{}{}", pick(0), pick(16), pick(32));
            assert!(
                duration(&text).is_ok_and(|found| found <= LONGEST) || duration(&text).is_err()
            );
            assert!(size(&text).is_ok_and(|found| found <= LARGEST_BYTES) || size(&text).is_err());
        }
    }

    #[test]
    fn durations() {
        assert_eq!(duration("250ms"), Ok(Duration::from_millis(250)));
        assert_eq!(duration("5s"), Ok(Duration::from_secs(5)));
        assert_eq!(duration("2m"), Ok(Duration::from_secs(120)));
        assert_eq!(duration("1h"), Ok(Duration::from_secs(3600)));
        assert_eq!(duration("0s"), Ok(Duration::ZERO));
        assert_eq!(duration("24h"), Ok(LONGEST));
        for text in ["", "5", "s", "5 s", " 5s", "-5s", "+5s", "1.5s", "1h30m", "5S", "5sec", "٥s"]
        {
            assert_eq!(duration(text), Err(QuantityError::NotADuration), "{text}");
        }
        for text in ["25h", "86400001ms", "99999999999999999999s", "18446744073709551615h"] {
            assert_eq!(duration(text), Err(QuantityError::TooLong), "{text}");
        }
    }

    #[test]
    fn sizes() {
        assert_eq!(size("0"), Ok(0));
        assert_eq!(size("512B"), Ok(512));
        assert_eq!(size("1GiB"), Ok(1 << 30));
        for text in ["", "KiB", "4 MiB", "4MB", "4mib", "-1", "1.5MiB", "0x10"] {
            assert_eq!(size(text), Err(QuantityError::NotASize), "{text}");
        }
        for text in ["1025GiB", "18446744073709551616", "18446744073709551615GiB"] {
            assert_eq!(size(text), Err(QuantityError::TooLarge), "{text}");
        }
    }

    #[test]
    fn messages_name_what_was_expected() {
        let message = |error: QuantityError| error.to_string();
        assert_eq!(
            message(duration("soon").expect_err("no duration")),
            "expected a duration such as `250ms`, `5s`, `2m` or `1h`"
        );
        assert_eq!(
            message(duration("25h").expect_err("too long")),
            "expected a duration of at most 24h"
        );
        assert_eq!(
            message(size("4MB").expect_err("no size")),
            "expected a size such as `64KiB`, `4MiB` or a number of bytes"
        );
        assert_eq!(
            message(size("2000GiB").expect_err("too large")),
            "expected a size of at most 1024GiB"
        );
    }
}
