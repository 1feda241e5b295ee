//! Durable work of all processes, gathered the way that calls go.

use super::{
    asked::Here,
    audit,
    work::{ModuleWork, WorkAnswer, WorkOfModule, WorkQuestion},
};
use futures_util::future::{BoxFuture, join_all};
use std::sync::Arc;

impl Here {
    /// The answer of this process and of those that it calls. Replicas share a database, so one of each process is enough.
    pub(crate) fn gather_work(
        &self,
        question: WorkQuestion,
        mut asked: Vec<String>,
    ) -> BoxFuture<'_, WorkAnswer> {
        let process = self.traces.upgrade().map(|traces| traces.process().to_owned());
        asked.extend(process.clone());
        Box::pin(async move {
            let own = self.work.get().map(Vec::as_slice).unwrap_or_default();
            let is_meant = |work: &&Arc<dyn ModuleWork>| {
                question.module.as_deref().is_none_or(|module| module == work.module())
            };
            let own: Vec<_> = own.iter().filter(is_meant).collect();
            let is_complete = question.module.is_some() && !own.is_empty();
            let process = process.unwrap_or_default();
            let own = own.into_iter().map(|work| answer_of(&process, work.as_ref(), &question));
            let mut found = WorkAnswer { modules: join_all(own).await, missing: Vec::new() };
            if is_complete {
                return found;
            }
            let to_ask = self.to_ask(&asked, |_| true);
            asked.extend(to_ask.iter().map(|(process, _)| process.clone()));
            let answers = to_ask.into_iter().map(|(process, replicas)| {
                let (question, asked) = (question.clone(), asked.clone());
                async move {
                    for replica in replicas {
                        if let Ok(answer) = replica.work(question.clone(), asked.clone()).await {
                            return (process, Some(answer));
                        }
                        // What it did before its answer was lost would be done twice.
                        if question.change.is_some() {
                            break;
                        }
                    }
                    (process, None)
                }
            });
            for (process, answer) in join_all(answers).await {
                match answer {
                    None => found.missing.push(process),
                    Some(answer) => {
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
