//! The bodies of a request and of its answer, as far as their connection's place is concerned.

use super::places::{Asking, ClientPlace};
use axum::body::Body;
use bytes::Bytes;
use hyper::body::{Frame, Incoming, SizeHint};
use std::{
    pin::Pin,
    sync::Arc,
    task::{Context, Poll, ready},
};
use tokio::sync::OwnedSemaphorePermit;

/// A request's body, which its client may be slow to send.
#[derive(Debug)]
pub(super) struct Sent {
    pub(super) body: Incoming,
    pub(super) place: Option<Arc<ClientPlace>>,
}

impl hyper::body::Body for Sent {
    type Data = Bytes;
    type Error = hyper::Error;

    fn poll_frame(
        mut self: Pin<&mut Self>,
        cx: &mut Context<'_>,
    ) -> Poll<Option<Result<Frame<Bytes>, hyper::Error>>> {
        let polled = Pin::new(&mut self.body).poll_frame(cx);
        if let Some(place) = &self.place {
            match &polled {
                Poll::Pending => place.wait_for_body(true),
                Poll::Ready(_) if self.body.is_end_stream() => place.wait_for_body(false),
                Poll::Ready(Some(Ok(_))) => {}
                Poll::Ready(_) => place.wait_for_body(false),
            }
        }
        polled
    }

    fn is_end_stream(&self) -> bool {
        self.body.is_end_stream()
    }

    fn size_hint(&self) -> SizeHint {
        self.body.size_hint()
    }
}

impl Drop for Sent {
    fn drop(&mut self) {
        if let Some(place) = &self.place {
            place.wait_for_body(false);
        }
    }
}

/// What a request takes of the limits of its listener, until its answer has gone.
#[derive(Debug, Default)]
pub(super) struct Held {
    pub(super) _request: Option<OwnedSemaphorePermit>,
    pub(super) _of_address: Option<Asking>,
}

/// An answer's body. When it has gone, the connection waits for another request.
#[derive(Debug)]
pub(super) struct Answered {
    pub(super) body: Body,
    pub(super) place: Option<Arc<ClientPlace>>,
    pub(super) _held: Held,
}

impl hyper::body::Body for Answered {
    type Data = Bytes;
    type Error = axum::Error;

    fn poll_frame(
        mut self: Pin<&mut Self>,
        cx: &mut Context<'_>,
    ) -> Poll<Option<Result<Frame<Bytes>, axum::Error>>> {
        Poll::Ready(ready!(Pin::new(&mut self.body).poll_frame(cx)))
    }

    fn is_end_stream(&self) -> bool {
        self.body.is_end_stream()
    }

    fn size_hint(&self) -> SizeHint {
        self.body.size_hint()
    }
}

impl Drop for Answered {
    fn drop(&mut self) {
        if let Some(place) = &self.place {
            place.end();
        }
    }
}
