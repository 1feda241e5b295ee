//! Who a client is that comes through a proxy.
//!
//! A header can be sent by anyone. It counts only on a connection from a proxy that the settings trust, and there only one
//! header, that which these proxies set: the other one may be the client's own and was passed on.

use axum::http::{HeaderMap, HeaderName, header};
use monolift_manifest::{Networks, ProxyHeader};
use std::net::{IpAddr, SocketAddr};

const X_FORWARDED_FOR: HeaderName = HeaderName::from_static("x-forwarded-for");

/// The proxies in front of a gateway.
#[derive(Debug, Default)]
pub struct Proxies {
    trusted: Networks,
    header: ProxyHeader,
}

/// In a request's extensions: it came through a proxy that is trusted.
#[derive(Debug, Clone, Copy)]
pub(crate) struct ThroughProxy;

impl Proxies {
    /// Proxies at these addresses, which say who their client is in this header.
    pub fn new(trusted: Networks, header: ProxyHeader) -> Self {
        Self { trusted, header }
    }

    pub(crate) fn trust(&self, address: IpAddr) -> bool {
        self.trusted.contain(address)
    }

    /// The client of a request that a trusted proxy at `proxy` has sent: the last address that the proxies state and that
    /// is none of theirs. Where they state nothing that can be read, it is the last proxy itself.
    pub(crate) fn client(&self, proxy: IpAddr, headers: &HeaderMap) -> IpAddr {
        let name = match self.header {
            ProxyHeader::XForwardedFor => X_FORWARDED_FOR,
            ProxyHeader::Forwarded => header::FORWARDED,
        };
        let mut last = proxy;
        for value in headers.get_all(name).iter().rev() {
            let Ok(text) = value.to_str() else { return last };
            for entry in text.rsplit(',') {
                let stated = match self.header {
                    ProxyHeader::XForwardedFor => Some(entry),
                    ProxyHeader::Forwarded => of_element(entry),
                };
                let Some(address) = stated.and_then(read) else { return last };
                last = address;
                if !self.trust(address) {
                    return last;
                }
            }
        }
        last
    }
}

/// What one proxy says in `Forwarded`: `for=192.0.2.43;proto=http`. No value that is an address holds a comma or a
/// semicolon, so that those in quotes of others can only make it unreadable.
fn of_element(element: &str) -> Option<&str> {
    let mut pairs = element.split(';').filter_map(|pair| pair.split_once('='));
    pairs.find(|(name, _)| name.trim().eq_ignore_ascii_case("for")).map(|(_, value)| value)
}

/// An address as it may be written in either header: alone, with a port, in brackets, in quotes.
fn read(text: &str) -> Option<IpAddr> {
    let text = text.trim();
    let text = text.strip_prefix('"').and_then(|text| text.strip_suffix('"')).unwrap_or(text);
    let bare = text.strip_prefix('[').and_then(|text| text.strip_suffix(']')).unwrap_or(text);
    let address = bare.parse::<IpAddr>().ok();
    let address = address.or_else(|| text.parse::<SocketAddr>().ok().map(|address| address.ip()));
    address.map(|address| address.to_canonical())
}

#[cfg(test)]
mod tests {
    use super::*;
    use axum::http::HeaderValue;

    fn client(header: ProxyHeader, stated: &[(&'static str, &'static str)]) -> String {
        let proxies = Proxies::new(Networks::read("10.0.0.0/8 fd00::/8").unwrap(), header);
        let mut headers = HeaderMap::new();
        for (name, value) in stated {
            headers.append(*name, HeaderValue::from_static(value));
        }
        proxies.client("10.0.0.1".parse().unwrap(), &headers).to_string()
    }

    #[test]
    fn the_last_address_that_is_no_proxys_is_the_client() {
        let of = |value| client(ProxyHeader::XForwardedFor, &[("x-forwarded-for", value)]);
        for (value, expected) in [
            ("192.0.2.1", "192.0.2.1"),
            // What stands before the first address that is no proxy's is the client's own word.
            ("8.8.8.8, 192.0.2.1", "192.0.2.1"),
            ("8.8.8.8,192.0.2.1 , 10.0.0.2", "192.0.2.1"),
            ("192.0.2.1:4711", "192.0.2.1"),
            ("[2001:db8::1]:4711, fd00::7", "2001:db8::1"),
            ("2001:db8::1", "2001:db8::1"),
            ("::ffff:192.0.2.1", "192.0.2.1"),
            // All of them are proxies: a client within.
            ("10.0.0.3, 10.0.0.2", "10.0.0.3"),
            // What cannot be read ends it.
            ("192.0.2.1, unknown", "10.0.0.1"),
            ("192.0.2.1, nonsense, 10.0.0.2", "10.0.0.2"),
            ("", "10.0.0.1"),
            (",", "10.0.0.1"),
        ] {
            assert_eq!(of(value), expected, "{value:?}");
        }
        let several = [("x-forwarded-for", "8.8.8.8"), ("x-forwarded-for", "192.0.2.1, 10.0.0.2")];
        assert_eq!(client(ProxyHeader::XForwardedFor, &several), "192.0.2.1");
        assert_eq!(client(ProxyHeader::XForwardedFor, &[]), "10.0.0.1");
    }

    #[test]
    fn forwarded_is_read_as_the_rfc_writes_it() {
        let of = |value| client(ProxyHeader::Forwarded, &[("forwarded", value)]);
        for (value, expected) in [
            ("for=192.0.2.1", "192.0.2.1"),
            ("For=\"[2001:db8::1]:4711\"", "2001:db8::1"),
            ("for=8.8.8.8, for=192.0.2.1;proto=https;by=10.0.0.2", "192.0.2.1"),
            ("proto=https;for=192.0.2.1, for=10.0.0.2", "192.0.2.1"),
            ("for=_hidden", "10.0.0.1"),
            ("for=\"a,for=8.8.8.8\"", "10.0.0.1"),
            ("by=192.0.2.1", "10.0.0.1"),
        ] {
            assert_eq!(of(value), expected, "{value:?}");
        }
    }

    #[test]
    fn the_other_header_is_not_read() {
        let both = [("x-forwarded-for", "192.0.2.1"), ("forwarded", "for=8.8.8.8")];
        assert_eq!(client(ProxyHeader::XForwardedFor, &both), "192.0.2.1");
        assert_eq!(client(ProxyHeader::Forwarded, &both), "8.8.8.8");
    }
}
