//! Where a request becomes part of a call: its deadline starts, its trace goes on.
//!
//! The routes and the layer for an existing program do this alike. With a context around already,
//! as when the one stands inside the other, that one counts and nothing starts anew.

use crate::call::{
    self, CallSettings, Context, Origin, Principal, Sampling, Trace, Traced, planted,
    record::{Entry, Recording, RecordingEnd},
};
use axum::{
    extract::ConnectInfo,
    http::{Extensions, HeaderMap, HeaderName, HeaderValue},
};
use std::{fmt::Display, future::Future, net::SocketAddr, sync::Arc, time::Duration};
use tokio::time::{Instant, sleep_until};

/// The response header that says which trace a request was part of, in hex.
pub const REQUEST_ID: HeaderName = HeaderName::from_static("x-request-id");

const TRACEPARENT: HeaderName = HeaderName::from_static(call::TRACEPARENT);
const TRACESTATE: HeaderName = HeaderName::from_static(call::TRACESTATE);
const IDEMPOTENCY_KEY: HeaderName = HeaderName::from_static("idempotency-key");
/// The longest idempotency key, in bytes.
pub(super) const LONGEST_KEY: usize = 255;

/// The context that a request is answered in.
#[derive(Debug)]
pub(super) struct Edge {
    pub(super) context: Context,
    /// When to say that the request takes too long, if that is only observed.
    complain: Option<Instant>,
}

impl Edge {
    /// Starts the clock for a request. `own` is the deadline of the method it is for.
    pub(super) fn start(
        settings: &CallSettings,
        own: Option<Duration>,
        headers: &HeaderMap,
        extensions: &Extensions,
    ) -> Self {
        let mut edge = match Context::current() {
            Some(context) => Self { context, complain: None },
            None => {
                let start = settings.starting(Instant::now(), own);
                let client = extensions.get::<ConnectInfo<SocketAddr>>();
                let origin = client.map_or(Origin::OWN, |info| Origin::of_client(info.0.ip()));
                let Traced { trace, state, begins } = traced(headers, settings.sampling);
                let context = Context::until(start.deadline).of(origin).with_trace_state(state);
                let context = match begins {
                    true => context.beginning(trace),
                    false => context.with_trace(trace),
                };
                Self { context, complain: start.complain }
            }
        };
        if let Some(principal) = extensions.get::<Principal>() {
            edge.context = edge.context.with_principal(principal.clone());
        }
        edge
    }

    /// The same, under the key that its client repeats it by.
    pub(super) fn with_key(mut self, key: Option<&str>) -> Self {
        if let Some(key) = key
            && !planted!("keys-are-lost")
        {
            self.context = self.context.with_idempotency_key(key);
        }
        self
    }

    /// The same, so that code below can set its principal.
    pub(super) fn with_room_for_a_principal(mut self) -> Self {
        self.context = self.context.with_room_for_a_principal();
        self
    }

    /// The same, with what is done for the request recorded, if anything records. The result beside it ends the recording.
    pub(super) fn recorded(
        mut self,
        settings: &CallSettings,
        route: impl FnOnce() -> Arc<str>,
    ) -> (Self, Option<RecordingEnd>) {
        let Some(recorder) = &settings.recorder else { return (self, None) };
        let entry = || Entry::Request { route: route() };
        let (context, end) = Recording::begin(recorder, self.context, entry);
        self.context = context;
        (self, end)
    }

    /// Does `work` in the context. `what` is for the log.
    pub(super) async fn run<F: Future>(self, what: impl Display, work: F) -> F::Output {
        let Self { context, complain } = self;
        let work = context.clone().scope(work);
        let Some(complain) = complain else { return work.await };
        let mut work = std::pin::pin!(work);
        tokio::select! {
            biased;
            done = &mut work => return done,
            () = sleep_until(complain) => {}
        }
        let trace = context.trace();
        tracing::warn!(
            %trace,
            "{what} has run past the default deadline, which is only observed"
        );
        work.await
    }
}

/// The trace that a request says it belongs to, else a new one.
fn traced(headers: &HeaderMap, sampling: Sampling) -> Traced {
    let all = |name| headers.get_all(name).into_iter().map(|value| value.to_str().ok());
    Traced::read(all(TRACEPARENT), all(TRACESTATE), sampling)
}

/// The same, for an answer to a request that makes no call.
pub(super) fn trace(headers: &HeaderMap) -> Trace {
    traced(headers, Sampling::default()).trace
}

/// Makes the headers of a request that is passed on say which trace it belongs to: what cannot be read is replaced, and
/// what is there several times is there once.
pub(super) fn state_trace(headers: &mut HeaderMap) -> Trace {
    let Traced { trace, state, .. } = traced(headers, Sampling::default());
    headers.remove(TRACESTATE);
    let state = state.and_then(|state| HeaderValue::from_str(state.as_str()).ok());
    headers.extend(state.map(|state| (TRACESTATE, state)));
    if let Ok(parent) = HeaderValue::from_str(&trace.to_string()) {
        headers.insert(TRACEPARENT, parent);
    }
    trace
}

