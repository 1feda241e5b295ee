//! Gets a document of an issuer: over HTTPS, or from this machine.

use bytes::Bytes;
use http::{Request, StatusCode, Uri, header};
use http_body_util::{BodyExt, Empty, Limited};
use hyper_util::rt::TokioIo;
use std::{future::Future, pin::Pin, sync::Arc, time::Duration};
use tokio::{
    io::{AsyncRead, AsyncWrite},
    net::TcpStream,
    time::timeout,
};
use tokio_rustls::{
    TlsConnector,
    rustls::{ClientConfig, RootCertStore, crypto::ring, pki_types::ServerName},
};

/// The longest document that is read, in bytes.
pub const LONGEST_DOCUMENT: usize = 256 * 1024;
/// The longest that one is waited for.
const PATIENCE: Duration = Duration::from_secs(5);

/// Why a document was not got.
#[derive(Debug, thiserror::Error)]
pub enum FetchError {
    /// The issuer did not give it.
    #[error("{url}: {why}")]
    Failed {
        /// Where it was asked for.
        url: String,
        /// What was wrong.
        why: String,
    },
    /// This process stops, so it needs none. Nothing has failed.
    #[error("this process stops")]
    Stopped,
}

impl FetchError {
    /// `url` did not give it.
    pub fn new(url: &str, why: impl Into<String>) -> Self {
        Self::Failed { url: url.to_owned(), why: why.into() }
    }
}

/// Gets documents by their URL. Tests have one of their own.
pub trait Fetch: Send + Sync + 'static {
    /// Gets one.
    fn get<'a>(
        &'a self,
        url: &'a str,
    ) -> Pin<Box<dyn Future<Output = Result<Bytes, FetchError>> + Send + 'a>>;
}

/// Gets documents over the network. Servers prove who they are by the authorities that browsers trust. Only this machine
/// is asked without TLS. Redirects are not followed.
pub struct Https(TlsConnector);

impl std::fmt::Debug for Https {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.write_str("Https")
    }
}

impl Default for Https {
    fn default() -> Self {
        let mut roots = RootCertStore::empty();
        roots.extend(webpki_roots::TLS_SERVER_ROOTS.iter().cloned());
        let config = ClientConfig::builder_with_provider(Arc::new(ring::default_provider()))
            .with_safe_default_protocol_versions()
            .expect("ring has what TLS 1.2 and 1.3 need")
            .with_root_certificates(roots)
            .with_no_client_auth();
        Self(TlsConnector::from(Arc::new(config)))
    }
}

/// Whether keys may be got from here: over TLS, or without leaving this machine.
pub(crate) fn is_trusted(url: &str) -> bool {
    let Ok(url) = url.parse::<Uri>() else { return false };
    let is_loopback = |host: &str| {
        let host = host.trim_matches(['[', ']']);
        host == "localhost" || host.parse().is_ok_and(|ip: std::net::IpAddr| ip.is_loopback())
    };
    match (url.scheme_str(), url.host()) {
        (Some("https"), Some(_)) => true,
        (Some("http"), Some(host)) => is_loopback(host),
        _ => false,
    }
}

impl Fetch for Https {
    fn get<'a>(
        &'a self,
        url: &'a str,
    ) -> Pin<Box<dyn Future<Output = Result<Bytes, FetchError>> + Send + 'a>> {
        Box::pin(async move {
            let late = |_| FetchError::new(url, format!("no answer within {PATIENCE:?}"));
            timeout(PATIENCE, self.got(url)).await.map_err(late)?
        })
    }
}

impl Https {
    async fn got(&self, url: &str) -> Result<Bytes, FetchError> {
        let failed = |why: &dyn std::fmt::Display| FetchError::new(url, why.to_string());
        if !is_trusted(url) {
            return Err(failed(&"it is neither https nor on this machine"));
        }
        let uri: Uri = url.parse().map_err(|error| failed(&error))?;
        let host = uri.host().unwrap_or_default().to_owned();
        let is_tls = uri.scheme_str() == Some("https");
        let port = uri.port_u16().unwrap_or(if is_tls { 443 } else { 80 });
        let plain = host.trim_matches(['[', ']']);
        let stream = TcpStream::connect((plain, port)).await.map_err(|error| failed(&error))?;
        if !is_tls {
            return ask(stream, &uri).await.map_err(|why| failed(&why));
        }
        let name = ServerName::try_from(plain.to_owned()).map_err(|error| failed(&error))?;
        let stream = self.0.connect(name, stream).await.map_err(|error| failed(&error))?;
        ask(stream, &uri).await.map_err(|why| failed(&why))
    }
}

async fn ask<S>(stream: S, uri: &Uri) -> Result<Bytes, String>
where
    S: AsyncRead + AsyncWrite + Unpin + Send + 'static,
{
    let text = |error: hyper::Error| error.to_string();
    let (mut sender, connection) =
        hyper::client::conn::http1::handshake(TokioIo::new(stream)).await.map_err(text)?;
    let connection = tokio::spawn(connection);
    let authority = uri.authority().map_or("", |authority| authority.as_str());
    let path = uri.path_and_query().map_or("/", |path| path.as_str());
    let request = Request::get(path)
        .header(header::HOST, authority)
        .header(header::ACCEPT, "application/json")
        .body(Empty::<Bytes>::new())
        .map_err(|error| error.to_string())?;
    let answer = sender.send_request(request).await.map_err(text)?;
    if answer.status() != StatusCode::OK {
        return Err(format!("answered with {}", answer.status()));
    }
    let body = Limited::new(answer.into_body(), LONGEST_DOCUMENT).collect().await;
    connection.abort();
    Ok(body.map_err(|error| error.to_string())?.to_bytes())
}

#[cfg(test)]
mod tests {
    use super::is_trusted;

    #[test]
    fn keys_come_over_tls_or_from_this_machine() {
        for good in [
            "https://id.example.com/x",
            "http://127.0.0.1:8080/k",
            "http://[::1]/",
            "http://localhost/",
        ] {
            assert!(is_trusted(good), "{good}");
        }
        for bad in
            ["http://id.example.com/", "file:///etc/keys", "ftp://localhost/", "", "localhost"]
        {
            assert!(!is_trusted(bad), "{bad}");
        }
    }
}
