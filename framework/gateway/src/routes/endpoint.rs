//! One routed method: a request in, a call, a response out.

use super::identified;
use crate::{
    HttpAnswer, HttpCall, Problem,
    answer::charged,
    body,
    call::{CallError, CallSettings, access, clock, panic_text, record::Ended},
    challenge,
    edge::{Edge, LONGEST_KEY, idempotency_key},
    front::Front,
    interface::{Checks, HttpMethod, Method, Route},
    log::{self, RequestId},
    plain::{Calls, check},
    query,
    rates::{Quota, kind_of},
    wire::{Bounds, Memory},
};
use axum::{
    body::Body,
    extract::{FromRequestParts, OriginalUri, RawPathParams, Request},
    http::{StatusCode, header, request::Parts},
    response::Response,
};
use bytes::Bytes;
use futures_util::FutureExt;
use std::{panic::AssertUnwindSafe, sync::Arc};

pub(super) struct Endpoint {
    pub(super) method: &'static Method,
    pub(super) route: Route,
    /// The same as text.
    pub(super) route_name: Arc<str>,
    /// The arguments in the path, in order. The router may know them by another method's names.
    pub(super) path_names: Vec<&'static str>,
    pub(super) number: usize,
    pub(super) calls: Calls,
    pub(super) settings: Arc<CallSettings>,
    /// The bounds on its arguments, where it states any.
    pub(super) checks: Option<Checks>,
    pub(super) frame: Bounds,
    /// What bodies are charged to.
    pub(super) memory: Arc<Memory>,
    /// The rates that hold for it.
    pub(super) quota: Quota,
    pub(super) front: Arc<Front>,
}

impl Endpoint {
    pub(super) async fn answer(self: Arc<Self>, request: Request) -> Response {
        let (parts, body) = request.into_parts();
        let own = self.method.callee.deadline;
        let edge = Edge::start(&self.settings, own, &parts.headers, &parts.extensions);
        let (edge, recording) = edge.recorded(&self.settings, || Arc::clone(&self.route_name));
        let (trace, began) = (edge.context.trace(), clock::now());
        let prefix = self.route.created.and_then(|_| prefix(&parts));
        let principal = edge.context.principal();
        let by = kind_of(principal);
        let counted = self.front.rates.count(&self.quota, principal, &parts.extensions);
        let over = counted.as_ref().and_then(|counted| counted.refusal());
        let answer = match over {
            None => self.answer_within(edge, parts, body).await,
            Some(problem) => Err(problem),
        };
        if let Err(problem) = &answer
            && let Some(limit) = limit_of(problem)
        {
            self.front.refused.count(limit, self.method.callee.to_string(), by);
        }
        let mut answer = charged(answer.unwrap_or_else(HttpAnswer::from), &self.memory);
        if let Some(failure) = &mut answer.failure {
            if failure.call.is_empty() {
                failure.call = self.method.callee.to_string();
            }
            log::failed(self.route, Some(RequestId(trace)), began, answer.status, failure);
        }
        if let Some(recording) = recording {
            recording.end(Ended::Status(answer.status));
        }
        if let (Some(prefix), Some(place)) = (prefix, &mut answer.location) {
            place.insert_str(0, &prefix);
        }
        let challenge = challenge::of(answer.status, self.method.callee.rule);
        let mut response = identified(answer, trace);
        if let Some(challenge) = challenge {
            response.headers_mut().insert(header::WWW_AUTHENTICATE, challenge);
        }
        if let Some(counted) = counted {
            counted.state(&mut response);
        }
        response
    }

    async fn answer_within(
        &self,
        edge: Edge,
        mut parts: Parts,
        body: Body,
    ) -> Result<HttpAnswer, Problem> {
        access::admit_arrival(&self.method.callee, &self.settings, Some(&edge.context))
            .map_err(|refused| Problem::of_call(&refused))?;
        let key = idempotency_key(&parts.headers).map_err(|_| {
            Problem::new(
                StatusCode::BAD_REQUEST,
                "bad-idempotency-key",
                format!("an idempotency key is 1 to {LONGEST_KEY} characters of ASCII"),
            )
        })?;
        let edge = edge.with_key(key);
        let body = match self.route.method {
            HttpMethod::Get | HttpMethod::Delete => Bytes::new(),
            HttpMethod::Post | HttpMethod::Put | HttpMethod::Patch => {
                let by = edge.context.deadline();
                let by = (by, self.front.body_time);
                body::read(&parts.headers, body, self.frame.bytes, by, &self.memory).await?
            }
        };
        let callee = &self.method.callee;
        let call = HttpCall {
            callee,
            route: self.route,
            json: body::is_json(&parts.headers),
            query: self.query(&parts)?,
            path: self.path(&mut parts).await?,
            body,
            frame: self.frame,
        };
        check(self.checks.as_ref(), &call)?;
        // A panic of the method is caught where it runs; this is for the arguments' and the
        // answer's own code, which runs here.
        let calling = async { (self.calls)(self.number, call).await };
        let answered = edge.run(callee, AssertUnwindSafe(calling).catch_unwind()).await;
        answered.map_err(|panic| {
            Problem::of_call(&CallError::panicked(callee.to_string(), panic_text(&*panic)))
        })
    }

    fn query(&self, parts: &Parts) -> Result<Vec<(String, String)>, Problem> {
        let is_argument =
            |key: &str| self.method.arguments.iter().any(|argument| argument.name == key);
        parts.uri.query().map_or(Ok(Vec::new()), |query| query::pairs(query, is_argument))
    }

    async fn path(&self, parts: &mut Parts) -> Result<Vec<(&'static str, String)>, Problem> {
        if self.path_names.is_empty() {
            return Ok(Vec::new());
        }
        let given = RawPathParams::from_request_parts(parts, &()).await.map_err(|_| {
            Problem::new(StatusCode::BAD_REQUEST, "bad-arguments", "the path is not UTF-8")
        })?;
        let given: Vec<&str> = given.iter().map(|(_, value)| value).collect();
        // A router around this one may have taken some from the front of the path.
        let given = given.iter().rev().zip(self.path_names.iter().rev());
        Ok(given.map(|(value, name)| (*name, (*value).to_owned())).collect())
    }
}

/// The setting of the limit that a request was beyond.
fn limit_of(problem: &Problem) -> Option<&'static str> {
    match problem.code() {
        "too-many-requests" => Some("rate"),
        "too-large" => Some("frame"),
        "slow-body" => Some("body_time"),
        _ => None,
    }
}

/// What stands before the path in a host that has nested the routes: `/api`.
fn prefix(parts: &Parts) -> Option<String> {
    let whole = parts.extensions.get::<OriginalUri>()?.path();
    whole.strip_suffix(parts.uri.path()).map(str::to_owned)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn routes_below_a_prefix_know_it() {
        let (mut parts, ()) = axum::http::Request::post("/orders").body(()).unwrap().into_parts();
        assert_eq!(prefix(&parts), None);
        for (whole, expected) in [("/orders", ""), ("/api/v1/orders?a=b", "/api/v1")] {
            parts.extensions.insert(OriginalUri(whole.parse().unwrap()));
            assert_eq!(prefix(&parts).as_deref(), Some(expected));
        }
    }
}
