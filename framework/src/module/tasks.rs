//! Work that a module spawns: it ends with the module.

use std::{
    future::Future,
    sync::{Arc, Mutex, PoisonError},
};
use tokio::{sync::watch, task::JoinSet, time::Instant};

/// Spawns work that belongs to the module, injected: `tasks: Tasks`.
///
/// When the module stops, its tasks are told by [`Tasks::stopping`], given until the process's time
/// to stop has passed, and then cut.
#[derive(Debug, Clone)]
pub struct Tasks {
    spawned: Arc<Mutex<JoinSet<()>>>,
    stopping: watch::Sender<bool>,
}

impl Default for Tasks {
    fn default() -> Self {
        Self { spawned: Arc::default(), stopping: watch::Sender::new(false) }
    }
}

impl Tasks {
    /// Spawns `work`. It runs outside of the call that spawns it: its own calls begin anew.
    pub fn spawn(&self, work: impl Future<Output = ()> + Send + 'static) {
        let mut spawned = self.spawned.lock().unwrap_or_else(PoisonError::into_inner);
        // What has ended is let go of, so that a module that spawns much keeps little.
        while spawned.try_join_next().is_some() {}
        if !*self.stopping.borrow() {
            spawned.spawn(work);
        }
    }

    /// Ready when the module is to stop.
    pub async fn stopping(&self) {
        // The sender is `self`: it is there for as long as anybody waits.
        let _ = self.stopping.subscribe().wait_for(|stopping| *stopping).await;
    }

    /// Aborts all tasks. Without this, a task that holds a clone of its `Tasks` would keep itself alive.
    pub(crate) fn cut(&self) {
        let mut spawned = self.spawned.lock().unwrap_or_else(PoisonError::into_inner);
        spawned.abort_all();
        // After the abort, so that no task runs its stop. It keeps further tasks from being spawned.
        self.stopping.send_replace(true);
    }

    /// Tells the tasks, waits for them until `by`, and cuts the rest.
    pub(crate) async fn stop(&self, by: Instant) {
        self.stopping.send_replace(true);
        let mut spawned = {
            let mut spawned = self.spawned.lock().unwrap_or_else(PoisonError::into_inner);
            std::mem::take(&mut *spawned)
        };
        let all = async { while spawned.join_next().await.is_some() {} };
        let _ = tokio::time::timeout_at(by, all).await;
        spawned.shutdown().await;
    }
}
