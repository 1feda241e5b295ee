//! The values of `[observe.otlp]`: how a collector is reached.

use std::fmt;

use crate::sections::Hidden;

/// How traces are sent to a collector.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq)]
pub enum OtlpProtocol {
    /// gRPC.
    #[default]
    Grpc,
    /// Protobuf in the body of a POST.
    Http,
}

impl OtlpProtocol {
    /// Reads it as it is written.
    pub fn read(text: &str) -> Result<Self, String> {
        match text {
            "grpc" => Ok(Self::Grpc),
            "http" => Ok(Self::Http),
            _ => Err("expected `grpc` or `http`".to_owned()),
        }
    }
}

impl fmt::Display for OtlpProtocol {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(match self {
            Self::Grpc => "grpc",
            Self::Http => "http",
        })
    }
}

/// The URL of a collector. Its connection is not encrypted: that is a collector's own part, near the process.
pub(crate) fn collector(text: &str) -> Result<String, String> {
    const EXPECTED: &str = "expected the URL of a collector, such as `http://127.0.0.1:4317`";
    if text.starts_with("https://") {
        return Err(format!(
            "{EXPECTED}: `https` is not spoken, so send to a collector on this machine or network, and have that encrypt"
        ));
    }
    let rest = text.strip_prefix("http://").ok_or(EXPECTED)?;
    let (authority, path) = rest.split_once('/').unwrap_or((rest, ""));
    let (host, port) = authority.rsplit_once(':').ok_or(EXPECTED)?;
    let is_port = port.parse::<u16>().is_ok_and(|port| port != 0);
    let unfit = |byte: u8| !byte.is_ascii_graphic() || matches!(byte, b'@' | b'?' | b'#');
    if host.is_empty() || !is_port || host.bytes().chain(path.bytes()).any(unfit) {
        return Err(EXPECTED.to_owned());
    }
    Ok(text.to_owned())
}

/// Headers as they are written: `name=value,name=value`.
pub(crate) fn headers(text: &str) -> Result<Hidden, String> {
    let is_header = |(name, value): (&str, &str)| {
        let of_name = |byte: u8| byte.is_ascii_alphanumeric() || matches!(byte, b'-' | b'_' | b'.');
        let of_value = |byte: u8| matches!(byte, b' '..=b'~');
        !name.is_empty() && name.bytes().all(of_name) && value.bytes().all(of_value)
    };
    let mut each = text.split(',').map(|header| header.trim().split_once('='));
    if each.all(|header| header.is_some_and(is_header)) {
        return Ok(text.to_owned().into());
    }
    Err("expected headers such as `authorization=Bearer …`, several separated by commas".to_owned())
}

#[cfg(test)]
mod tests {
    use super::{collector, headers};

    #[test]
    fn a_collector_is_a_url_of_http_with_a_port() {
        for url in
            ["http://127.0.0.1:4317", "http://collector:4318/", "http://[::1]:4318/tenants/a"]
        {
            assert_eq!(collector(url).as_deref(), Ok(url));
        }
        for url in [
            "",
            "127.0.0.1:4317",
            "http://collector",
            "http://:4317",
            "http://collector:0",
            "http://collector:port",
            "http://user:password@collector:4317",
            "http://collector:4317/?key=a",
            "grpc://collector:4317",
        ] {
            assert!(collector(url).is_err(), "{url}");
        }
        assert!(collector("https://collector:4317").unwrap_err().contains("`https` is not spoken"));
    }

    #[test]
    fn headers_are_names_and_values() {
        assert!(headers("authorization=Bearer a=b, x-tenant=shop").is_ok());
        for text in ["", "authorization", "=a", "a b=c", "a=b,", "a=b\u{7}"] {
            assert!(headers(text).is_err(), "{text}");
        }
    }
}
