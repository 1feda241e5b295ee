//! Events of a module, published by a program's own transactions.

use super::RunningApp;
use crate::module::StartError;
use monolift_data::{ModuleDatabase, events::Events};

impl RunningApp {
    /// The events of a module, for a host's own code: its transactions on `pool` publish events that other modules handle.
    ///
    /// The database has to be the module's, and the module has a field `events: Events`, so that the tables are there. If
    /// they are in a schema of their own, name it with [`Events::in_schema`]. The module may run in another process.
    pub fn events<D: ModuleDatabase>(
        &self,
        module: &str,
        pool: &sqlx::Pool<D>,
    ) -> Result<Events<D>, StartError> {
        if self.place.manifest.process_of(module).is_none() {
            let file = self.place.manifest.file.display();
            return Err(StartError::new(format!("{file} has no module `{module}`")));
        }
        let events = Events::outside(pool, module);
        Ok(match self.modules.iter().find(|running| running.facts.name == module) {
            Some(running) => events.waking(running.published.clone()),
            None => events,
        })
    }
}
