//! What all processes keep of a subject. A process answers only those that observe the application, since it shows payloads.

use super::{
    asked::{Here, ObservedClient},
    audit,
    gathered::{Asking, Gathered},
    subject::{Erased, ModuleSubjects, SubjectAnswer, SubjectOfModule, SubjectQuestion},
};
use crate::call::CallError;
use futures_util::future::{BoxFuture, join_all};
use std::sync::Arc;

impl Here {
    /// The answer of this process and of those that it observes. Of the `processes` of the application, those that cannot be
    /// asked are missing.
    pub(crate) async fn gather_subject(
        &self,
        question: SubjectQuestion,
        processes: Vec<String>,
    ) -> SubjectAnswer {
        let own = self.own_subject(&question).await;
        if question.module.is_some() && !own.modules.is_empty() {
            return own;
        }
        let ask = move |replica: ObservedClient, _| {
            let question = question.clone();
            let asking = async move {
                let SubjectAnswer { modules, missing, denied } =
                    replica.change_subject(question).await?;
                Ok::<_, CallError>(Gathered { modules, missing, denied })
            };
            Box::pin(asking) as BoxFuture<'static, _>
        };
        let own = Gathered { modules: own.modules, ..Gathered::default() };
        let asking =
            Asking { changes: true, ask: &ask, module_of: |told: &SubjectOfModule| &told.module };
        let Gathered { modules, mut missing, denied } =
            self.gather_modules(own, Vec::new(), asking).await;
        let own = self.traces.upgrade().map(|traces| traces.process().to_owned());
        let asked = self.to_ask(&[], |_| true);
        let is_asked = |process: &String| {
            own.as_ref() == Some(process) || asked.iter().any(|(name, _)| name == process)
        };
        missing.extend(processes.into_iter().filter(|process| !is_asked(process)));
        SubjectAnswer { modules, missing, denied }
    }

    /// The answer of this process.
    pub(crate) async fn own_subject(&self, question: &SubjectQuestion) -> SubjectAnswer {
        let process = self.traces.upgrade().map(|traces| traces.process().to_owned());
        let process = process.unwrap_or_default();
        let is_meant = |one: &&Arc<dyn ModuleSubjects>| {
            question.module.as_deref().is_none_or(|module| module == one.module())
        };
        let own = self.subjects.get().map(Vec::as_slice).unwrap_or_default();
        let answers =
            own.iter().filter(is_meant).map(|one| answer_of(&process, one.as_ref(), question));
        SubjectAnswer { modules: join_all(answers).await, ..SubjectAnswer::default() }
    }
}

/// What one module of this process keeps, or what was erased there.
async fn answer_of(
    process: &str,
    subjects: &dyn ModuleSubjects,
    question: &SubjectQuestion,
) -> SubjectOfModule {
    let module = subjects.module();
    let mut answer = SubjectOfModule {
        module: module.to_owned(),
        process: process.to_owned(),
        pid: std::process::id(),
        ..SubjectOfModule::default()
    };
    if question.erase {
        let Erased { events, work, error } = subjects.erase(&question.subject).await;
        // Some may be erased although there is an error.
        if error.is_none() || events + work > 0 {
            audit::subject("subject.erase", module, events + work, &question.who);
        }
        (answer.erased_events, answer.erased_work, answer.error) = (events, work, error);
        return answer;
    }
    match subjects.kept(question).await {
        Ok((events, work)) => {
            let told = (events.len() + work.len()) as u64;
            audit::subject("subject.export", module, told, &question.who);
            (answer.events, answer.work) = (events, work);
        }
        Err(error) => answer.error = Some(error),
    }
    answer
}
