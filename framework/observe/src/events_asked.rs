//! Events of all processes, gathered the way that calls go.

use super::{
    asked::{Here, ObservedClient},
    audit,
    events::{EventsAnswer, EventsOfModule, EventsQuestion, ModuleEvents},
    gathered::{Asking, Gathered},
};
use crate::call::CallError;
use futures_util::future::{BoxFuture, join_all};
use std::sync::Arc;

impl Here {
    /// The answer of this process and of those that it calls.
    pub(crate) fn gather_events(
        &self,
        question: EventsQuestion,
        asked: Vec<String>,
    ) -> BoxFuture<'_, EventsAnswer> {
        Box::pin(async move {
            let own = self.own_events(&question).await;
            if question.module.is_some() && !own.modules.is_empty() {
                return own;
            }
            let changes = question.change.is_some();
            let ask = move |replica: ObservedClient, asked| {
                let question = question.clone();
                let asking = async move {
                    let EventsAnswer { modules, missing, denied } = match changes {
                        true => replica.change_events(question).await?,
                        false => replica.events(question, asked).await?,
                    };
                    Ok::<_, CallError>(Gathered { modules, missing, denied })
                };
                Box::pin(asking) as BoxFuture<'static, _>
            };
            let own = Gathered { modules: own.modules, ..Gathered::default() };
            let asking =
                Asking { changes, ask: &ask, module_of: |events: &EventsOfModule| &events.module };
            let Gathered { modules, missing, denied } =
                self.gather_modules(own, asked, asking).await;
            EventsAnswer { modules, missing, denied }
        })
    }

    /// The answer of this process.
    pub(crate) async fn own_events(&self, question: &EventsQuestion) -> EventsAnswer {
        let process = self.traces.upgrade().map(|traces| traces.process().to_owned());
        let process = process.unwrap_or_default();
        let is_meant = |events: &&Arc<dyn ModuleEvents>| {
            question.module.as_deref().is_none_or(|module| module == events.module())
        };
        let own = self.events.get().map(Vec::as_slice).unwrap_or_default();
        let own = own.iter().filter(is_meant);
        let answers = own.map(|events| answer_of(&process, events.as_ref(), question));
        EventsAnswer { modules: join_all(answers).await, ..EventsAnswer::default() }
    }
}

/// What one module of this process has published, and what the question changes of it.
async fn answer_of(
    process: &str,
    events: &dyn ModuleEvents,
    question: &EventsQuestion,
) -> EventsOfModule {
    let mut answer = EventsOfModule {
        module: events.module().to_owned(),
        process: process.to_owned(),
        pid: std::process::id(),
        ..EventsOfModule::default()
    };
    if let Err(error) = fill(&mut answer, events, question).await {
        answer.error = Some(error);
    }
    answer
}

async fn fill(
    answer: &mut EventsOfModule,
    events: &dyn ModuleEvents,
    question: &EventsQuestion,
) -> Result<(), String> {
    if let Some(change) = question.change {
        answer.changed = events.change(change, question).await?;
        audit::events(change, question, events.module(), answer.changed);
    }
    answer.listeners = events.listeners().await?;
    if question.module.is_some() && question.limit > 0 {
        answer.parked = events.parked(question).await?;
    }
    Ok(())
}
