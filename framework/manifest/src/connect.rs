//! Where others find the replicas of a process. Nothing is resolved or opened here.

use std::error::Error;
use std::fmt;
use std::path::PathBuf;
use std::str::FromStr;

use crate::address::Address;

/// What a process's `connect` says.
///
/// ```
/// # use monolift_manifest::Connect;
/// let two: Connect = "10.0.0.1:7100, 10.0.0.2:7100".parse()?;
/// assert_eq!(two.addresses().len(), 2);
/// assert_eq!("srv:_calls._tcp.stock.shop".parse(), Ok(Connect::Srv("_calls._tcp.stock.shop".into())));
/// assert_eq!("file:run/stock.addresses".parse(), Ok(Connect::File("run/stock.addresses".into())));
/// # Ok::<(), monolift_manifest::ConnectError>(())
/// ```
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Connect {
    /// These, one behind the other. A host's name stands for all the addresses that it has.
    Addresses(Vec<Address>),
    /// Those that the SRV records of this name list.
    Srv(String),
    /// Those that this file lists, one a line; it is read again when it changes.
    File(PathBuf),
}

impl Connect {
    /// The addresses that it states itself.
    pub fn addresses(&self) -> &[Address] {
        match self {
            Connect::Addresses(addresses) => addresses,
            Connect::Srv(_) | Connect::File(_) => &[],
        }
    }
}

impl From<Address> for Connect {
    fn from(address: Address) -> Self {
        Connect::Addresses(vec![address])
    }
}

impl fmt::Display for Connect {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Connect::Addresses(addresses) => {
                for (at, address) in addresses.iter().enumerate() {
                    write!(f, "{}{address}", if at == 0 { "" } else { ", " })?;
                }
                Ok(())
            }
            Connect::Srv(name) => write!(f, "srv:{name}"),
            Connect::File(path) => write!(f, "file:{}", path.display()),
        }
    }
}

impl FromStr for Connect {
    type Err = ConnectError;

    fn from_str(text: &str) -> Result<Self, ConnectError> {
        if let Some(name) = text.strip_prefix("srv:") {
            return match is_dns_name(name) {
                true => Ok(Connect::Srv(name.to_owned())),
                false => Err(ConnectError("expected a name of SRV records behind `srv:`")),
            };
        }
        match text.strip_prefix("file:") {
            Some("") => {
                return Err(ConnectError("`file:` names no file"));
            }
            Some(path) => return Ok(Connect::File(path.into())),
            None => {}
        }
        let addresses: Result<Vec<Address>, ConnectError> =
            text.split(',').map(reachable).collect();
        Ok(Connect::Addresses(addresses?))
    }
}

fn reachable(text: &str) -> Result<Address, ConnectError> {
    let text = text.trim();
    let address: Address = text.parse().map_err(|_| {
        ConnectError(
            "expected `host:port`, `unix:path/to.sock`, several of them behind commas, `srv:name` or \
             `file:path`",
        )
    })?;
    match address.host_and_port() {
        Some((_, 0)) => Err(ConnectError("port 0 cannot be connected to")),
        _ => Ok(address),
    }
}

/// Labels of at most 63 letters, 253 in all.
fn is_dns_name(name: &str) -> bool {
    let name = name.strip_suffix('.').unwrap_or(name);
    let well = |label: &str| {
        (1..=63).contains(&label.len())
            && label.bytes().all(|byte| byte.is_ascii_alphanumeric() || b"-_".contains(&byte))
    };
    name.len() <= 253 && name.split('.').all(well)
}

/// What was expected of a text that does not say where a process is found. It does not hold the text, which may be a
/// secret.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct ConnectError(&'static str);

impl fmt::Display for ConnectError {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(self.0)
    }
}

impl Error for ConnectError {}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn what_is_read_is_shown_as_it_was_written() {
        for text in ["a:1", "a:1, [::1]:2, unix:x.sock", "srv:_calls._tcp.a.b.", "file:/run/a"] {
            assert_eq!(text.parse::<Connect>().unwrap().to_string(), text);
        }
    }

    #[test]
    fn what_cannot_be_reached_is_refused() {
        let refused = |text: &str| text.parse::<Connect>().unwrap_err().to_string();
        assert_eq!(refused("a:1, b:0"), "port 0 cannot be connected to");
        assert_eq!(refused("srv:a..b"), "expected a name of SRV records behind `srv:`");
        assert_eq!(refused("file:"), "`file:` names no file");
        assert!(refused("a:1,,b:2").contains("expected `host:port`"));
        assert!(refused("nonsense").contains("expected `host:port`"));
    }
}
