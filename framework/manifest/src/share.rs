//! A part of all: `1%`.

use std::fmt;

const ALL: u32 = 1_000_000;
const EXPECTED: &str = "expected a part of a hundred, from `0%` to `100%`, such as `0.5%`";

/// A part of all, as it is written in percent.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Share {
    /// Of a million.
    millionths: u32,
}

impl Share {
    /// Nothing.
    pub const NONE: Self = Self { millionths: 0 };

    /// Reads it as it is written.
    pub fn read(text: &str) -> Result<Self, String> {
        let number = text.strip_suffix('%').map(str::trim_end).ok_or(EXPECTED)?;
        // `f64` alone would take signs, exponents and words.
        if !number.bytes().all(|byte| byte.is_ascii_digit() || byte == b'.') {
            return Err(EXPECTED.to_owned());
        }
        let percent: f64 = number.parse().map_err(|_| EXPECTED)?;
        if percent > 100.0 {
            return Err(EXPECTED.to_owned());
        }
        let millionths = (percent * f64::from(ALL) / 100.0).round() as u32;
        if millionths == 0 && percent > 0.0 {
            return Err("expected `0%`, or `0.0001%` and more".to_owned());
        }
        Ok(Self { millionths })
    }

    /// As a number from 0 to 1.
    pub fn part(self) -> f64 {
        f64::from(self.millionths) / f64::from(ALL)
    }
}

impl fmt::Display for Share {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{}%", f64::from(self.millionths) * 100.0 / f64::from(ALL))
    }
}

#[cfg(test)]
mod tests {
    use super::Share;

    #[test]
    fn a_share_is_read_and_shown_in_percent() {
        for (text, part, shown) in [
            ("0%", 0.0, "0%"),
            ("1%", 0.01, "1%"),
            ("0.5%", 0.005, "0.5%"),
            ("12.50 %", 0.125, "12.5%"),
            ("100%", 1.0, "100%"),
        ] {
            let share = Share::read(text).unwrap();
            assert_eq!((share.part(), share.to_string().as_str()), (part, shown), "{text}");
        }
        for text in
            ["", "%", "1", "0.01", "-1%", "+1%", "101%", "1e1%", "NaN%", "1.2.3%", "0.00001%"]
        {
            assert!(Share::read(text).is_err(), "{text}");
        }
    }
}
