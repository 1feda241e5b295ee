//! Durable work of all processes, gathered the way that calls go.

use super::{
    asked::Here,
    audit,
    work::{ModuleWork, WorkAnswer, WorkOfModule, WorkQuestion},
};
use crate::call::{CallError, CallErrorKind};
use futures_util::future::{BoxFuture, join_all};
use std::sync::Arc;

impl Here {
    /// The answer of this process and of those that it calls. Replicas share a database, so one of each process is enough.
    pub(crate) fn gather_work(
        &self,
        question: WorkQuestion,
        mut asked: Vec<String>,
    ) -> BoxFuture<'_, WorkAnswer> {
        asked.extend(self.traces.upgrade().map(|traces| traces.process().to_owned()));
        Box::pin(async move {
            let mut found = self.own_work(&question).await;
            if question.module.is_some() && !found.modules.is_empty() {
                return found;
            }
            let to_ask = self.to_ask(&asked, |_| true);
            asked.extend(to_ask.iter().map(|(process, _)| process.clone()));
            let answers = to_ask.into_iter().map(|(process, replicas)| {
                let (question, asked) = (question.clone(), asked.clone());
                async move {
                    for replica in replicas {
                        let question = question.clone();
                        // What it did before its answer was lost would be done twice, so another one is not asked.
                        if question.change.is_some() {
                            return (process, replica.change_work(question).await);
                        }
                        if let Ok(answer) = replica.work(question, asked.clone()).await {
                            return (process, Ok(answer));
                        }
                    }
                    (
                        process,
                        Err(CallError::new(CallErrorKind::Unreachable, "no replica answered")),
                    )
                }
            });
            for (process, answer) in join_all(answers).await {
                match answer {
                    Err(error) if error.kind() == CallErrorKind::Denied => {
                        found.denied.push(process)
                    }
                    Err(_) => found.missing.push(process),
                    Ok(answer) => {
                        found.modules.extend(answer.modules);
                        found.missing.extend(answer.missing);
                    }
                }
            }
            found.modules.sort_by(|a, b| a.module.cmp(&b.module));
            found.modules.dedup_by(|a, b| a.module == b.module);
            found.missing.sort_unstable();
            found.missing.dedup();
            found
        })
    }
}

impl Here {
    /// The answer of this process.
    pub(crate) async fn own_work(&self, question: &WorkQuestion) -> WorkAnswer {
        let process = self.traces.upgrade().map(|traces| traces.process().to_owned());
        let process = process.unwrap_or_default();
        let is_meant = |work: &&Arc<dyn ModuleWork>| {
            question.module.as_deref().is_none_or(|module| module == work.module())
        };
        let own = self.work.get().map(Vec::as_slice).unwrap_or_default();
        let own = own.iter().filter(is_meant);
        let answers = own.map(|work| answer_of(&process, work.as_ref(), question));
        WorkAnswer { modules: join_all(answers).await, ..WorkAnswer::default() }
    }
}

/// What one module of this process has, and what the question changes of it.
async fn answer_of(process: &str, work: &dyn ModuleWork, question: &WorkQuestion) -> WorkOfModule {
    let mut answer = WorkOfModule {
        module: work.module().to_owned(),
        process: process.to_owned(),
        pid: std::process::id(),
        ..WorkOfModule::default()
    };
    if let Err(error) = fill(&mut answer, work, question).await {
        answer.error = Some(error);
    }
    answer
}

async fn fill(
    answer: &mut WorkOfModule,
    work: &dyn ModuleWork,
    question: &WorkQuestion,
) -> Result<(), String> {
    if let Some(change) = question.change {
        answer.changed = work.change(change, question.id.clone()).await?;
        let what = question.id.as_deref().unwrap_or("all that is parked");
        audit::work(change, work.module(), what, answer.changed, &question.who);
    }
    answer.kinds = work.kinds().await?;
    if question.module.is_some() && question.limit > 0 {
        answer.pieces = work.pieces(question).await?;
    }
    Ok(())
}
