//! What a job does before the processes of a release start: it applies migrations, and starts nothing.

use super::{App, log::Log};
use crate::module::{
    Resources, StartError, StartErrors, Wanted,
    databases::{self, source},
};
use monolift_data::Migrated;
use std::{collections::BTreeSet, sync::Arc};

/// Applies the migrations, and says what was applied.
pub(super) async fn migrate(app: App, log: &Log) -> Result<(), StartErrors> {
    for (module, Migrated { location, applied }) in app.migrate().await? {
        match &applied[..] {
            [] => log.say(&format!("{module}: {location} is up to date")),
            some => log.say(&format!("{module}: {location}: applied {}", some.join(", "))),
        }
    }
    Ok(())
}

impl App {
    /// Applies what the databases of this process's modules lack, and starts nothing. It connects by the
    /// `migrate_url` of each module, where there is one. It needs the feature `data`.
    pub async fn migrate(self) -> Result<Vec<(&'static str, Migrated)>, StartErrors> {
        let here = self.checked_entries()?;
        let resources = Arc::new(Resources {
            settings: self.settings,
            links: Arc::clone(&self.links),
            served: self.links,
            shared: self.shared,
            data: self.data,
            databases: Arc::new(databases::common(&self.place.manifest)),
            feeds: Arc::default(),
            strict: self.strict,
            shares: BTreeSet::new(),
        });
        let (mut all, mut errors) = (Vec::new(), Vec::new());
        for entry in here {
            let facts = (entry.facts)();
            let mut pools = Vec::new();
            for (_, need) in facts.needs {
                let Wanted::Database(need) = need().into() else { continue };
                if pools.contains(&need.pool) {
                    continue;
                }
                pools.push(need.pool);
                match (need.migrate)(&source(facts, &resources)).await {
                    Ok(migrated) => {
                        // At once: what follows may fail, and the caller gets the errors alone.
                        if !migrated.applied.is_empty() {
                            let Migrated { location, applied } = &migrated;
                            tracing::info!(module = facts.name, location, ?applied, "migrated");
                        }
                        all.push((facts.name, migrated));
                    }
                    // The modules do not share what they migrate, so the others go on.
                    Err(error) => errors
                        .push(StartError::new("its database").of(facts.name, "").because(error)),
                }
            }
        }
        if errors.is_empty() { Ok(all) } else { Err(StartErrors(errors)) }
    }
}
