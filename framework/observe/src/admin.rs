//! The admin address: metrics, what the process is, its traces, its durable work, its events. What can be changed there is
//! logged with who changed it: the levels of the log, parked work, and what listeners of events have to handle. On loopback a method can be called.
//!
//! It listens on loopback, where every program of the machine can ask. A page of another site can make a browser ask too, so a
//! request must name this machine as its host. Elsewhere than on loopback it takes a token.

mod call;
mod events;
mod openapi;
mod page;
mod subject;
mod watch;
mod who;
mod work;

pub use call::Methods;

use super::{
    listed::{ListAnswer, ListOf, TraceFilter},
    log::{LogAnswer, LogFilter, WantedLevels},
    metrics::{self, Format, Page},
    state::ProcessState,
    traces::Traces,
};
use crate::call::Stages;
use axum::{
    Json, Router,
    extract::{Path, Query, Request, State},
    http::{HeaderMap, StatusCode, header},
    middleware::{Next, from_fn_with_state},
    response::{IntoResponse, Response},
    routing::{MethodRouter, get, post},
};
use monolift_manifest::nearest;
use serde::Deserialize;
use serde_json::{Value, json};
use std::{fmt, net::IpAddr, sync::Arc};
use tokio::sync::Semaphore;
use who::Who;

/// Adds figures to a page of metrics.
pub type Figures = Box<dyn Fn(&mut Page) + Send + Sync>;

/// Tells how the process stands now.
pub type Description = Box<dyn Fn() -> ProcessState + Send + Sync>;

/// What the admin address shows.
pub struct AdminState {
    /// What is recorded.
    pub traces: Arc<Traces>,
    /// Figures beside those of calls and of the machine.
    pub figures: Figures,
    /// What does not change while the process runs: interfaces, databases, settings.
    pub facts: Value,
    /// What a request must bring as `authorization: Bearer …`. Without it, its host must be this machine.
    pub token: Option<String>,
    /// The methods that an operator may call; `None` where other machines reach the address.
    pub methods: Option<Methods>,
    /// Places for those who watch.
    pub(crate) watchers: Arc<Semaphore>,
}

const OWN_LOG: &str = "the program has a log of its own";
/// Those who may watch at once.
const WATCHERS: usize = 16;

impl AdminState {
    /// Shows these, to all on this machine or to those who bring the token.
    pub fn new(traces: Arc<Traces>, figures: Figures, facts: Value, token: Option<String>) -> Self {
        let watchers = Arc::new(Semaphore::new(WATCHERS));
        Self { traces, figures, facts, token, methods: None, watchers }
    }

    /// The same, where an operator may call methods.
    #[must_use]
    pub fn with_methods(self, methods: Methods) -> Self {
        Self { methods: Some(methods), ..self }
    }

    /// The process that a module is placed in, if the manifest has the module; else what is wrong.
    fn process_of(&self, module: &str) -> Result<&str, String> {
        let placed = self.facts["placed"].as_object();
        let process = placed.and_then(|placed| placed.get(module)?.as_str());
        process.ok_or_else(|| {
            let known = placed.into_iter().flat_map(|placed| placed.keys().map(String::as_str));
            let near = nearest(module, known);
            let near = near.map_or_else(String::new, |near| format!(": did you mean `{near}`?"));
            format!("there is no module `{module}`{near}")
        })
    }
}

impl fmt::Debug for AdminState {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("AdminState")
    }
}

/// The routes of the admin address.
pub fn router(state: AdminState) -> Router {
    let state = Arc::new(state);
    api()
        .into_iter()
        .fold(Router::new(), |router, (path, methods)| router.route(path, methods))
        .route("/metrics", get(show_metrics))
        .merge(page::page())
        .fallback(async || problem(StatusCode::NOT_FOUND, "there is nothing at this path"))
        .layer(from_fn_with_state(Arc::clone(&state), guarded))
        .with_state(state)
}

