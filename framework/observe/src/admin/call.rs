//! An operator calls a method, on loopback only: as a client of the gateway would, also if the method has no route.

use super::{AdminState, problem, who::Who};
use crate::{
    audit,
    call::{
        CallError, CallSettings, Context, Trace, panic_text,
        record::{Ended, Entry, Recording},
    },
    carry::Bounds,
    http::{HttpCall, HttpEntry, Problem, check},
    interface::{Checks, HttpMethod, InterfaceDescriptor, Method, Part, Route},
    link::Links,
};
use axum::{
    Json,
    extract::State,
    http::StatusCode,
    response::{IntoResponse, Response},
};
use futures_util::FutureExt;
use monolift_manifest::nearest;
use serde::Deserialize;
use serde_json::{Map, Value, json};
use std::{collections::BTreeSet, fmt, panic::AssertUnwindSafe, sync::Arc, time::Instant as Clock};
use tokio::time::Instant;

/// The arguments are the members of the body.
const ROUTE: Route = Route {
    method: HttpMethod::Post,
    path: "/api/call",
    body: None,
    created: None,
    idempotency_key: false,
};

/// The methods that an operator may call.
pub struct Methods {
    links: Arc<Links>,
    frame: Bounds,
    /// The modules of the application. Others may be linked.
    modules: BTreeSet<String>,
}

/// What is to be called.
#[derive(Debug, Deserialize)]
#[serde(deny_unknown_fields)]
pub(super) struct Wanted {
    /// Such as `orders.get`.
    method: String,
    #[serde(default)]
    arguments: Map<String, Value>,
    /// The key under which the call may be repeated.
    idempotency_key: Option<String>,
}

impl fmt::Debug for Methods {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "Methods of {:?}", self.modules)
    }
}

impl Methods {
    /// Those of the interfaces of these modules, called through `links`.
    pub fn new(links: Arc<Links>, frame: Bounds, modules: BTreeSet<String>) -> Self {
        Self { links, frame, modules }
    }

    fn entries(&self) -> Vec<HttpEntry> {
        let ours = |entry: &HttpEntry| self.modules.contains(entry.descriptor().module);
        let mut entries: Vec<HttpEntry> = HttpEntry::linked().filter(ours).collect();
        entries.sort_by_key(|entry| (entry.descriptor().module, entry.descriptor().name));
        entries
    }

    /// The entry and the number of `module.method`, or what is wrong with that name.
    fn find(&self, name: &str) -> Result<(HttpEntry, usize), String> {
        let entries = self.entries();
        let all = entries.iter().flat_map(|entry| {
            let methods = entry.descriptor().methods.iter().enumerate();
            methods.map(move |(number, method)| (*entry, number, method.callee.to_string()))
        });
        let all: Vec<(HttpEntry, usize, String)> = all.collect();
        match all.iter().find(|(.., known)| known == name) {
            Some((entry, number, _)) => Ok((*entry, *number)),
            None => {
                let near = nearest(name, all.iter().map(|(.., known)| known.as_str()));
                let near = near.map_or_else(
                    || "name it as `module.method`".to_owned(),
                    |near| format!("did you mean `{near}`?"),
                );
                Err(format!("there is no method `{name}`: {near}"))
            }
        }
    }
}

/// Each method, with an example of its arguments and their schemas.
pub(super) async fn show_methods(State(state): State<Arc<AdminState>>) -> Response {
    let Some(methods) = &state.methods else { return off() };
    let each = methods.entries().into_iter().flat_map(|entry| {
        let interface: &'static InterfaceDescriptor = entry.descriptor();
        interface.methods.iter().map(move |method| described(interface, method))
    });
    Json(json!({ "methods": each.collect::<Vec<Value>>() })).into_response()
}

fn described(interface: &InterfaceDescriptor, method: &Method) -> Value {
    let schema = method.schema();
    json!({
        "method": method.callee.to_string(),
        "module": interface.module,
        "interface": interface.name,
        "docs": method.docs,
        "idempotent": method.idempotent,
        "example": method.example_arguments(),
        "arguments": schema["arguments"],
        "definitions": schema["definitions"],
    })
}

fn off() -> Response {
    problem(
        StatusCode::FORBIDDEN,
        "methods are called only where the admin address is on loopback, and this one is not",
    )
}

pub(super) async fn call(
    State(state): State<Arc<AdminState>>,
    who: Who,
    Json(wanted): Json<Wanted>,
) -> Response {
    let Some(methods) = &state.methods else { return off() };
    let (entry, number) = match methods.find(&wanted.method) {
        Ok(found) => found,
        Err(unknown) => return problem(StatusCode::NOT_FOUND, &unknown),
    };
    let method = &entry.descriptor().methods[number];
    let settings = methods.links.settings();
    let trace = Trace::start();
    let context = context(settings, method, trace, wanted.idempotency_key);
    let (context, recording) = match &settings.recorder {
        Some(recorder) => {
            let route = format!("call {}", wanted.method).into();
            Recording::begin(recorder, context, || Entry::Request { route })
        }
        None => (context, None),
    };
    let began = Clock::now();
    let body = Value::Object(wanted.arguments).to_string();
    let call = HttpCall {
        callee: &method.callee,
        route: ROUTE,
        path: Vec::new(),
        query: Vec::new(),
        body: body.into(),
        json: true,
        frame: methods.frame,
    };
    let checks = Checks::of(method).ok().filter(|checks| checks.bound(Part::Arguments));
    let answer = match check(checks.as_ref(), &call) {
        Ok(()) => {
            let calls = entry.calls(&methods.links);
            // A panic of the method is caught where it runs; this is for the code of its arguments and its answer.
            let calling = AssertUnwindSafe(async move { calls(number, call).await }).catch_unwind();
            context.scope(calling).await.unwrap_or_else(|panic| {
                let text = panic_text(&*panic);
                Problem::of_call(&CallError::panicked(wanted.method.clone(), text)).into()
            })
        }
        Err(problem) => problem.into(),
    };
    if let Some(recording) = recording {
        recording.end(Ended::Status(answer.status));
    }
    audit::call(&wanted.method, answer.status, &trace.to_string(), &who.0);
    let answered: Value = serde_json::from_slice(&answer.body).unwrap_or_default();
    Json(json!({
        "status": answer.status,
        "trace_id": format!("{:032x}", trace.trace_id),
        "ms": began.elapsed().as_secs_f64() * 1e3,
        "answer": answered,
    }))
    .into_response()
}

fn context(settings: &CallSettings, method: &Method, trace: Trace, key: Option<String>) -> Context {
    let start = settings.starting(Instant::now(), method.callee.deadline);
    let context = Context::until(start.deadline).with_trace(trace);
    match key {
        Some(key) => context.with_idempotency_key(key),
        None => context,
    }
}
