//! How a worker claims of a kind of work that is held back, and what it says of it.

use super::{
    Worker,
    circuit::{Change, Ending, KindCircuit, Room},
    kind::Claimed,
};
use crate::{Column, ModuleDatabase};
use std::{
    collections::HashMap,
    sync::{Arc, MutexGuard, PoisonError},
};
use tokio::time::Instant;

impl<D: ModuleDatabase> Worker<D> {
    fn circuits(&self) -> MutexGuard<'_, HashMap<&'static str, KindCircuit>> {
        self.circuits.lock().unwrap_or_else(PoisonError::into_inner)
    }

    /// How many pieces of each kind may be claimed.
    pub(super) fn rooms(&self) -> Vec<(&'static str, Room)> {
        let now = Instant::now();
        self.circuits().iter_mut().map(|(name, course)| (*name, course.room(now))).collect()
    }

    /// Claims pieces of a kind that is tried, or released.
    pub(super) async fn claim_few(
        &self,
        name: &'static str,
        few: usize,
    ) -> Result<Vec<Claimed>, sqlx::Error> {
        let only = |&known: &&'static str| if known == name { known } else { "" };
        let names: Vec<&str> = self.work.known().iter().map(only).collect();
        let mut claimed = self.claim(&names, few).await?;
        let count = claimed.len();
        let trial = self
            .circuits()
            .get_mut(name)
            .is_some_and(|course| course.claimed(Instant::now(), count, few));
        if trial {
            let module = self.work.module();
            tracing::info!(module, name, "this work is held back: one piece is tried");
        }
        claimed.iter_mut().for_each(|claimed| claimed.trial = trial);
        Ok(claimed)
    }

    /// Tells the circuit of a kind how an attempt ended, and the log what has changed.
    pub(super) async fn learn(&self, name: &'static str, ending: Ending, trial: bool) {
        let change =
            self.circuits().get_mut(name).and_then(|it| it.ended(Instant::now(), ending, trial));
        let module = self.work.module();
        match change {
            None => {}
            Some(Change::Opened { at, failed, of, pause }) => tracing::warn!(
                module,
                name,
                at,
                failed,
                of,
                tried_in = ?pause,
                "this work is held back, since most of it failed at calls to one module"
            ),
            Some(Change::StillOpen { at, pause }) => {
                tracing::info!(module, name, at, tried_in = ?pause, "this work stays held back");
            }
            Some(Change::Succeeded { at }) => {
                // Where it cannot be counted, it is released slowly.
                let pieces = self.due(name).await.unwrap_or(0);
                let mut circuits = self.circuits();
                let Some(course) = circuits.get_mut(name) else { return };
                let a_second = course.release(Instant::now(), pieces);
                tracing::info!(module, name, at, pieces, a_second, "this work goes on");
            }
        }
    }

    /// How many pieces of a kind are due.
    async fn due(&self, name: &'static str) -> Result<u64, sqlx::Error> {
        let values = vec![self.work.module().into(), name.into()];
        let sql = Arc::clone(&self.work.statements().due);
        let rows = self.work.db().rows(sql, values, &[Column::Number]).await?;
        Ok(rows.first().map_or(0, |row| row[0].number().unsigned_abs()))
    }
}
