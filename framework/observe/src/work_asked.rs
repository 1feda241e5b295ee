//! Durable work of all processes, gathered the way that calls go.

use super::{
    asked::{Here, ObservedClient},
    audit,
    gathered::{Asking, Gathered},
    work::{ModuleWork, WorkAnswer, WorkOfModule, WorkQuestion},
};
use crate::call::CallError;
use futures_util::future::{BoxFuture, join_all};
use std::sync::Arc;

impl Here {
    /// The answer of this process and of those that it calls.
    pub(crate) fn gather_work(
        &self,
        question: WorkQuestion,
        asked: Vec<String>,
    ) -> BoxFuture<'_, WorkAnswer> {
        Box::pin(async move {
            let own = self.own_work(&question).await;
            if question.module.is_some() && !own.modules.is_empty() {
                return own;
            }
            let changes = question.change.is_some();
            let ask = move |replica: ObservedClient, asked| {
                let question = question.clone();
                let asking = async move {
                    let WorkAnswer { modules, missing, denied } = match changes {
                        true => replica.change_work(question).await?,
                        false => replica.work(question, asked).await?,
                    };
                    Ok::<_, CallError>(Gathered { modules, missing, denied })
                };
                Box::pin(asking) as BoxFuture<'static, _>
            };
            let own = Gathered { modules: own.modules, ..Gathered::default() };
            let asking =
                Asking { changes, ask: &ask, module_of: |work: &WorkOfModule| &work.module };
            let Gathered { modules, missing, denied } =
                self.gather_modules(own, asked, asking).await;
            WorkAnswer { modules, missing, denied }
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
