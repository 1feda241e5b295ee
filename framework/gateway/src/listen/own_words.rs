//! A client's socket, on which the refusals of the HTTP library are said as problems.
//!
//! A head that is too long or cannot be read never becomes a request, so that no router answers it: the library does, with
//! a status and no body. Its answer is known by its form. Every answer of ours has more headers than that.

use crate::{HttpAnswer, Problem, refused::RefusedRequests};
use axum::http::StatusCode;
use bytes::{Buf, Bytes};
use std::{
    io::{self, IoSlice},
    pin::Pin,
    sync::Arc,
    task::{Context, Poll, ready},
    time::Duration,
};
use tokio::{
    io::{AsyncRead, AsyncWrite, ReadBuf},
    time::{Sleep, sleep},
};

/// The library's own answers are shorter.
const LONGEST: usize = 256;
/// The headers that they have.
const BARE: [&str; 3] = ["connection", "content-length", "date"];
/// How long, and how much, is read on after a refusal: what is closed with something unread is reset, and the refusal
/// could be lost on its way.
const LINGER: Duration = Duration::from_secs(1);
const MOST_READ: usize = 64 * 1024;

/// A socket on which refusals are problems, if it is a client's.
#[derive(Debug)]
pub(super) struct OwnWords<S> {
    socket: S,
    /// Where refusals are counted. `None` if the other end is no client.
    refused: Option<Arc<RefusedRequests>>,
    saying: Option<Saying>,
    /// Once something was said: how much is read on at the end, and how long.
    lingering: Option<(usize, Pin<Box<Sleep>>)>,
}

/// What is written in place of something else.
#[derive(Debug)]
struct Saying {
    words: Bytes,
    /// The bytes that this stands for.
    instead_of: usize,
}

impl<S> OwnWords<S> {
    pub(super) fn on(socket: S, refused: Option<Arc<RefusedRequests>>) -> Self {
        Self { socket, refused, saying: None, lingering: None }
    }

    /// Begins to say something else, if `bytes` are a refusal.
    fn begin(&mut self, bytes: &[u8]) {
        let Some(refused) = &self.refused else { return };
        if self.saying.is_some() {
            return;
        }
        if let Some(status) = refusal(bytes) {
            let (limit, words) = words(status);
            if let Some(limit) = limit {
                refused.count_unread(limit);
            }
            self.saying = Some(Saying { words, instead_of: bytes.len() });
            self.lingering = Some((MOST_READ, Box::pin(sleep(LINGER))));
        }
    }
}

impl<S: AsyncWrite + Unpin> OwnWords<S> {
    /// Says what there is to say. Ready with the bytes that it stood for.
    fn say(&mut self, cx: &mut Context<'_>) -> Poll<Option<io::Result<usize>>> {
        while let Some(saying) = &mut self.saying {
            if saying.words.is_empty() {
                let whole = saying.instead_of;
                self.saying = None;
                return Poll::Ready(Some(Ok(whole)));
            }
            match ready!(Pin::new(&mut self.socket).poll_write(cx, &saying.words)) {
                Ok(0) => return Poll::Ready(Some(Err(io::ErrorKind::WriteZero.into()))),
                Ok(written) => saying.words.advance(written),
                Err(error) => return Poll::Ready(Some(Err(error))),
            }
        }
        Poll::Ready(None)
    }
}

/// The status of an answer that only the library gives.
fn refusal(bytes: &[u8]) -> Option<StatusCode> {
    if bytes.len() > LONGEST || !bytes.starts_with(b"HTTP/1.") {
        return None;
    }
    let head = std::str::from_utf8(bytes).ok()?.strip_suffix("\r\n\r\n")?;
    let mut lines = head.split("\r\n");
    let status = lines.next()?.split(' ').nth(1)?.parse().ok()?;
    let is_bare = |line: &str| {
        let name = line.split(':').next().unwrap_or(line).trim();
        BARE.iter().any(|bare| name.eq_ignore_ascii_case(bare))
    };
    let known = matches!(status, 400 | 414 | 431) && lines.all(is_bare);
    known.then(|| StatusCode::from_u16(status).ok()).flatten()
}

/// The limit that a refused head was beyond, if it was, and what its client is told.
fn words(status: StatusCode) -> (Option<&'static str>, Bytes) {
    let (limit, code, detail) = match status {
        StatusCode::URI_TOO_LONG => (Some("target"), "target-too-long", TARGET),
        StatusCode::REQUEST_HEADER_FIELDS_TOO_LARGE => (Some("head"), "head-too-large", HEAD),
        _ => (None, "bad-request", "the request is not HTTP/1.1"),
    };
    let HttpAnswer { body, .. } = Problem::new(status, code, detail).into();
    let reason = status.canonical_reason().unwrap_or("Error");
    let head = format!(
        "HTTP/1.1 {} {reason}\r\ncontent-type: application/problem+json\r\n\
         x-content-type-options: nosniff\r\nconnection: close\r\ncontent-length: {}\r\n\r\n",
        status.as_u16(),
        body.len()
    );
    (limit, [head.as_bytes(), &body].concat().into())
}

