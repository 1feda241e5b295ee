//! The events of modules, as the admin address shows them.

use crate::module::RunningModule;
use futures_util::future::BoxFuture;
use monolift_data::{
    events::{AnyEventLedger, ParkedFilter},
    work::outline,
};
use monolift_observe::{EventsChange, EventsQuestion, ListenerOfEvents, ModuleEvents, ParkedEvent};
use std::sync::Arc;

/// The events of those modules that publish some.
pub(super) fn attended(modules: &[RunningModule]) -> Vec<Arc<dyn ModuleEvents>> {
    let attended = modules.iter().filter_map(|module| {
        let ledger = module.event_ledger.clone()?;
        Some(Arc::new(Attended { module: module.facts.name, ledger }) as Arc<dyn ModuleEvents>)
    });
    attended.collect()
}

#[derive(Debug)]
struct Attended {
    module: &'static str,
    ledger: Arc<dyn AnyEventLedger>,
}

impl ModuleEvents for Attended {
    fn module(&self) -> &str {
        self.module
    }

    fn listeners(&self) -> BoxFuture<'_, Result<Vec<ListenerOfEvents>, String>> {
        Box::pin(async move {
            let lag = self.ledger.lag().await.map_err(|error| error.to_string())?;
            let listeners = lag.into_iter().map(|one| ListenerOfEvents {
                listener: one.listener,
                event: one.name,
                waiting: one.waiting,
                failing: one.failing,
                parked: one.parked,
                oldest_ms: one.oldest_ms,
            });
            Ok(listeners.collect())
        })
    }

    fn parked<'a>(
        &'a self,
        question: &'a EventsQuestion,
    ) -> BoxFuture<'a, Result<Vec<ParkedEvent>, String>> {
        let filter = ParkedFilter {
            event: question.id.clone(),
            listener: question.listener.clone(),
            name: question.event.clone(),
            most: question.limit,
        };
        Box::pin(async move {
            let parked = self.ledger.parked(filter).await.map_err(|error| error.to_string())?;
            let parked = parked.into_iter().map(|one| ParkedEvent {
                payload_bytes: one.payload.len(),
                payload_outline: outline(&one.payload),
                id: one.event,
                listener: one.listener,
                event: one.name,
                attempts: one.attempts,
                error: one.error,
                parked_for_ms: one.parked_for_ms,
            });
            Ok(parked.collect())
        })
    }

    fn change<'a>(
        &'a self,
        change: EventsChange,
        question: &'a EventsQuestion,
    ) -> BoxFuture<'a, Result<u64, String>> {
        Box::pin(async move {
            let listener = || question.listener.as_deref().ok_or("name the listener");
            let (id, event) = (question.id.as_deref(), question.event.as_deref());
            let changed = match (change, id) {
                (EventsChange::Retry, id) => self.ledger.retry(listener()?, id).await,
                (EventsChange::Discard, Some(id)) => self.ledger.discard(listener()?, id).await,
                (EventsChange::Discard, None) => return Err("name the event to give up".to_owned()),
                (EventsChange::Replay, _) => self.ledger.replay(listener()?, event).await,
                (EventsChange::Remove, _) => self.ledger.remove(listener()?, event).await,
                (EventsChange::Rebuild, _) => {
                    let build = self.ledger.rebuild(question.partial).await;
                    return build.map_err(|error| error.to_string());
                }
            };
            changed.map_err(|error| error.to_string())
        })
    }
}
