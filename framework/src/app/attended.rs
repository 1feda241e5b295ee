//! The durable work of modules, as the admin address shows it.

use crate::module::RunningModule;
use futures_util::future::BoxFuture;
use monolift_data::work::{AnyLedger, LedgerPiece, PieceFilter, PieceState};
use monolift_observe::{KindOfWork, ModuleWork, PieceOfWork, WorkChange, WorkQuestion, WorkState};
use std::sync::Arc;

/// The durable work of those modules that do some.
pub(super) fn attended(modules: &[RunningModule]) -> Vec<Arc<dyn ModuleWork>> {
    let attended = modules.iter().filter_map(|module| {
        let ledger = module.ledger.clone()?;
        Some(Arc::new(Attended { module: module.facts.name, ledger }) as Arc<dyn ModuleWork>)
    });
    attended.collect()
}

#[derive(Debug)]
struct Attended {
    module: &'static str,
    ledger: Arc<dyn AnyLedger>,
}

impl ModuleWork for Attended {
    fn module(&self) -> &str {
        self.module
    }

    fn kinds(&self) -> BoxFuture<'_, Result<Vec<KindOfWork>, String>> {
        Box::pin(async move {
            let standing = self.ledger.standing().await.map_err(|error| error.to_string())?;
            let kinds = standing.into_iter().map(|kind| KindOfWork {
                kind: kind.name,
                waiting: kind.waiting,
                running: kind.at_work,
                failing: kind.failing,
                parked: kind.parked,
            });
            Ok(kinds.collect())
        })
    }

    fn pieces<'a>(
        &'a self,
        question: &'a WorkQuestion,
    ) -> BoxFuture<'a, Result<Vec<PieceOfWork>, String>> {
        let filter = PieceFilter {
            id: question.id.clone(),
            kind: question.kind.clone(),
            state: question.state.map(|state| match state {
                WorkState::Waiting => PieceState::Waiting,
                WorkState::Running => PieceState::Running,
                WorkState::Parked => PieceState::Parked,
            }),
            most: question.limit,
        };
        Box::pin(async move {
            let pieces = self.ledger.pieces(filter).await.map_err(|error| error.to_string())?;
            Ok(pieces.into_iter().map(shown).collect())
        })
    }

    fn change(&self, change: WorkChange, id: Option<String>) -> BoxFuture<'_, Result<u64, String>> {
        Box::pin(async move {
            let changed = match (change, id) {
                (WorkChange::Retry, id) => self.ledger.run_again(id).await,
                (WorkChange::Discard, Some(id)) => self.ledger.give_up(id).await,
                (WorkChange::Discard, None) => return Err("name the piece to give up".to_owned()),
            };
            changed.map_err(|error| error.to_string())
        })
    }
}

fn shown(piece: LedgerPiece) -> PieceOfWork {
    // `traceparent`: version, trace, span, flags.
    let trace = piece.trace.as_deref().and_then(|trace| trace.split('-').nth(1));
    PieceOfWork {
        trace_id: trace.map(str::to_owned),
        next_attempt_in_ms: (piece.state != PieceState::Parked).then_some(piece.due_in_ms),
        state: match piece.state {
            PieceState::Waiting => WorkState::Waiting,
            PieceState::Running => WorkState::Running,
            PieceState::Parked => WorkState::Parked,
        },
        id: piece.id,
        kind: piece.kind,
        attempts: piece.attempts,
        error: piece.error,
        parked_for_ms: piece.parked_for_ms,
        age_ms: piece.age_ms,
        payload_bytes: piece.payload_bytes,
        payload_outline: piece.payload_outline,
    }
}
