//! Exports and erases the data of a subject, at the admin address. The subject is in the body and not in the path, because
//! proxies log paths.

use super::{AdminState, who::Who};
use crate::subject::{SubjectAnswer, SubjectQuestion};
use axum::{Json, extract::State};
use serde::Deserialize;
use std::{collections::BTreeSet, sync::Arc};

/// A page of the subject's events and pieces, after the last ones of the previous page.
#[derive(Debug, Deserialize)]
#[serde(deny_unknown_fields)]
pub(super) struct Exported {
    subject: String,
    module: Option<String>,
    #[serde(default)]
    after_event: String,
    #[serde(default)]
    after_piece: String,
}

/// The subject whose data is erased. One request erases at most 128 events and 128 pieces of each module.
#[derive(Debug, Deserialize)]
#[serde(deny_unknown_fields)]
pub(super) struct Erased {
    subject: String,
}

pub(super) async fn export(
    State(state): State<Arc<AdminState>>,
    who: Who,
    Json(exported): Json<Exported>,
) -> Json<SubjectAnswer> {
    let Exported { subject, module, after_event, after_piece } = exported;
    let who = who.0;
    let question = SubjectQuestion { subject, module, after_event, after_piece, erase: false, who };
    ask(&state, question).await
}

pub(super) async fn erase(
    State(state): State<Arc<AdminState>>,
    who: Who,
    Json(Erased { subject }): Json<Erased>,
) -> Json<SubjectAnswer> {
    let question =
        SubjectQuestion { subject, erase: true, who: who.0, ..SubjectQuestion::default() };
    ask(&state, question).await
}

async fn ask(state: &AdminState, question: SubjectQuestion) -> Json<SubjectAnswer> {
    let placed = state.facts["placed"].as_object();
    let processes = placed.into_iter().flat_map(|placed| placed.values());
    let processes: BTreeSet<&str> = processes.filter_map(|process| process.as_str()).collect();
    let processes = processes.into_iter().map(str::to_owned).collect();
    Json(state.traces.subject(question, processes).await)
}