/// The key under which a request may be repeated; an error when it is none that can be kept.
pub(super) fn idempotency_key(headers: &HeaderMap) -> Result<Option<&str>, UnfitKey> {
    let Some(header) = headers.get(IDEMPOTENCY_KEY) else { return Ok(None) };
    match header.to_str() {
        Ok(key) if !key.is_empty() && key.len() <= LONGEST_KEY => Ok(Some(key)),
        _ => Err(UnfitKey),
    }
}

/// An idempotency key that is empty, too long, or not ASCII.
#[derive(Debug)]
pub(super) struct UnfitKey;

#[cfg(test)]
mod tests {
    use super::*;
    use std::sync::{Arc, Mutex};
    use tokio::time::sleep;

    /// What is logged while `work` runs.
    async fn logged(work: impl Future) -> String {
        struct Page(Arc<Mutex<Vec<u8>>>);
        impl std::io::Write for Page {
            fn write(&mut self, bytes: &[u8]) -> std::io::Result<usize> {
                self.0.lock().unwrap().extend_from_slice(bytes);
                Ok(bytes.len())
            }

            fn flush(&mut self) -> std::io::Result<()> {
                Ok(())
            }
        }
        let text = Arc::new(Mutex::new(Vec::new()));
        let page = Arc::clone(&text);
        let log = tracing_subscriber::fmt().with_writer(move || Page(Arc::clone(&page))).finish();
        let _logging = tracing::subscriber::set_default(log);
        work.await;
        String::from_utf8(std::mem::take(&mut *text.lock().unwrap())).unwrap()
    }

    #[tokio::test(start_paused = true)]
    async fn a_deadline_that_is_only_observed_is_complained_of_once() {
        for (observe, seconds, complaints) in [(true, 3600, 1), (true, 4, 0), (false, 3600, 0)] {
            let settings = CallSettings { observe, ..CallSettings::default() };
            let (headers, extensions) = Default::default();
            let edge = Edge::start(&settings, None, &headers, &extensions);
            let work = edge.run("GET /slow", sleep(Duration::from_secs(seconds)));
            let log = logged(work).await;
            assert_eq!(log.matches("GET /slow has run past").count(), complaints, "{log}");
        }
    }

    fn headers(stated: &[(HeaderName, &'static str)]) -> HeaderMap {
        let each = stated.iter();
        each.map(|(name, value)| (name.clone(), HeaderValue::from_static(value))).collect()
    }

    const PARENT: &str = "00-4bf92f3577b34da6a3ce929d0e0e4736-00f067aa0ba902b7-01";

    /// `HeaderMap::from_iter` keeps headers of one name apart, as they come over a connection.
    #[test]
    fn a_trace_goes_on_with_all_that_is_said_of_it() {
        let stated = headers(&[(TRACESTATE, "a=1"), (TRACEPARENT, PARENT), (TRACESTATE, "b=2")]);
        let read = traced(&stated, Sampling::default());
        assert_eq!(
            (read.trace.to_string(), read.state.unwrap().as_str()),
            (PARENT.into(), "a=1,b=2")
        );
        let edge = Edge::start(&CallSettings::default(), None, &stated, &Extensions::new());
        assert_eq!(edge.context.trace_state().unwrap().as_str(), "a=1,b=2");
        let twice = headers(&[(TRACEPARENT, PARENT), (TRACEPARENT, PARENT), (TRACESTATE, "a=1")]);
        let read = traced(&twice, Sampling::default());
        assert!(read.trace.to_string() != PARENT && read.state.is_none());
    }

    #[test]
    fn what_is_passed_on_states_one_trace() {
        let stated = |headers: &HeaderMap, name| {
            let all = headers.get_all(name).into_iter().map(|value| value.to_str().unwrap());
            all.map(str::to_owned).collect::<Vec<_>>()
        };
        let mut good = headers(&[(TRACESTATE, "a=1"), (TRACEPARENT, PARENT), (TRACESTATE, "b=2")]);
        state_trace(&mut good);
        assert_eq!(stated(&good, TRACEPARENT), [PARENT]);
        assert_eq!(stated(&good, TRACESTATE), ["a=1,b=2"]);
        for bad in [
            headers(&[(TRACEPARENT, "00-1-2-3"), (TRACESTATE, "a=1")]),
            headers(&[(TRACEPARENT, PARENT), (TRACEPARENT, PARENT), (TRACESTATE, "a=1")]),
            headers(&[(TRACESTATE, "a=1")]),
        ] {
            let mut passed = bad;
            let trace = state_trace(&mut passed);
            assert_eq!(stated(&passed, TRACEPARENT), [trace.to_string()]);
            assert_eq!(stated(&passed, TRACESTATE), [""; 0]);
        }
    }

    #[test]
    fn new_traces_are_sampled_as_the_settings_say() {
        let settings = CallSettings { sampling: Sampling::of(1.0), ..CallSettings::default() };
        let sampled = |stated: &[(HeaderName, &'static str)]| {
            let edge = Edge::start(&settings, None, &headers(stated), &Extensions::new());
            edge.context.trace().sampled
        };
        assert!(sampled(&[]));
        let not = "00-4bf92f3577b34da6a3ce929d0e0e4736-00f067aa0ba902b7-00";
        assert!(!sampled(&[(TRACEPARENT, not)]));
    }
}
