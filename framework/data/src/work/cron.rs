//! When work recurs: `30 3 * * 1-5`, or `@every 10s`.

use monolift_manifest::quantity;
use std::{str::FromStr, time::Duration};

/// A schedule.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Cron {
    /// After each so long.
    Every(Duration),
    /// At each minute, in UTC, that all five fields have.
    At(Box<Fields>),
}

/// The five fields of a line of cron, each the set of its values as bits.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Fields {
    minutes: u64,
    hours: u64,
    days: u64,
    months: u64,
    weekdays: u64,
    /// Whether days of the month and of the week are both restricted: then either is enough.
    either_day: bool,
}

/// Why a schedule cannot be read.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
#[error("{0}")]
pub struct CronError(String);

impl FromStr for Cron {
    type Err = CronError;

    fn from_str(text: &str) -> Result<Self, CronError> {
        if let Some(every) = text.strip_prefix("@every ") {
            let every = quantity::duration(every.trim())
                .map_err(|error| CronError(format!("`{text}`: {error}")))?;
            if every < Duration::from_millis(100) {
                return Err(CronError(format!("`{text}`: at least 100ms")));
            }
            return Ok(Self::Every(every));
        }
        let parts: Vec<&str> = text.split_whitespace().collect();
        let [minutes, hours, days, months, weekdays] = parts[..] else {
            return Err(CronError(format!(
                "`{text}` has {} fields: expected minute, hour, day of month, month and day of \
                 week, as `30 3 * * 1-5`, or `@every 10s`",
                parts.len()
            )));
        };
        let weekday_bits = field(weekdays, "day of week", 0, 7)?;
        let fields = Fields {
            minutes: field(minutes, "minute", 0, 59)?,
            hours: field(hours, "hour", 0, 23)?,
            days: field(days, "day of month", 1, 31)?,
            months: field(months, "month", 1, 12)?,
            // Sunday is 0 and 7.
            weekdays: (weekday_bits | weekday_bits >> 7) & 0x7f,
            either_day: !days.starts_with('*') && !weekdays.starts_with('*'),
        };
        let cron = Self::At(Box::new(fields));
        match cron.after(0) {
            Some(_) => Ok(cron),
            None => Err(CronError(format!("`{text}` never comes: no month has such a day"))),
        }
    }
}

/// `*`, `*/15`, `1-5`, `1,3,5`, `10-40/5`: a set of numbers as bits.
fn field(text: &str, name: &str, least: u32, most: u32) -> Result<u64, CronError> {
    let wrong = || CronError(format!("`{text}` is no {name}: {least} to {most}, `*`, `a-b`, `/n`"));
    let number = |text: &str| {
        let number: u32 = text.parse().map_err(|_| wrong())?;
        if (least..=most).contains(&number) { Ok(number) } else { Err(wrong()) }
    };
    let mut bits = 0;
    for part in text.split(',') {
        let (range, step) = match part.split_once('/') {
            Some((range, step)) => (range, step.parse().map_err(|_| wrong())?),
            None => (part, 1),
        };
        let (from, to) = match range.split_once('-') {
            _ if range == "*" => (least, most),
            Some((from, to)) => (number(from)?, number(to)?),
            None if part.contains('/') => (number(range)?, most),
            None => (number(range)?, number(range)?),
        };
        if from > to || step == 0 {
            return Err(wrong());
        }
        (from..=to).step_by(step).for_each(|value| bits |= 1 << value);
    }
    Ok(bits)
}

impl Cron {
    /// The next time after `now_ms`, in milliseconds since 1970; `None` when there is none.
    pub fn after(&self, now_ms: i64) -> Option<i64> {
        match self {
            Self::Every(every) => {
                now_ms.checked_add(i64::try_from(every.as_millis()).unwrap_or(i64::MAX))
            }
            Self::At(fields) => fields.after(now_ms),
        }
    }
}

const MINUTE_MS: i64 = 60_000;
const DAY_MINUTES: i64 = 24 * 60;

