//! Where a process listens: a TCP port or a Unix socket. Nothing is resolved or opened here.

use std::error::Error;
use std::fmt;
use std::net::IpAddr;
use std::path::PathBuf;
use std::str::FromStr;

/// An address as the manifest writes it.
///
/// ```
/// # use monolift_manifest::Address;
/// assert_eq!("127.0.0.1:7100".parse(), Ok(Address::Tcp("127.0.0.1:7100".into())));
/// assert_eq!("unix:run/stock.sock".parse(), Ok(Address::Unix("run/stock.sock".into())));
/// ```
#[derive(Debug, Clone, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub enum Address {
    /// `host:port`, `ip:port` or `[ipv6]:port`.
    Tcp(String),
    /// The path behind `unix:`, relative or absolute.
    Unix(PathBuf),
}

impl Address {
    /// The host and the port of a TCP address; `None` of a Unix socket, or of a [`Address::Tcp`] that was not parsed
    /// and is none.
    pub fn host_and_port(&self) -> Option<(&str, u16)> {
        match self {
            Address::Tcp(text) => split(text),
            Address::Unix(_) => None,
        }
    }

    /// Whether only this machine can reach it.
    pub fn is_local(&self) -> bool {
        self.host_and_port().is_none_or(|(host, _)| {
            let host = plain(host);
            let ip = host.trim_matches(['[', ']']).parse();
            ip.is_ok_and(|ip: IpAddr| ip.to_canonical().is_loopback())
        })
    }

    /// Whether two listeners on one machine cannot have both. Port 0 is free for everybody; an unspecified address
    /// (`0.0.0.0`, `[::]`) takes its port on all others; `localhost` is `127.0.0.1`.
    pub fn clashes_with(&self, other: &Address) -> bool {
        let (Some((host, port)), Some((other_host, other_port))) =
            (self.host_and_port(), other.host_and_port())
        else {
            return self == other;
        };
        port != 0
            && port == other_port
            && (plain(host) == plain(other_host)
                || is_unspecified(host)
                || is_unspecified(other_host))
    }
}

impl fmt::Display for Address {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Address::Tcp(text) => f.write_str(text),
            Address::Unix(path) => write!(f, "unix:{}", path.display()),
        }
    }
}

impl FromStr for Address {
    type Err = AddressError;

    fn from_str(text: &str) -> Result<Self, AddressError> {
        match text.strip_prefix("unix:") {
            Some(path) if !path.is_empty() && !path.contains('\0') => {
                Ok(Address::Unix(path.into()))
            }
            None if split(text).is_some() => Ok(Address::Tcp(text.to_owned())),
            _ => Err(AddressError),
        }
    }
}

impl Address {
    /// The address of the replica with this number, from 0: a port, or a file, further on. A free
    /// port stays one. `None` beyond the last port.
    pub fn further(&self, replica: usize) -> Option<Address> {
        if replica == 0 {
            return Some(self.clone());
        }
        match self {
            Address::Unix(path) => {
                let mut path = path.clone().into_os_string();
                path.push(format!(".{replica}"));
                Some(Address::Unix(path.into()))
            }
            Address::Tcp(text) => {
                let (host, port) = split(text)?;
                let port =
                    if port == 0 { 0 } else { port.checked_add(u16::try_from(replica).ok()?)? };
                Some(Address::Tcp(format!("{host}:{port}")))
            }
        }
    }
}

/// A text that is no address. It does not hold the text, which may be a secret.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct AddressError;

impl fmt::Display for AddressError {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("expected `host:port` or `unix:path/to.sock`")
    }
}

impl Error for AddressError {}

