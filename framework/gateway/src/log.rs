//! The gateway's lines in the log: one for each request that fails, and one for each request if that is switched on.
//!
//! A line has the template of a route and never a path, since a path may hold what no log should. It has the id that
//! the response has in `x-request-id`. The lines of a call that other processes log have it as part of their `trace`.

use super::REQUEST_ID;
use crate::{call::Trace, plain::Failure};
use axum::{
    Router,
    extract::{ConnectInfo, MatchedPath, Request},
    http::{Extensions, Method},
    middleware::{Next, from_fn},
    response::Response,
};
use std::{
    fmt::{self, Display},
    net::SocketAddr,
};
use tokio::time::Instant;

/// The verb and the path of a route, with the names of its arguments: `GET /products/{sku}/stock`.
#[derive(Debug, Clone)]
pub(crate) struct RouteTemplate {
    verb: Method,
    path: Option<MatchedPath>,
}

impl RouteTemplate {
    /// The route that a router found for a request.
    pub(crate) fn of(verb: &Method, extensions: &Extensions) -> Self {
        Self { verb: verb.clone(), path: extensions.get().cloned() }
    }
}

impl Display for RouteTemplate {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let path = self.path.as_ref().map_or("(no route)", MatchedPath::as_str);
        write!(f, "{} {path}", self.verb)
    }
}

/// Logs that a request for `route` failed, which began at `began`.
pub(crate) fn failed(
    route: impl Display,
    request_id: Option<impl Display>,
    began: Instant,
    status: u16,
    failure: &Failure,
) {
    let Failure { call, code, reference, text } = failure;
    // A field is escaped, and the text may hold what a client sent.
    tracing::warn!(
        %route,
        status,
        call,
        code,
        reference = reference.map(tracing::field::display),
        took = ?began.elapsed(),
        request_id = request_id.map(tracing::field::display),
        why = text,
        "a request failed"
    );
}

/// Logs each failed request for the routes of `router` that are no calls: a response may carry its [`Failure`].
pub(crate) fn failures_logged(router: Router) -> Router {
    router.layer(from_fn(async |request: Request, next: Next| {
        let route = RouteTemplate::of(request.method(), request.extensions());
        let began = Instant::now();
        let mut response = next.run(request).await;
        let status = response.status();
        let told = response.extensions_mut().remove::<Box<Failure>>();
        if told.is_some() || status.is_server_error() {
            let failure = told.unwrap_or_else(|| {
                let (call, text) = (String::new(), "the module's own route answered so".to_owned());
                Box::new(Failure { call, code: "answered", reference: None, text })
            });
            failed(&route, request_id(&response), began, status.as_u16(), &failure);
        }
        response
    }))
}

/// Logs each request to `router`: the access log.
pub fn access_logged(router: Router) -> Router {
    router.layer(from_fn(async |request: Request, next: Next| {
        let route = RouteTemplate::of(request.method(), request.extensions());
        let client = request.extensions().get::<ConnectInfo<SocketAddr>>().map(|info| info.0.ip());
        let began = Instant::now();
        let response = next.run(request).await;
        let (status, took) = (response.status().as_u16(), began.elapsed());
        let request_id = request_id(&response).map(tracing::field::display);
        let client = client.map(tracing::field::display);
        tracing::info!(
            target: "monolift::access", client, %route, status, ?took, request_id, "a request"
        );
        response
    }))
}

fn request_id(response: &Response) -> Option<&str> {
    response.headers().get(REQUEST_ID)?.to_str().ok()
}

/// The id of a request, as its response says it.
pub(crate) struct RequestId(pub(crate) Trace);

impl Display for RequestId {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{:032x}", self.0.trace_id)
    }
}
