//! A context for the routes that a program had before it had modules.

use super::{
    Problem,
    edge::{Edge, idempotency_key},
    log::{self, RequestId, RouteTemplate},
    routes::identified,
};
use crate::{
    call::{CallError, CallErrorKind, CallSettings, Trace, clock, record::Ended},
    plain::Failure,
};
use axum::{
    http::{Method, Request, StatusCode, Uri},
    response::Response,
};
use futures_util::future::BoxFuture;
use std::{
    fmt,
    sync::Arc,
    task::{Context, Poll},
};
use tokio::time::timeout_at;
use tower::{Layer, Service};

type OnDeadline = Arc<dyn Fn(Trace) -> Response + Send + Sync>;

/// Gives each request of an existing program a [`Context`](monolift_call::Context), so that the calls it
/// makes share one deadline and one trace.
///
/// - The deadline is that of [`CallSettings`]. A request that has no response by then is dropped,
///   which stops its work where it awaits, and answered with a 504; or, where deadlines are only
///   observed, logged and let go on for up to a day. The body of a response may stream for longer.
/// - The trace is that of the header `traceparent`, or a new one.
/// - The idempotency key is that of the header `idempotency-key`, when it has 1 to 255 characters.
/// - The principal is a request extension of type [`Principal`](monolift_call::Principal), which a layer
///   around this one may have set. Code below this layer, such as an extractor, sets it by
///   [`Context::set_principal`](monolift_call::Context::set_principal).
///
/// Put it around the program's own routes, and merge the gateway's routes in afterwards: around
/// those, it would cut a method short whose own deadline is longer.
#[derive(Clone)]
pub struct CallLayer {
    settings: Arc<CallSettings>,
    on_deadline: OnDeadline,
}

impl CallLayer {
    /// A layer that gives requests what `settings` say.
    pub fn new(settings: Arc<CallSettings>) -> Self {
        Self {
            settings,
            on_deadline: Arc::new(|trace| identified(Problem::of_call(&overdue()), trace)),
        }
    }

    /// The same, with `response` as the answer to a request whose deadline has passed.
    #[must_use]
    pub fn on_deadline(mut self, response: impl Fn() -> Response + Send + Sync + 'static) -> Self {
        self.on_deadline = Arc::new(move |_| response());
        self
    }
}

impl fmt::Debug for CallLayer {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("CallLayer").field("settings", &self.settings).finish_non_exhaustive()
    }
}

impl<S> Layer<S> for CallLayer {
    type Service = CallService<S>;

    fn layer(&self, inner: S) -> CallService<S> {
        CallService { inner, layer: self.clone() }
    }
}

/// A service with a [`CallLayer`] around it.
#[derive(Debug, Clone)]
pub struct CallService<S> {
    inner: S,
    layer: CallLayer,
}

impl<S, B> Service<Request<B>> for CallService<S>
where
    S: Service<Request<B>, Response = Response>,
    S::Future: Send + 'static,
{
    type Response = Response;
    type Error = S::Error;
    type Future = BoxFuture<'static, Result<Response, S::Error>>;

    fn poll_ready(&mut self, cx: &mut Context<'_>) -> Poll<Result<(), S::Error>> {
        self.inner.poll_ready(cx)
    }

    fn call(&mut self, request: Request<B>) -> Self::Future {
        let CallLayer { settings, on_deadline } = &self.layer;
        let edge = Edge::start(settings, None, request.headers(), request.extensions())
            // The program may know keys of another kind; they are its own matter.
            .with_key(idempotency_key(request.headers()).ok().flatten())
            .with_room_for_a_principal();
        let route = RouteTemplate::of(request.method(), request.extensions());
        let (edge, recording) = edge.recorded(settings, || route.to_string().into());
        let what = What { method: request.method().clone(), uri: request.uri().clone() };
        let (deadline, trace, began) =
            (edge.context.deadline(), edge.context.trace(), clock::now());
        let work = edge.context.clone().enter(|| self.inner.call(request));
        let work = edge.run(what, work);
        let on_deadline = Arc::clone(on_deadline);
        Box::pin(async move {
            let answered = timeout_at(deadline, work).await.unwrap_or_else(|_| {
                let status = StatusCode::GATEWAY_TIMEOUT.as_u16();
                let failure = Failure::of(&overdue());
                log::failed(&route, Some(RequestId(trace)), began, status, &failure);
                Ok(on_deadline(trace))
            });
            if let (Some(recording), Ok(response)) = (recording, &answered) {
                recording.end(Ended::Status(response.status().as_u16()));
            }
            answered
        })
    }
}

/// A request, for the log; its query may hold what no log should.
struct What {
    method: Method,
    uri: Uri,
}

impl fmt::Display for What {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{} {}", self.method, self.uri.path())
    }
}

fn overdue() -> CallError {
    CallError::new(CallErrorKind::DeadlineExceeded, "the deadline passed")
}

#[cfg(test)]
mod tests;
