//! The values of `limits.rate` and `limits.rates`: how often one caller may ask.

use std::collections::BTreeMap;
use std::fmt;
use std::time::Duration;

/// More requests than one caller makes in any window.
const MOST_REQUESTS: u32 = 1_000_000;
/// More methods and modules than any application has.
const MOST_NAMES: usize = 1_024;

const WINDOWS: [(&str, u64); 3] = [("s", 1), ("m", 60), ("h", 3600)];

/// So many requests in so long: `10/s`. All of them may come at once.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Rate {
    /// The requests, at least one.
    pub requests: u32,
    /// A second, a minute or an hour.
    pub window: Duration,
}

impl Rate {
    /// Reads it as it is written.
    pub fn read(text: &str) -> Result<Self, String> {
        let read = || {
            let (requests, window) = text.split_once('/')?;
            let is_number = requests.bytes().all(|byte| byte.is_ascii_digit());
            let requests = is_number.then(|| requests.parse::<u32>().ok()).flatten()?;
            let (_, seconds) = WINDOWS.iter().find(|(name, _)| *name == window)?;
            let fits = (1..=MOST_REQUESTS).contains(&requests);
            fits.then_some(Self { requests, window: Duration::from_secs(*seconds) })
        };
        read().ok_or_else(|| {
            format!("expected a rate such as `10/s`, `600/m` or `1000/h`, of 1 to {MOST_REQUESTS} requests")
        })
    }
}

impl fmt::Display for Rate {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let seconds = self.window.as_secs();
        let window = WINDOWS.iter().find(|(_, of)| *of == seconds).map_or("s", |(name, _)| name);
        write!(f, "{}/{window}", self.requests)
    }
}

/// Rates of methods and modules: `orders.place=10/m,users=5/s`.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub struct Rates(pub BTreeMap<String, Rate>);

impl Rates {
    /// Reads them as they are written.
    pub fn read(text: &str) -> Result<Self, String> {
        const EXPECTED: &str =
            "expected methods or modules, each with its rate: `orders.place=10/m,users=5/s`";
        let mut rates = BTreeMap::new();
        for word in text.split(',') {
            let (name, rate) = word.trim().split_once('=').ok_or(EXPECTED)?;
            let mut parts = name.split('.');
            let is_part = |part: &str| {
                let fits = |letter: char| letter.is_ascii_alphanumeric() || "-_".contains(letter);
                !part.is_empty() && part.chars().all(fits)
            };
            let is_name = parts.by_ref().take(2).all(is_part) && parts.next().is_none();
            if !is_name {
                return Err(EXPECTED.to_owned());
            }
            if rates.len() == MOST_NAMES {
                return Err(format!("there are {MOST_NAMES} rates already"));
            }
            if rates.insert(name.to_owned(), Rate::read(rate)?).is_some() {
                return Err("a method or module stands here twice".to_owned());
            }
        }
        Ok(Self(rates))
    }
}

impl fmt::Display for Rates {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        for (at, (name, rate)) in self.0.iter().enumerate() {
            let comma = if at == 0 { "" } else { "," };
            write!(f, "{comma}{name}={rate}")?;
        }
        Ok(())
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_rate_is_read_as_it_is_shown() {
        for text in ["1/s", "600/m", "1000000/h"] {
            assert_eq!(Rate::read(text).unwrap().to_string(), text);
        }
        for bad in ["", "/s", "0/s", "1000001/h", "+1/s", "10", "10/", "10/d", "10 /s", "1.5/s"] {
            assert!(Rate::read(bad).is_err(), "{bad}");
        }
    }

    #[test]
    fn rates_have_names() {
        for text in ["orders.place=10/m", "orders=1/s,orders.place=10/m,stock-a=5/s"] {
            assert_eq!(Rates::read(text).unwrap().to_string(), text);
        }
        for bad in [
            "",
            "10/s",
            "=10/s",
            "orders",
            "orders.=1/s",
            ".place=1/s",
            "a.b.c=1/s",
            "GET /=1/s",
            "a=1/s,a=2/s",
            "a=1/s,",
        ] {
            assert!(Rates::read(bad).is_err(), "{bad}");
        }
    }
}
