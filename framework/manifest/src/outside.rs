//! The values of `[http]`: whose word is taken for who a client is, and which web pages may call the gateway.

use std::fmt;
use std::net::IpAddr;

/// More than any list of proxies, origins, methods or headers has.
const MOST: usize = 256;

/// Addresses and networks: `10.0.0.0/8 192.0.2.7`.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub struct Networks(Vec<Network>);

/// The addresses that begin with so many bits of this one.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
struct Network {
    address: IpAddr,
    bits: u8,
}

impl Networks {
    /// Reads them as they are written, with spaces or commas between them.
    pub fn read(text: &str) -> Result<Self, String> {
        let networks = words(text)?.into_iter().map(|word| {
            Network::read(word).ok_or_else(|| {
                "expected addresses and networks such as `10.0.0.0/8 192.0.2.7`".to_owned()
            })
        });
        networks.collect::<Result<_, _>>().map(Self)
    }

    /// Whether an address is one of them.
    pub fn contain(&self, address: IpAddr) -> bool {
        let address = address.to_canonical();
        self.0.iter().any(|network| network.contains(address))
    }
}

impl Network {
    fn read(word: &str) -> Option<Self> {
        let (address, bits) = match word.split_once('/') {
            Some((address, bits)) => (address, Some(bits)),
            None => (word, None),
        };
        let address: IpAddr = address.parse::<IpAddr>().ok()?.to_canonical();
        let most = if address.is_ipv4() { 32 } else { 128 };
        let bits = match bits {
            Some(bits) if bits.bytes().all(|byte| byte.is_ascii_digit()) => bits.parse().ok()?,
            Some(_) => return None,
            None => most,
        };
        (bits <= most).then_some(Self { address, bits })
    }

    fn contains(&self, address: IpAddr) -> bool {
        let (ours, theirs, width) = match (self.address, address) {
            (IpAddr::V4(ours), IpAddr::V4(theirs)) => {
                (u128::from(u32::from(ours)), u128::from(u32::from(theirs)), 32)
            }
            (IpAddr::V6(ours), IpAddr::V6(theirs)) => (ours.into(), theirs.into(), 128),
            _ => return false,
        };
        // A shift by all bits of the type would overflow.
        self.bits == 0 || (ours ^ theirs) >> (width - u32::from(self.bits)) == 0
    }
}

impl fmt::Display for Networks {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        for (at, Network { address, bits }) in self.0.iter().enumerate() {
            let space = if at == 0 { "" } else { " " };
            match (address, bits) {
                (IpAddr::V4(_), 32) | (IpAddr::V6(_), 128) => write!(f, "{space}{address}")?,
                _ => write!(f, "{space}{address}/{bits}")?,
            }
        }
        Ok(())
    }
}

/// The header in which proxies say who their client is.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq)]
pub enum ProxyHeader {
    /// `X-Forwarded-For`.
    #[default]
    XForwardedFor,
    /// `Forwarded`, as in RFC 7239.
    Forwarded,
}

impl ProxyHeader {
    /// Reads it as it is written.
    pub fn read(text: &str) -> Result<Self, String> {
        match text {
            "x-forwarded-for" => Ok(Self::XForwardedFor),
            "forwarded" => Ok(Self::Forwarded),
            _ => Err("expected `x-forwarded-for` or `forwarded`".to_owned()),
        }
    }
}

impl fmt::Display for ProxyHeader {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(match self {
            Self::XForwardedFor => "x-forwarded-for",
            Self::Forwarded => "forwarded",
        })
    }
}

/// Origins as browsers send them: `https://app.example.com`, or `*` alone.
pub(crate) fn origins(text: &str) -> Result<Vec<String>, String> {
    let origins = words(text)?;
    let is_origin = |word: &str| {
        let rest = word.strip_prefix("https://").or_else(|| word.strip_prefix("http://"));
        let fits = |byte: u8| {
            byte.is_ascii_lowercase() || byte.is_ascii_digit() || b".-:[]".contains(&byte)
        };
        rest.is_some_and(|host| !host.is_empty() && host.bytes().all(fits))
    };
    if origins == ["*"] || origins.iter().all(|word| is_origin(word)) {
        return Ok(owned(&origins));
    }
    Err("expected origins such as `https://app.example.com`, in lower case and without a path, or `*` alone"
        .to_owned())
}

/// Methods of HTTP.
pub(crate) fn methods(text: &str) -> Result<Vec<String>, String> {
    let methods = words(text)?;
    if methods.iter().all(|word| word.bytes().all(|byte| byte.is_ascii_uppercase())) {
        return Ok(owned(&methods));
    }
    Err("expected methods such as `GET POST`".to_owned())
}

/// Names of headers.
pub(crate) fn header_names(text: &str) -> Result<Vec<String>, String> {
    let names = words(text)?;
    let fits =
        |byte: u8| byte.is_ascii_lowercase() || byte.is_ascii_digit() || b"-_".contains(&byte);
    if names.iter().all(|word| word.bytes().all(fits)) {
        return Ok(owned(&names));
    }
    Err("expected names of headers in lower case, such as `authorization content-type`".to_owned())
}

#[allow(clippy::ptr_arg, reason = "as a key shows its value")]
pub(crate) fn joined(words: &Vec<String>) -> String {
    words.join(" ")
}

pub(crate) fn owned(words: &[&str]) -> Vec<String> {
    words.iter().map(|word| (*word).to_owned()).collect()
}

fn words(text: &str) -> Result<Vec<&str>, String> {
    let words: Vec<&str> =
        text.split([' ', ',']).filter(|word| !word.is_empty()).take(MOST + 1).collect();
    match words.len() {
        0 => Err("expected at least one, with spaces between them".to_owned()),
        1..=MOST => Ok(words),
        _ => Err(format!("there are at most {MOST}")),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn networks_hold_their_addresses() {
        let networks = Networks::read("10.0.0.0/8, 192.0.2.7 2001:db8::/32 0.0.0.0/32").unwrap();
        assert_eq!(networks.to_string(), "10.0.0.0/8 192.0.2.7 2001:db8::/32 0.0.0.0");
        let is_in = |text: &str| networks.contain(text.parse().unwrap());
        for inside in ["10.1.2.3", "::ffff:10.1.2.3", "192.0.2.7", "2001:db8:1::1", "0.0.0.0"] {
            assert!(is_in(inside), "{inside}");
        }
        for outside in ["11.0.0.1", "192.0.2.8", "2001:db9::1", "::1", "0.0.0.1"] {
            assert!(!is_in(outside), "{outside}");
        }
        let all = Networks::read("0.0.0.0/0 ::/0").unwrap();
        assert!(all.contain("8.8.8.8".parse().unwrap()) && all.contain("::1".parse().unwrap()));
        for bad in ["", "shop", "10.0.0.0/33", "10.0.0.0/", "10.0.0/8", "::/129", "10.0.0.0/+8"] {
            assert!(Networks::read(bad).is_err(), "{bad}");
        }
    }

    #[test]
    fn origins_are_as_browsers_send_them() {
        for good in ["*", "https://app.example.com http://localhost:3000", "http://[::1]:3000"] {
            assert_eq!(joined(&origins(good).unwrap()), good);
        }
        for bad in ["", "app.example.com", "https://a/", "https://A", "* https://a", "https://"] {
            assert!(origins(bad).is_err(), "{bad}");
        }
        assert!(methods("GET POST").is_ok() && methods("get").is_err());
        assert!(header_names("x-a authorization").is_ok() && header_names("X-A: b").is_err());
    }
}
