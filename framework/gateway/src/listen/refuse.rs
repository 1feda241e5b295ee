//! What a client hears that cannot be served.

use crate::{HttpAnswer, Problem};
use axum::http::{HeaderMap, StatusCode, Version, header, uri::Authority};
use std::{sync::Arc, time::Duration};
use tokio::{
    io::{AsyncReadExt, AsyncWriteExt},
    net::TcpStream,
    sync::Semaphore,
    time::timeout,
};

/// How many clients at once are told, and not just cut off.
const AT_ONCE: usize = 64;
/// How long one of them has to ask, and then to read the answer.
const WITHIN: Duration = Duration::from_secs(1);
/// The most that is read of what it asks.
const MOST_READ: u64 = 64 * 1024;

/// Tells clients for whom there is no place.
#[derive(Debug, Clone)]
pub(super) struct Refusals {
    answer: Arc<[u8]>,
    places: Arc<Semaphore>,
}

impl Refusals {
    pub(super) fn new() -> Self {
        let problem = Problem::new(
            StatusCode::SERVICE_UNAVAILABLE,
            "too-many-clients",
            "there are as many clients as there may be: try again",
        );
        let HttpAnswer { body, .. } = problem.into();
        let mut answer = format!(
            "HTTP/1.1 503 Service Unavailable\r\ncontent-type: application/problem+json\r\n\
             retry-after: 1\r\nconnection: close\r\ncontent-length: {}\r\n\r\n",
            body.len()
        )
        .into_bytes();
        answer.extend_from_slice(&body);
        Self { answer: answer.into(), places: Arc::new(Semaphore::new(AT_ONCE)) }
    }

    /// Answers 503 to whatever is asked, if there are not too many to be told.
    pub(super) async fn tell(self, mut socket: TcpStream) {
        let Ok(_place) = self.places.try_acquire() else {
            // It is short, so that the kernel takes it all; whether it arrives is not waited for.
            let _ = socket.try_write(&self.answer);
            return;
        };
        let mut scrap = [0; 4096];
        // Some clients take an answer for a mistake that comes before they have asked.
        let _ = timeout(WITHIN, socket.read(&mut scrap)).await;
        let telling = async {
            socket.write_all(&self.answer).await?;
            socket.shutdown().await?;
            // What is closed with something unread is reset, and an answer on its way is lost then.
            tokio::io::copy(&mut socket.take(MOST_READ), &mut tokio::io::sink()).await
        };
        let _ = timeout(WITHIN, telling).await;
    }
}

/// Refuses a request that does not say, once, which host it is for: two servers on its way could
/// understand it differently. HTTP/1.0 knows no hosts.
pub(super) fn unclear_host(version: Version, headers: &HeaderMap) -> Option<Problem> {
    let mut hosts = headers.get_all(header::HOST).iter();
    let detail = match (hosts.next(), hosts.next()) {
        (None, _) if version < Version::HTTP_11 => return None,
        (None, _) => "the request has no header `host`",
        (Some(_), Some(_)) => "the request has more than one header `host`",
        (Some(host), None) => {
            let host = host.as_bytes();
            if host.is_empty() || Authority::try_from(host).is_ok_and(|host| is_host(&host)) {
                return None;
            }
            "the header `host` is no host"
        }
    };
    Some(Problem::new(StatusCode::BAD_REQUEST, "bad-host", detail))
}

/// Whether it says nothing of a user.
fn is_host(authority: &Authority) -> bool {
    !authority.as_str().contains('@')
}

#[cfg(test)]
mod tests {
    use super::*;
    use axum::http::HeaderValue;

    #[test]
    fn a_request_is_for_one_host() {
        let unclear = |version, hosts: &[&'static str]| {
            let all = hosts.iter().map(|host| (header::HOST, HeaderValue::from_static(host)));
            let mut headers = HeaderMap::new();
            for (name, value) in all {
                headers.append(name, value);
            }
            unclear_host(version, &headers).is_some()
        };
        for fine in ["shop", "shop:80", "[::1]:80", "127.0.0.1", ""] {
            assert!(!unclear(Version::HTTP_11, &[fine]), "{fine}");
        }
        for wrong in ["a b", "a/b", "ada@shop", "shop, shop"] {
            assert!(unclear(Version::HTTP_11, &[wrong]), "{wrong}");
        }
        assert!(unclear(Version::HTTP_11, &[]) && !unclear(Version::HTTP_10, &[]));
        assert!(unclear(Version::HTTP_11, &["shop", "shop"]));
        assert!(unclear(Version::HTTP_10, &["shop", "other"]));
    }
}