impl Fields {
    fn after(&self, now_ms: i64) -> Option<i64> {
        let first = now_ms.div_euclid(MINUTE_MS) + 1;
        let today = first.div_euclid(DAY_MINUTES);
        // The calendar repeats: 29 February comes within eight years, on any weekday within 40.
        for day in today..today + 41 * 366 {
            if !self.has_day(day) {
                continue;
            }
            let from = if day == today { first.rem_euclid(DAY_MINUTES) } else { 0 };
            let has = |minute: &i64| {
                self.hours >> (minute / 60) & 1 == 1 && self.minutes >> (minute % 60) & 1 == 1
            };
            if let Some(minute) = (from..DAY_MINUTES).find(has) {
                return Some((day * DAY_MINUTES + minute) * MINUTE_MS);
            }
        }
        None
    }

    /// Whether it comes on a day, counted from 1970-01-01.
    fn has_day(&self, day: i64) -> bool {
        let (month, day_of_month) = month_and_day(day);
        // 1970-01-01 was a Thursday.
        let weekday = (day + 4).rem_euclid(7);
        let in_month = self.days >> day_of_month & 1 == 1;
        let in_week = self.weekdays >> weekday & 1 == 1;
        let on_day = if self.either_day { in_month || in_week } else { in_month && in_week };
        self.months >> month & 1 == 1 && on_day
    }
}

/// The month, from 1, and its day of a day counted from 1970-01-01, by the Gregorian calendar.
/// Counted in eras of 400 years whose years begin in March, so that a leap day comes last.
fn month_and_day(day: i64) -> (i64, i64) {
    let day = day + 719_468;
    let of_era = day.rem_euclid(146_097);
    let year = (of_era - of_era / 1_460 + of_era / 36_524 - of_era / 146_096) / 365;
    let of_year = of_era - (365 * year + year / 4 - year / 100);
    let march_month = (5 * of_year + 2) / 153;
    let day_of_month = of_year - (153 * march_month + 2) / 5 + 1;
    let month = if march_month < 10 { march_month + 3 } else { march_month - 9 };
    (month, day_of_month)
}

#[cfg(test)]
mod tests {
    use super::*;

    /// 2026-11-20, a Friday, at 10:07:30 UTC.
    const FRIDAY: i64 = 1_795_169_250_000;

    fn after(schedule: &str, minutes_from_friday: i64) {
        let next = schedule.parse::<Cron>().unwrap().after(FRIDAY).unwrap();
        let minutes = (next - (FRIDAY - 30_000)) as f64 / 60_000.0;
        assert_eq!(minutes, minutes_from_friday as f64, "{schedule}");
    }

    #[test]
    fn the_next_time() {
        after("* * * * *", 1);
        after("7 10 * * *", 24 * 60);
        after("8 10 * * *", 1);
        after("*/15 * * * *", 8);
        after("0 11-13/2 * * *", 53);
        after("30 3 * * 1-5", (2 * 24 + 17) * 60 + 23);
        after("0 0 * * 0", 13 * 60 + 53 + 24 * 60);
        after("0 0 * * 7", 13 * 60 + 53 + 24 * 60);
        after("0 0 1 * *", 13 * 60 + 53 + 10 * 24 * 60);
        // The first of a month, or a Saturday: either.
        after("0 0 1 * 6", 13 * 60 + 53);
        // 2028 is the next leap year.
        after("0 0 29 2 *", 670_433);
    }

    #[test]
    fn an_interval() {
        assert_eq!("@every 10s".parse::<Cron>().unwrap().after(5), Some(10_005));
        assert!("@every 1ms".parse::<Cron>().is_err());
    }

    #[test]
    fn what_is_none_is_refused() {
        for wrong in [
            "",
            "* * * *",
            "60 * * * *",
            "* 24 * * *",
            "* * 0 * *",
            "*/0 * * * *",
            "5-1 * * * *",
            "0 0 30 2 *",
            "x * * * *",
            "@every",
            "@every soon",
        ] {
            assert!(wrong.parse::<Cron>().is_err(), "{wrong}");
        }
    }
}
