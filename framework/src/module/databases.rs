//! The databases of modules, as a process sees them.

use super::{ModuleFacts, Resources, Wanted};
use crate::config::{Secret, Setting, Settings, SettingsErrors};
pub(crate) use monolift_data::{
    Common, Identity, Migration, Need,
    events::{Feeds, Heard},
    pool_of,
    work::WorkKind,
};
pub(super) use monolift_data::{Databases, Working};
use monolift_data::{DbSettings, Location, SharedPools, Source};
use monolift_manifest::{Manifest, quantity};
use std::{path::Path, sync::Arc};

/// What holds for the databases of all modules of a process.
pub(crate) fn common(manifest: &Manifest) -> Common {
    let db = &manifest.db;
    Common {
        app: manifest.app.clone(),
        url: db.url.as_ref().map(|url| Secret::new(url.expose().to_owned())),
        migrate: db.migrate,
        caller: db.caller,
        pools: SharedPools::new(db.connections),
    }
}

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
        events: has_events(facts),
        settings: settings.map_err(|error| error.to_string()),
        variable: resources.settings.variable(&format!("{module}.db.url")),
        folder: resources.data.clone(),
        pool: Box::new(move |kind| {
            handed_in.shared.get(&(module.to_owned(), kind)).map(Arc::clone)
        }),
        common: Arc::clone(&resources.databases),
        strict: resources.strict,
        shares: resources.shares.contains(facts.name),
    }
}

/// Whether the module publishes events or listens to some.
fn has_events(facts: &ModuleFacts) -> bool {
    let publishes = facts.needs.iter().any(|(_, need)| match need().into() {
        Wanted::Database(need) => need.events,
        _ => false,
    });
    publishes || !facts.on.is_empty()
}

/// What is wrong with a module's section about its database.
pub(crate) fn check(settings: &Settings, module: &str) -> Result<(), SettingsErrors> {
    settings.group::<DbSettings>(module, "db").map(drop)
}

/// What is wrong with the section about the databases of all modules, beside what its table says.
pub(crate) fn check_common(settings: &Settings, manifest: &Manifest) -> Result<(), SettingsErrors> {
    let Some(url) = &manifest.db.url else { return Ok(()) };
    monolift_data::check_url(url.expose())
        .map_err(|expected| settings.error("db.url", format!("expected {expected}")).into())
}

/// The settings of a module's database, with what is in force. `data` is the folder of the files.
pub(crate) fn in_force(
    settings: &Settings,
    data: &Path,
    manifest: &Manifest,
    module: &str,
) -> [Setting; 8] {
    let db: DbSettings = settings.group(module, "db").unwrap_or_default();
    let common = common(manifest);
    let location = common.location(module, &db);
    let (url, role) = match location {
        None => (data.join(format!("{module}.db")).display().to_string(), None),
        // A URL is a secret.
        Some(Location::Shared { role, .. }) => ("…".to_owned(), Some(role)),
        Some(_) => ("…".to_owned(), None),
    };
    let setting = |key: &str, value: Option<String>| {
        let key = format!("{module}.db.{key}");
        Setting { origin: settings.origin(&key), value, key }
    };
    let mut url = setting("url", Some(url));
    if db.url.is_none() && common.url.is_some() {
        url.origin = settings.origin("db.url");
    }
    [
        url,
        setting("role", role),
        setting("connections", Some(db.connections().to_string())),
        setting("durability", Some(format!("{:?}", db.durability).to_lowercase())),
        setting("migrate", Some(db.migrate.unwrap_or(common.migrate).to_string())),
        setting("caller", Some(db.caller.unwrap_or(common.caller).to_string())),
        setting("keep_events", db.keep_events.map(quantity::show_size)),
        setting("migrate_url", db.migrate_url.as_ref().map(ToString::to_string)),
    ]
}
