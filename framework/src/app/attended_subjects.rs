//! What modules keep of a subject, as the admin address exports and erases it.

use crate::module::RunningModule;
use futures_util::future::BoxFuture;
use monolift_data::{events::AnyEventLedger, work::AnyLedger};
use monolift_observe::{
    Erased, KeptEvent, KeptOfSubject, KeptOffer, KeptPiece, ModuleSubjects, SubjectQuestion,
};
use std::sync::Arc;

/// A page ends after this many bytes of payloads, because answers between processes are bounded.
const AT_ONCE: usize = 128 * 1024;

/// Those modules that publish events or do durable work.
pub(super) fn attended(modules: &[RunningModule]) -> Vec<Arc<dyn ModuleSubjects>> {
    let attended = modules.iter().filter_map(|module| {
        let (events, work) = (module.event_ledger.clone(), module.ledger.clone());
        if events.is_none() && work.is_none() {
            return None;
        }
        let module = module.facts.name;
        Some(Arc::new(Attended { module, events, work }) as Arc<dyn ModuleSubjects>)
    });
    attended.collect()
}

#[derive(Debug)]
struct Attended {
    module: &'static str,
    events: Option<Arc<dyn AnyEventLedger>>,
    work: Option<Arc<dyn AnyLedger>>,
}

impl Attended {
    async fn all(&self, question: &SubjectQuestion) -> Result<KeptOfSubject, sqlx::Error> {
        let SubjectQuestion { subject, after_event, after_piece, .. } = question;
        let events = match &self.events {
            Some(ledger) => ledger.of_subject(subject, after_event).await?,
            None => Vec::new(),
        };
        let pieces = match &self.work {
            Some(ledger) => ledger.of_subject(subject, after_piece).await?,
            None => Vec::new(),
        };
        let events = beginning(events, |one| one.payload.len()).map(|one| KeptEvent {
            id: one.event,
            event: one.name,
            key: one.key,
            payload: one.payload,
            made_at_ms: one.made_at_ms,
            listeners: one
                .offers
                .into_iter()
                .map(|offer| KeptOffer {
                    listener: offer.listener,
                    parked: offer.parked,
                    error: offer.error,
                })
                .collect(),
        });
        let pieces = beginning(pieces, |one| one.payload.len()).map(|one| KeptPiece {
            id: one.id,
            kind: one.kind,
            key: one.key,
            payload: one.payload,
            parked: one.parked,
            error: one.error,
        });
        Ok((events.collect(), pieces.collect()))
    }
}

/// The first of these, and as many more as fit into a page.
fn beginning<T>(all: Vec<T>, bytes: fn(&T) -> usize) -> impl Iterator<Item = T> {
    let mut told = 0;
    all.into_iter().take_while(move |one| {
        let fits = told < AT_ONCE;
        told += bytes(one);
        fits
    })
}

impl ModuleSubjects for Attended {
    fn module(&self) -> &str {
        self.module
    }

    fn kept<'a>(
        &'a self,
        question: &'a SubjectQuestion,
    ) -> BoxFuture<'a, Result<KeptOfSubject, String>> {
        Box::pin(async move { self.all(question).await.map_err(|error| error.to_string()) })
    }

    fn erase<'a>(&'a self, subject: &'a str) -> BoxFuture<'a, Erased> {
        Box::pin(async move {
            let mut erased = Erased::default();
            let all = async {
                if let Some(ledger) = &self.events {
                    erased.events = ledger.erase(subject).await?;
                }
                if let Some(ledger) = &self.work {
                    erased.work = ledger.erase(subject).await?;
                }
                Ok::<_, sqlx::Error>(())
            };
            erased.error = all.await.err().map(|error| error.to_string());
            erased
        })
    }
}
