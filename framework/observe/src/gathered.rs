//! What the modules of all processes have, gathered the way that calls go.

use super::asked::{Here, ObservedClient};
use crate::call::{CallError, CallErrorKind};
use futures_util::future::{BoxFuture, join_all};

/// What is told of modules, and the processes that did not answer.
pub(crate) struct Gathered<M> {
    pub(crate) modules: Vec<M>,
    pub(crate) missing: Vec<String>,
    /// Processes that let only those change something that observe the application.
    pub(crate) denied: Vec<String>,
}

impl<M> Default for Gathered<M> {
    fn default() -> Self {
        Self { modules: Vec::new(), missing: Vec::new(), denied: Vec::new() }
    }
}

/// A question about modules, and how a process is asked.
pub(crate) struct Asking<'a, M> {
    /// Whether the answer changes something. What was done before an answer was lost would be done twice, so then
    /// only one replica is asked.
    pub(crate) changes: bool,
    /// Asks a replica. The names are those of processes that were asked before.
    pub(crate) ask: &'a (
            dyn Fn(
        ObservedClient,
        Vec<String>,
    ) -> BoxFuture<'static, Result<Gathered<M>, CallError>>
                + Send
                + Sync
        ),
    /// The module that something is told of.
    pub(crate) module_of: fn(&M) -> &str,
}

impl Here {
    /// What this process has, and those that it calls. Replicas share a database, so one of each process is enough.
    pub(crate) async fn gather_modules<M: Send + 'static>(
        &self,
        own: Gathered<M>,
        mut asked: Vec<String>,
        asking: Asking<'_, M>,
    ) -> Gathered<M> {
        asked.extend(self.traces.upgrade().map(|traces| traces.process().to_owned()));
        let mut found = own;
        let to_ask = self.to_ask(&asked, |_| true);
        asked.extend(to_ask.iter().map(|(process, _)| process.clone()));
        let answers = to_ask.into_iter().map(|(process, replicas)| {
            let (asked, asking) = (asked.clone(), &asking);
            async move {
                for replica in replicas {
                    match (asking.ask)(replica, asked.clone()).await {
                        Err(_) if !asking.changes => {}
                        answer => return (process, Some(answer)),
                    }
                }
                (process, None)
            }
        });
        for (process, answer) in join_all(answers).await {
            match answer {
                Some(Err(error)) if error.kind() == CallErrorKind::Denied => {
                    found.denied.push(process);
                }
                None | Some(Err(_)) => found.missing.push(process),
                Some(Ok(answer)) => {
                    found.modules.extend(answer.modules);
                    found.missing.extend(answer.missing);
                }
            }
        }
        found.modules.sort_by(|a, b| (asking.module_of)(a).cmp((asking.module_of)(b)));
        found.modules.dedup_by(|a, b| (asking.module_of)(a) == (asking.module_of)(b));
        found.missing.sort_unstable();
        found.missing.dedup();
        found
    }
}