fn split(text: &str) -> Option<(&str, u16)> {
    let (host, port) = text.rsplit_once(':')?;
    if port.is_empty() || !port.bytes().all(|byte| byte.is_ascii_digit()) {
        return None;
    }
    let port = port.parse().ok()?;
    let is_host = match host.strip_prefix('[').and_then(|rest| rest.strip_suffix(']')) {
        Some(ip) => matches!(ip.parse(), Ok(IpAddr::V6(_))),
        None => {
            !host.is_empty()
                && host.bytes().all(|byte| byte.is_ascii_alphanumeric() || b"-._".contains(&byte))
        }
    };
    is_host.then_some((host, port))
}

fn plain(host: &str) -> String {
    match host.to_ascii_lowercase() {
        local if local == "localhost" => "127.0.0.1".to_owned(),
        host => host,
    }
}

fn is_unspecified(host: &str) -> bool {
    host.trim_matches(['[', ']']).parse().is_ok_and(|ip: IpAddr| ip.is_unspecified())
}

#[cfg(test)]
mod tests {
    use super::*;

    fn address(text: &str) -> Address {
        text.parse().expect("an address")
    }

    #[test]
    fn addresses_are_read_and_written_alike() {
        for text in [
            "127.0.0.1:7100",
            "[::1]:0",
            "localhost:80",
            "stock.internal:65535",
            "unix:a.sock",
            "unix:/run/a.sock",
        ] {
            assert_eq!(address(text).to_string(), text);
        }
        for text in [
            "",
            "7100",
            ":7100",
            "localhost",
            "localhost:",
            "a:65536",
            "a:-1",
            "a:+1",
            "a b:1",
            "::1:80",
            "[x]:1",
            "unix:",
        ] {
            let error = text.parse::<Address>().expect_err(text);
            assert_eq!(error.to_string(), "expected `host:port` or `unix:path/to.sock`");
        }
    }

    #[test]
    fn replicas_are_a_port_further_on() {
        let further = |text, replica| address(text).further(replica).map(|found| found.to_string());
        assert_eq!(further("127.0.0.1:7100", 0).as_deref(), Some("127.0.0.1:7100"));
        assert_eq!(further("127.0.0.1:7100", 2).as_deref(), Some("127.0.0.1:7102"));
        assert_eq!(further("127.0.0.1:0", 2).as_deref(), Some("127.0.0.1:0"));
        assert_eq!(further("[::1]:65535", 1), None);
        assert_eq!(further("unix:a.sock", 1).as_deref(), Some("unix:a.sock.1"));
    }

    #[test]
    fn loopback_is_local() {
        for (text, local) in [
            ("127.0.0.1:7100", true),
            ("127.8.0.1:0", true),
            ("[::1]:7100", true),
            ("[::ffff:127.0.0.1]:7100", true),
            ("LOCALHOST:7100", true),
            ("unix:/run/a.sock", true),
            ("0.0.0.0:7100", false),
            ("[::]:7100", false),
            ("10.0.0.1:7100", false),
            ("localhost.example.com:7100", false),
        ] {
            assert_eq!(address(text).is_local(), local, "{text}");
        }
    }

    #[test]
    fn clashes() {
        let clash = |a: &str, b: &str| {
            assert_eq!(address(a).clashes_with(&address(b)), address(b).clashes_with(&address(a)));
            address(a).clashes_with(&address(b))
        };
        assert!(clash("127.0.0.1:80", "127.0.0.1:80"));
        assert!(clash("0.0.0.0:80", "10.0.0.1:80"));
        assert!(clash("[::]:80", "127.0.0.1:80"));
        assert!(clash("localhost:80", "127.0.0.1:80"));
        assert!(clash("unix:a.sock", "unix:a.sock"));
        assert!(!clash("127.0.0.1:0", "127.0.0.1:0"));
        assert!(!clash("0.0.0.0:0", "0.0.0.0:0"));
        assert!(!clash("127.0.0.1:80", "127.0.0.1:81"));
        assert!(!clash("127.0.0.1:80", "127.0.0.2:80"));
        assert!(!clash("unix:a.sock", "unix:b.sock"));
        assert!(!clash("unix:a.sock", "127.0.0.1:80"));
    }
}