/// What is said of a request whose path and query are too long.
pub(super) const TARGET: &str = "the path and the query of the request are too long";
const HEAD: &str = "the headers of the request are too long, or too many";

impl<S: AsyncWrite + AsyncRead + Unpin> AsyncWrite for OwnWords<S> {
    fn poll_write(
        mut self: Pin<&mut Self>,
        cx: &mut Context<'_>,
        bytes: &[u8],
    ) -> Poll<io::Result<usize>> {
        self.begin(bytes);
        match ready!(self.say(cx)) {
            Some(said) => Poll::Ready(said),
            None => Pin::new(&mut self.socket).poll_write(cx, bytes),
        }
    }

    fn poll_write_vectored(
        mut self: Pin<&mut Self>,
        cx: &mut Context<'_>,
        slices: &[IoSlice<'_>],
    ) -> Poll<io::Result<usize>> {
        let mut all = slices.iter().filter(|slice| !slice.is_empty());
        if let (Some(only), None) = (all.next(), all.next()) {
            self.begin(only);
        }
        match ready!(self.say(cx)) {
            Some(said) => Poll::Ready(said),
            None => Pin::new(&mut self.socket).poll_write_vectored(cx, slices),
        }
    }

    fn is_write_vectored(&self) -> bool {
        self.socket.is_write_vectored()
    }

    fn poll_flush(mut self: Pin<&mut Self>, cx: &mut Context<'_>) -> Poll<io::Result<()>> {
        Pin::new(&mut self.socket).poll_flush(cx)
    }

    fn poll_shutdown(mut self: Pin<&mut Self>, cx: &mut Context<'_>) -> Poll<io::Result<()>> {
        ready!(Pin::new(&mut self.socket).poll_shutdown(cx))?;
        let this = &mut *self;
        let Some((left, timer)) = &mut this.lingering else { return Poll::Ready(Ok(())) };
        let mut scrap = [0; 4096];
        while *left > 0 && timer.as_mut().poll(cx).is_pending() {
            let mut into = ReadBuf::new(&mut scrap);
            match ready!(Pin::new(&mut this.socket).poll_read(cx, &mut into)) {
                Ok(()) if !into.filled().is_empty() => {
                    *left = left.saturating_sub(into.filled().len());
                }
                Ok(()) | Err(_) => break,
            }
        }
        Poll::Ready(Ok(()))
    }
}

impl<S: AsyncRead + Unpin> AsyncRead for OwnWords<S> {
    fn poll_read(
        mut self: Pin<&mut Self>,
        cx: &mut Context<'_>,
        into: &mut ReadBuf<'_>,
    ) -> Poll<io::Result<()>> {
        Pin::new(&mut self.socket).poll_read(cx, into)
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use tokio::io::{AsyncReadExt, AsyncWriteExt};

    const BARE: &[u8] = b"HTTP/1.1 431 Request Header Fields Too Large\r\nconnection: close\r\n\
        content-length: 0\r\ndate: Fri, 27 Nov 2026 06:00:00 GMT\r\n\r\n";

    #[test]
    fn only_the_librarys_own_answers_are_known() {
        assert_eq!(refusal(BARE), Some(StatusCode::REQUEST_HEADER_FIELDS_TOO_LARGE));
        for other in [
            &b"HTTP/1.1 404 Not Found\r\ncontent-length: 0\r\n\r\n"[..],
            b"HTTP/1.1 400 Bad Request\r\ncontent-length: 0\r\nx-content-type-options: nosniff\r\n\r\n",
            b"HTTP/1.1 400 Bad Request\r\ncontent-length: 2\r\n\r\nno",
            b"HTTP/1.1 400",
            b"",
        ] {
            assert_eq!(refusal(other), None, "{}", String::from_utf8_lossy(other));
        }
    }

    #[tokio::test]
    async fn a_refusal_is_a_problem_however_little_is_taken_at_once() {
        let refused = Arc::new(RefusedRequests::default());
        let (ours, mut theirs) = tokio::io::duplex(7);
        let mut ours = OwnWords::on(ours, Some(Arc::clone(&refused)));
        let said = tokio::spawn(async move {
            let mut said = String::new();
            theirs.read_to_string(&mut said).await.unwrap();
            said
        });
        ours.write_all(BARE).await.unwrap();
        ours.shutdown().await.unwrap();
        drop(ours);
        let said = said.await.unwrap();
        let (head, body) = said.split_once("\r\n\r\n").unwrap();
        assert!(head.starts_with("HTTP/1.1 431 Request Header Fields Too Large\r\n"), "{head}");
        assert!(head.ends_with(&format!("content-length: {}", body.len())), "{head}");
        let problem: serde_json::Value = serde_json::from_str(body).unwrap();
        assert_eq!(problem["code"], "head-too-large");
        assert_eq!(refused.all()[0].0.limit, "head");
    }
}
