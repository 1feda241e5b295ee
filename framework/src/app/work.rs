//! Durable work of a module, enqueued by a program's own transactions.

use super::RunningApp;
use crate::module::{StartError, modules};
use monolift_data::{ModuleDatabase, work::Work};
use std::sync::Arc;

impl RunningApp {
    /// The durable work of a module, for a host's own code: its transactions on `pool` enqueue pieces that the module
    /// then performs.
    ///
    /// The database has to be the module's. If the module's tables are in a schema of their own, name it with
    /// [`Work::in_schema`]. The module may run in another process.
    pub fn work<D: ModuleDatabase>(
        &self,
        module: &str,
        pool: &sqlx::Pool<D>,
    ) -> Result<Work<D>, StartError> {
        if self.place.manifest.process_of(module).is_none() {
            let file = self.place.manifest.file.display();
            return Err(StartError::new(format!("{file} has no module `{module}`")));
        }
        let here = self.modules.iter().find(|running| running.facts.name == module);
        let linked = || {
            let mut linked = modules().into_iter().map(|entry| (entry.facts)());
            linked.find(|facts| facts.name == module)
        };
        let facts = here.map(|running| running.facts).or_else(linked);
        let work = Work::outside(pool, module, facts.map(|facts| facts.work));
        Ok(match here {
            Some(running) => work.nudging(Arc::clone(&running.nudge)),
            None => work,
        })
    }
}
