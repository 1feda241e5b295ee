//! Durable work at the admin address: what there is, and what is done with parked pieces.

use super::{AdminState, denied_by, problem, who::Who};
use crate::work::{WorkAnswer, WorkChange, WorkOfModule, WorkQuestion, WorkState};
use axum::{
    Json,
    extract::{Path, Query, State},
    http::StatusCode,
    response::{IntoResponse, Response},
};
use serde::Deserialize;
use serde_json::json;
use std::sync::Arc;

/// Pieces that are shown of a module, and the most that can be asked for.
const SHOWN: u32 = 100;
const MOST: u32 = 1_000;

/// The query of a module's work.
#[derive(Debug, Default, Deserialize)]
#[serde(default, deny_unknown_fields)]
pub(super) struct PiecesQuery {
    kind: Option<String>,
    state: Option<WorkState>,
    limit: Option<u32>,
}

/// What is to be changed: a piece, or explicitly all.
#[derive(Debug, Deserialize)]
#[serde(deny_unknown_fields)]
pub(super) struct Chosen {
    id: Option<String>,
    #[serde(default)]
    all: bool,
}

pub(super) async fn show_all(State(state): State<Arc<AdminState>>) -> Json<WorkAnswer> {
    Json(state.traces.work(WorkQuestion::default()).await)
}

pub(super) async fn show_module(
    State(state): State<Arc<AdminState>>,
    Path(module): Path<String>,
    Query(query): Query<PiecesQuery>,
) -> Response {
    let PiecesQuery { kind, state: stands, limit } = query;
    let limit = limit.unwrap_or(SHOWN).min(MOST);
    let question = WorkQuestion { kind, state: stands, limit, ..WorkQuestion::default() };
    match of_module(&state, &module, question).await {
        Ok(work) => Json(work).into_response(),
        Err(refused) => *refused,
    }
}

pub(super) async fn show_piece(
    State(state): State<Arc<AdminState>>,
    Path((module, id)): Path<(String, String)>,
) -> Response {
    let question = WorkQuestion { id: Some(id.clone()), limit: 1, ..WorkQuestion::default() };
    match of_module(&state, &module, question).await {
        Ok(WorkOfModule { pieces, .. }) => match pieces.into_iter().next() {
            Some(piece) => Json(piece).into_response(),
            None => gone(&module, &id),
        },
        Err(refused) => *refused,
    }
}

pub(super) async fn retry(
    State(state): State<Arc<AdminState>>,
    Path(module): Path<String>,
    who: Who,
    Json(chosen): Json<Chosen>,
) -> Response {
    match (&chosen.id, chosen.all) {
        (Some(_), true) | (None, false) => {
            problem(StatusCode::BAD_REQUEST, "name the `id` of a piece, or say `\"all\": true`")
        }
        _ => change(&state, &module, WorkChange::Retry, chosen.id, who).await,
    }
}

pub(super) async fn discard(
    State(state): State<Arc<AdminState>>,
    Path(module): Path<String>,
    who: Who,
    Json(chosen): Json<Chosen>,
) -> Response {
    match (&chosen.id, chosen.all) {
        (Some(_), false) => change(&state, &module, WorkChange::Discard, chosen.id, who).await,
        _ => problem(
            StatusCode::BAD_REQUEST,
            "work is given up one piece at a time: name its `id`, without `all`",
        ),
    }
}

async fn change(
    state: &AdminState,
    module: &str,
    change: WorkChange,
    id: Option<String>,
    who: Who,
) -> Response {
    let question = WorkQuestion {
        change: Some(change),
        id: id.clone(),
        who: who.0,
        ..WorkQuestion::default()
    };
    match (of_module(state, module, question).await, id) {
        (Ok(WorkOfModule { changed: 0, .. }), Some(id)) => gone(module, &id),
        (Ok(WorkOfModule { changed, .. }), _) => {
            Json(json!({ "changed": changed })).into_response()
        }
        (Err(refused), _) => *refused,
    }
}

fn gone(module: &str, id: &str) -> Response {
    let text = format!("{module} has no such piece `{id}`, or it is not parked any more");
    problem(StatusCode::NOT_FOUND, &text)
}

/// What the process of the module answers.
async fn of_module(
    state: &AdminState,
    module: &str,
    question: WorkQuestion,
) -> Result<WorkOfModule, Box<Response>> {
    let refused = |status, text: &str| Box::new(problem(status, text));
    let process = state.process_of(module);
    let process = process.map_err(|unknown| refused(StatusCode::NOT_FOUND, &unknown))?;
    let question = WorkQuestion { module: Some(module.to_owned()), ..question };
    let WorkAnswer { modules, missing, denied } = state.traces.work(question).await;
    match modules.into_iter().find(|work| work.module == module) {
        Some(WorkOfModule { error: Some(error), .. }) => {
            Err(refused(StatusCode::BAD_GATEWAY, &format!("the work of {module}: {error}")))
        }
        Some(work) => Ok(work),
        None if missing.iter().any(|missing| missing == process) => {
            let text = format!("{module} runs in the process `{process}`, which does not answer");
            Err(refused(StatusCode::BAD_GATEWAY, &text))
        }
        None if denied.iter().any(|denied| denied == process) => {
            Err(Box::new(denied_by(module, process)))
        }
        None => {
            let text = format!(
                "{module} has no durable work, or runs in a process (`{process}`) that this one does not call: ask there"
            );
            Err(refused(StatusCode::NOT_FOUND, &text))
        }
    }
}