/// The read API, and what can be changed.
fn api() -> [(&'static str, MethodRouter<Arc<AdminState>>); 26] {
    [
        ("/api/process", get(show_process)),
        ("/api/processes", get(show_processes)),
        ("/api/calls", get(show_calls)),
        ("/api/requests", get(show_requests)),
        ("/api/traces", get(show_traces)),
        ("/api/traces/{id}", get(show_trace)),
        ("/api/log", get(show_log).put(set_log)),
        ("/api/logs", get(show_lines)),
        ("/api/watch", get(watch::watch)),
        ("/api/work", get(work::show_all)),
        ("/api/work/{module}", get(work::show_module)),
        ("/api/work/{module}/retry", post(work::retry)),
        ("/api/work/{module}/discard", post(work::discard)),
        ("/api/work/{module}/{id}", get(work::show_piece)),
        ("/api/events", get(events::show_all)),
        ("/api/events/{module}", get(events::show_module)),
        ("/api/events/{module}/retry", post(events::retry)),
        ("/api/events/{module}/discard", post(events::discard)),
        ("/api/events/{module}/replay", post(events::replay)),
        ("/api/events/{module}/remove", post(events::remove)),
        ("/api/events/{module}/rebuild", post(events::rebuild)),
        ("/api/export", post(subject::export)),
        ("/api/erase", post(subject::erase)),
        ("/api/methods", get(call::show_methods)),
        ("/api/call", post(call::call)),
        ("/api/openapi.json", get(async || Json(openapi::document()))),
    ]
}

/// Lets a request in that may ask.
async fn guarded(State(state): State<Arc<AdminState>>, request: Request, next: Next) -> Response {
    let headers = request.headers();
    let refused = match &state.token {
        Some(token) if !brings(headers, token) => Some((
            StatusCode::UNAUTHORIZED,
            "send the setting `admin_token` as `authorization: Bearer …`",
        )),
        None if !names_this_machine(headers) => Some((
            StatusCode::FORBIDDEN,
            "the host of the request must be localhost or a loopback address",
        )),
        _ => None,
    };
    match refused {
        Some((status, why)) => problem(status, why),
        None => next.run(request).await,
    }
}

fn brings(headers: &HeaderMap, token: &str) -> bool {
    let brought = headers.get(header::AUTHORIZATION).and_then(|value| value.to_str().ok());
    let brought = brought.and_then(|value| value.strip_prefix("Bearer "));
    brought.is_some_and(|brought| is_same(brought.as_bytes(), token.as_bytes()))
}

/// In a time that does not depend on where two texts differ.
fn is_same(one: &[u8], other: &[u8]) -> bool {
    let differences = one.iter().zip(other).fold(0, |so_far, (a, b)| so_far | (a ^ b));
    one.len() == other.len() && differences == 0
}

/// A page of another site reaches loopback under a name of its own.
fn names_this_machine(headers: &HeaderMap) -> bool {
    let Some(host) = headers.get(header::HOST).and_then(|host| host.to_str().ok()) else {
        return false;
    };
    let name = match host.strip_prefix('[') {
        Some(rest) => rest.split(']').next().unwrap_or_default(),
        None => host.rsplit_once(':').map_or(host, |(name, _)| name),
    };
    name.eq_ignore_ascii_case("localhost")
        || name.parse::<IpAddr>().is_ok_and(|address| address.is_loopback())
}

fn problem(status: StatusCode, detail: &str) -> Response {
    (status, Json(json!({ "status": status.as_u16(), "detail": detail }))).into_response()
}

/// The answer where another process does not let this one change what a module of it has.
fn denied_by(module: &str, process: &str) -> Response {
    let text = format!(
        "{module} runs in the process `{process}`, and only a process that observes the application changes something there: \
         ask one, or `{process}` itself"
    );
    problem(StatusCode::FORBIDDEN, &text)
}

async fn show_metrics(State(state): State<Arc<AdminState>>, headers: HeaderMap) -> Response {
    let accept = headers.get(header::ACCEPT).and_then(|accept| accept.to_str().ok());
    let format = Format::asked_by(accept.unwrap_or_default());
    let mut page = Page::new(format);
    metrics::calls(&mut page, state.traces.exemplars());
    state.traces.show(&mut page);
    (state.figures)(&mut page);
    metrics::machine(&mut page);
    ([(header::CONTENT_TYPE, format.content_type())], page.finish()).into_response()
}

async fn show_process(State(state): State<Arc<AdminState>>) -> Json<Value> {
    Json(state.facts.clone())
}

async fn show_processes(State(state): State<Arc<AdminState>>) -> Json<Value> {
    Json(json!({ "processes": state.traces.processes().await }))
}

async fn show_calls() -> Json<Value> {
    Json(json!({ "calls": metrics::call_figures(), "stages": Stages::so_far() }))
}

async fn show_log(State(state): State<Arc<AdminState>>) -> Response {
    match state.traces.log() {
        Some(log) => Json(json!({ "levels": log.current() })).into_response(),
        None => problem(StatusCode::NOT_FOUND, OWN_LOG),
    }
}

/// A body of JSON is asked about by a browser before another site's page may send it.
async fn set_log(
    State(state): State<Arc<AdminState>>,
    who: Who,
    Json(wanted): Json<Levels>,
) -> Response {
    match state.traces.set_levels(WantedLevels { levels: wanted.levels, who: who.0 }).await {
        Ok(answer) if answer.processes.is_empty() => problem(StatusCode::NOT_FOUND, OWN_LOG),
        Ok(answer) => Json(answer).into_response(),
        Err(wrong) => problem(StatusCode::BAD_REQUEST, &wrong.to_string()),
    }
}

/// Levels of modules, such as `stock=debug`.
#[derive(Debug, Deserialize)]
struct Levels {
    levels: String,
}

async fn show_lines(
    State(state): State<Arc<AdminState>>,
    Query(filter): Query<LogFilter>,
) -> Json<LogAnswer> {
    Json(state.traces.lines(filter).await)
}

async fn show_requests(
    State(state): State<Arc<AdminState>>,
    Query(filter): Query<TraceFilter>,
) -> Json<Value> {
    let ListAnswer { traces, missing, .. } = state.traces.list(ListOf::Latest, filter).await;
    Json(json!({ "requests": traces, "missing": missing }))
}

async fn show_traces(
    State(state): State<Arc<AdminState>>,
    Query(filter): Query<TraceFilter>,
) -> Json<Value> {
    let ListAnswer { traces, passed_over, missing } = state.traces.list(ListOf::Kept, filter).await;
    Json(json!({ "traces": traces, "passed_over": passed_over, "missing": missing }))
}

async fn show_trace(State(state): State<Arc<AdminState>>, Path(id): Path<String>) -> Response {
    let Ok(trace_id) = u128::from_str_radix(&id, 16) else {
        return problem(StatusCode::BAD_REQUEST, "a trace's id is 32 hexadecimal digits");
    };
    match state.traces.find(trace_id).await {
        Some(trace) => Json(trace).into_response(),
        None => problem(StatusCode::NOT_FOUND, "no process has anything of this trace any more"),
    }
}
