//! The databases of modules, as a process sees them.

use super::{ModuleFacts, Resources};
use crate::config::{Setting, Settings, SettingsErrors};
pub(crate) use monolift_data::Identity;
pub(super) use monolift_data::{Databases, Working};
use monolift_data::{DbSettings, Source};
pub(crate) use monolift_data::{Migration, Need, pool_of, work::WorkKind};
use monolift_manifest::Migrate;
use std::{path::Path, sync::Arc};

/// What one module has of databases. None is opened yet.
pub(super) fn of(facts: &ModuleFacts, resources: &Arc<Resources>) -> Databases {
    Databases::new(source(facts, resources))
}

/// What a module's database is opened from.
pub(crate) fn source(facts: &ModuleFacts, resources: &Arc<Resources>) -> Source {
    let settings = resources.settings.group(facts.name, "db");
    let (module, handed_in) = (facts.name, Arc::clone(resources));
    Source {
        module,
        migrations: facts.migrations,
        work: facts.work,
        settings: settings.map_err(|error| error.to_string()),
        variable: resources.settings.variable(&format!("{module}.db.url")),
        folder: resources.data.clone(),
        pool: Box::new(move |kind| {
            handed_in.shared.get(&(module.to_owned(), kind)).map(Arc::clone)
        }),
        migrate: resources.migrate,
        strict: resources.strict,
        shares: resources.shares.contains(facts.name),
    }
}

/// What is wrong with a module's section about its database.
pub(crate) fn check(settings: &Settings, module: &str) -> Result<(), SettingsErrors> {
    settings.group::<DbSettings>(module, "db").map(drop)
}

/// The settings of a module's database, with what is in force. `data` is the folder of the files, and `migrate` is
/// what holds for all modules.
pub(crate) fn in_force(
    settings: &Settings,
    data: &Path,
    migrate: Migrate,
    module: &str,
) -> [Setting; 5] {
    let db: DbSettings = settings.group(module, "db").unwrap_or_default();
    let file = data.join(format!("{module}.db"));
    let url = db.url.as_ref().map_or_else(|| file.display().to_string(), ToString::to_string);
    let setting = |key: &str, value: Option<String>| {
        let key = format!("{module}.db.{key}");
        Setting { origin: settings.origin(&key), value, key }
    };
    [
        setting("url", Some(url)),
        setting("connections", Some(db.connections().to_string())),
        setting("durability", Some(format!("{:?}", db.durability).to_lowercase())),
        setting("migrate", Some(db.migrate.unwrap_or(migrate).to_string())),
        setting("migrate_url", db.migrate_url.as_ref().map(ToString::to_string)),
    ]
}
