//! Days of the calendar, in UTC.

const DAY_MS: i64 = 24 * 60 * 60 * 1000;

/// The day of a time in milliseconds since 1970, as `2026-11-27`.
pub(crate) fn of(ms: i64) -> String {
    // Years begin in March here, so that a leap day is the last of its year. 400 of them have 146,097 days.
    let days = ms.div_euclid(DAY_MS) + 719_468;
    let (era, day) = (days.div_euclid(146_097), days.rem_euclid(146_097));
    let year = (day - day / 1_460 + day / 36_524 - day / 146_096) / 365;
    let day = day - (365 * year + year / 4 - year / 100);
    let month = (5 * day + 2) / 153;
    let day = day - (153 * month + 2) / 5 + 1;
    let (month, carry) = if month < 10 { (month + 3, 0) } else { (month - 9, 1) };
    format!("{:04}-{month:02}-{day:02}", era * 400 + year + carry)
}

#[cfg(test)]
mod tests {
    #[test]
    fn days_are_those_of_the_calendar() {
        let day = |days: i64| super::of(days * super::DAY_MS);
        assert_eq!([day(0), day(-1)], ["1970-01-01", "1969-12-31"]);
        assert_eq!([day(11_016), day(11_017)], ["2000-02-29", "2000-03-01"]);
        assert_eq!(super::of(1_795_737_600_000 - 1), "2026-11-26");
        assert_eq!(super::of(1_795_737_600_000), "2026-11-27");
    }
}
