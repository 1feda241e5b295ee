//! Events at the admin address: how far their listeners are, and what is done for one of them.

use super::{AdminState, denied_by, problem, who::Who};
use crate::events::{EventsAnswer, EventsChange, EventsOfModule, EventsQuestion};
use axum::{
    Json,
    extract::{Path, Query, State},
    http::StatusCode,
    response::{IntoResponse, Response},
};
use serde::Deserialize;
use serde_json::json;
use std::sync::Arc;

/// Parked events that are shown of a module, and the most that can be asked for.
const SHOWN: u32 = 100;
const MOST: u32 = 1_000;

/// The query of a module's events.
#[derive(Debug, Default, Deserialize)]
#[serde(default, deny_unknown_fields)]
pub(super) struct ParkedQuery {
    listener: Option<String>,
    event: Option<String>,
    limit: Option<u32>,
}

/// What is to be changed: an event, or explicitly all.
#[derive(Debug, Deserialize)]
#[serde(deny_unknown_fields)]
pub(super) struct Chosen {
    listener: String,
    id: Option<String>,
    #[serde(default)]
    all: bool,
}

/// A listener, and the events of this name, or all.
#[derive(Debug, Deserialize)]
#[serde(deny_unknown_fields)]
pub(super) struct Listened {
    listener: String,
    event: Option<String>,
}

/// How a read model is to be built anew.
#[derive(Debug, Deserialize)]
#[serde(deny_unknown_fields)]
pub(super) struct Rebuilt {
    #[serde(default)]
    partial: bool,
}

pub(super) async fn show_all(State(state): State<Arc<AdminState>>) -> Json<EventsAnswer> {
    Json(state.traces.events(EventsQuestion::default()).await)
}

pub(super) async fn show_module(
    State(state): State<Arc<AdminState>>,
    Path(module): Path<String>,
    Query(query): Query<ParkedQuery>,
) -> Response {
    let ParkedQuery { listener, event, limit } = query;
    let limit = limit.unwrap_or(SHOWN).min(MOST);
    let question = EventsQuestion { listener, event, limit, ..EventsQuestion::default() };
    match of_module(&state, &module, question).await {
        Ok(events) => Json(events).into_response(),
        Err(refused) => *refused,
    }
}

pub(super) async fn retry(
    State(state): State<Arc<AdminState>>,
    Path(module): Path<String>,
    who: Who,
    Json(chosen): Json<Chosen>,
) -> Response {
    let Chosen { listener, id, all } = chosen;
    match (&id, all) {
        (Some(_), true) | (None, false) => {
            problem(StatusCode::BAD_REQUEST, "name the `id` of an event, or say `\"all\": true`")
        }
        _ => change(&state, &module, who, EventsChange::Retry, listener, id, None).await,
    }
}

pub(super) async fn discard(
    State(state): State<Arc<AdminState>>,
    Path(module): Path<String>,
    who: Who,
    Json(chosen): Json<Chosen>,
) -> Response {
    let Chosen { listener, id, all } = chosen;
    if id.is_none() || all {
        let text = "events are given up one at a time: name the `id` of one, without `all`";
        return problem(StatusCode::BAD_REQUEST, text);
    }
    change(&state, &module, who, EventsChange::Discard, listener, id, None).await
}

pub(super) async fn replay(
    State(state): State<Arc<AdminState>>,
    Path(module): Path<String>,
    who: Who,
    Json(Listened { listener, event }): Json<Listened>,
) -> Response {
    change(&state, &module, who, EventsChange::Replay, listener, None, event).await
}

pub(super) async fn remove(
    State(state): State<Arc<AdminState>>,
    Path(module): Path<String>,
    who: Who,
    Json(Listened { listener, event }): Json<Listened>,
) -> Response {
    change(&state, &module, who, EventsChange::Remove, listener, None, event).await
}

pub(super) async fn rebuild(
    State(state): State<Arc<AdminState>>,
    Path(module): Path<String>,
    who: Who,
    Json(Rebuilt { partial }): Json<Rebuilt>,
) -> Response {
    let change = Some(EventsChange::Rebuild);
    let question = EventsQuestion { change, partial, who: who.0, ..EventsQuestion::default() };
    match of_module(&state, &module, question).await {
        Ok(EventsOfModule { changed, .. }) => Json(json!({ "build": changed })).into_response(),
        Err(refused) => *refused,
    }
}

async fn change(
    state: &AdminState,
    module: &str,
    who: Who,
    change: EventsChange,
    listener: String,
    id: Option<String>,
    event: Option<String>,
) -> Response {
    let named = event.clone();
    let question = EventsQuestion {
        change: Some(change),
        listener: Some(listener.clone()),
        id: id.clone(),
        event,
        who: who.0,
        ..EventsQuestion::default()
    };
    match of_module(state, module, question).await {
        Ok(EventsOfModule { changed: 0, .. }) => {
            let text = match (change, id) {
                (_, Some(id)) => {
                    format!("no event `{id}` of {module} is parked for {listener}, or not any more")
                }
                (EventsChange::Remove, None) => {
                    let name = named.map(|name| format!("`{name}` of ")).unwrap_or_default();
                    format!("{listener} does not listen to {name}{module}")
                }
                (_, None) => return Json(json!({ "changed": 0 })).into_response(),
            };
            problem(StatusCode::NOT_FOUND, &text)
        }
        Ok(EventsOfModule { changed, .. }) => Json(json!({ "changed": changed })).into_response(),
        Err(refused) => *refused,
    }
}

/// What the process of the module answers.
async fn of_module(
    state: &AdminState,
    module: &str,
    question: EventsQuestion,
) -> Result<EventsOfModule, Box<Response>> {
    let refused = |status, text: &str| Box::new(problem(status, text));
    let process = state.process_of(module);
    let process = process.map_err(|unknown| refused(StatusCode::NOT_FOUND, &unknown))?;
    let question = EventsQuestion { module: Some(module.to_owned()), ..question };
    let EventsAnswer { modules, missing, denied } = state.traces.events(question).await;
    match modules.into_iter().find(|events| events.module == module) {
        Some(EventsOfModule { error: Some(error), .. }) => {
            Err(refused(StatusCode::BAD_GATEWAY, &format!("the events of {module}: {error}")))
        }
        Some(events) => Ok(events),
        None if missing.iter().any(|missing| missing == process) => {
            let text = format!("{module} runs in the process `{process}`, which does not answer");
            Err(refused(StatusCode::BAD_GATEWAY, &text))
        }
        None if denied.iter().any(|denied| denied == process) => {
            Err(Box::new(denied_by(module, process)))
        }
        None => {
            let text = format!(
                "{module} has no events, or runs in a process (`{process}`) that this one does not call: ask there"
            );
            Err(refused(StatusCode::NOT_FOUND, &text))
        }
    }
}
