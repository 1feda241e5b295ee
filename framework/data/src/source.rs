//! What the database of one module is opened from: its section of the settings, what holds for all, and a pool of `main`'s.

use crate::{
    Backend, Db, DbSettings, History, Location, Migration, ModuleDatabase, OpenError, SharedPools,
    events, work,
};
use monolift_call::{Injector, Secret, StartError};
use monolift_manifest::Migrate;
use std::{
    any::{Any, TypeId},
    path::PathBuf,
    sync::Arc,
};

/// What was done to a module's database, and where it is.
#[derive(Debug)]
pub struct Migrated {
    /// The database.
    pub location: String,
    /// The migrations that it lacked.
    pub applied: Vec<&'static str>,
}

/// What a database is opened from.
pub struct Source {
    /// The module that it belongs to.
    pub module: &'static str,
    /// The module's migrations, in order.
    pub migrations: &'static [Migration],
    /// The names of the kinds of durable work that the module does.
    pub work: &'static [&'static str],
    /// Whether the module publishes events or listens to some.
    pub events: bool,
    /// Its section of the settings; an error is what is wrong with it.
    pub settings: Result<DbSettings, String>,
    /// The setting of its URL, as a variable.
    pub variable: String,
    /// Where databases are that the settings do not place.
    pub folder: PathBuf,
    /// A pool that `main` hands in for the module, by its type.
    pub pool: Pools,
    /// What holds for the databases of all modules.
    pub common: Arc<Common>,
    /// Whether a call fails that holds a transaction while it asks for another connection or calls
    /// another module.
    pub strict: bool,
    /// Whether the module lends its transactions to others, or joins those of others. What its database reaches is asked at
    /// the start then.
    pub shares: bool,
}

/// What holds for the databases of all modules of a process.
#[derive(Debug)]
pub struct Common {
    /// The application's name.
    pub app: String,
    /// The URL whose pool modules share that have none of their own.
    pub url: Option<Secret>,
    /// When migrations are applied, unless a module's section says otherwise.
    pub migrate: Migrate,
    /// Whether transactions name the caller, unless a module's section says otherwise.
    pub caller: bool,
    /// The pools that modules share.
    pub pools: SharedPools,
}

impl Common {
    /// Where a module's database is, by its section or by what holds for all. Without a URL it is `None`: a file.
    pub fn location(&self, module: &str, settings: &DbSettings) -> Option<Location> {
        let own = settings.url.as_ref().map(|url| url.expose().clone());
        let role = settings.role.clone();
        match (own, role, &self.url) {
            (Some(url), None, _) => Some(Location::Url(url)),
            (Some(url), Some(role), _) => Some(Location::Shared { url, role }),
            (None, role, Some(url)) => {
                let role = role.unwrap_or_else(|| role_of(&self.app, module));
                Some(Location::Shared { url: url.expose().clone(), role })
            }
            (None, _, None) => None,
        }
    }
}

/// The role of a module, unless its section names another.
pub fn role_of(app: &str, module: &str) -> String {
    format!("{app}_{module}").replace('-', "_")
}

/// The schema of a module on PostgreSQL.
pub fn schema_of(module: &str) -> String {
    module.replace('-', "_")
}

/// Finds a value that `main` has handed in, by its type.
pub type Pools = Box<dyn Fn(TypeId) -> Option<Arc<dyn Any + Send + Sync>> + Send + Sync>;

/// A pool that `main` hands in belongs to an older application, and so do its migrations. The framework's own
/// table is the framework's.
const HANDED_IN: &str = "the pool that main hands in";

impl Source {
    fn handed_in<D: ModuleDatabase>(&self) -> Option<Db<D>> {
        let pool = (self.pool)(TypeId::of::<sqlx::Pool<D>>())?;
        let pool = pool.downcast::<sqlx::Pool<D>>().ok()?;
        Some(Db::new(sqlx::Pool::clone(&pool), D::backend(&pool)))
    }

    /// The settings, with what holds for all modules where the module's section says nothing.
    fn settings(&self) -> Result<DbSettings, OpenError> {
        let mut settings = self.settings.clone().map_err(OpenError::new)?;
        settings.migrate = settings.migrate.or(Some(self.common.migrate));
        settings.caller = settings.caller.or(Some(self.common.caller));
        Ok(settings)
    }

    fn location<D: ModuleDatabase>(&self, settings: &DbSettings) -> Result<Location, OpenError> {
        let Self { module, variable, folder, .. } = self;
        // A URL for all modules is for those that speak with a server.
        let is_for_this = settings.url.is_some() || D::speaks(Backend::Postgres);
        match self.common.location(module, settings).filter(|_| is_for_this) {
            Some(location) => Ok(location),
            None if !D::speaks(Backend::Sqlite) => Err(OpenError::new(format!(
                "it asks for PostgreSQL, and no database is set: give its URL as {variable} or as `url` in \
                 [{module}.db], give one for all modules as `url` in [db], or hand in a pool by \
                 `app.pool(\"{module}\", pool)`"
            ))),
            None => Ok(Location::File(folder.join(format!("{module}.db")))),
        }
    }

    fn histories(&self) -> Vec<History<'static>> {
        let own = History::of(self.module, self.migrations);
        std::iter::once(own).chain(self.framework_histories()).collect()
    }

    /// Those of the framework's own tables.
    fn framework_histories(&self) -> Vec<History<'static>> {
        let has_work = !self.work.is_empty();
        has_work.then(work::history).into_iter().chain(self.events.then(events::history)).collect()
    }
}

/// The database of a module, and what the start says of it.
pub(crate) async fn open<D: ModuleDatabase>(
    source: &Source,
    injector: &Injector,
) -> Result<(Db<D>, String), StartError> {
    let failed = |error: OpenError| injector.error("its database").because(error);
    let settings = source.settings().map_err(|error| injector.error(error.to_string()))?;
    if let Some(db) = source.handed_in::<D>() {
        let histories = source.framework_histories();
        if !histories.is_empty() {
            db.prepare(&settings, &histories).await.map_err(failed)?;
        }
        let db = db.naming_callers(&settings).map_err(failed)?;
        return Ok((db, HANDED_IN.to_owned()));
    }
    let location = source.location::<D>(&settings);
    let location = location.map_err(|error| injector.error(error.to_string()))?;
    let pools = &source.common.pools;
    let db = Db::open_in(pools, &location, &settings, &source.histories()).await.map_err(failed)?;
    let described = match db.isolation().await {
        Ok(isolation) => format!("{location}, {isolation}"),
        Err(error) => format!("{location}, and what it reaches cannot be told: {error}"),
    };
    Ok((db, described))
}

/// Applies what the module's database lacks, and opens nothing for the module.
pub(crate) async fn migrate<D: ModuleDatabase>(source: &Source) -> Result<Migrated, OpenError> {
    let settings = source.settings()?;
    let mut histories = source.histories();
    if let Some(db) = source.handed_in::<D>() {
        histories = source.framework_histories();
        // The role of the pool need not be the one that owns the tables.
        if settings.migrate_url.is_none() || histories.is_empty() {
            let applied = db.migrate(&histories).await?;
            return Ok(Migrated { location: HANDED_IN.to_owned(), applied });
        }
    }
    let location = match &settings.migrate_url {
        Some(url) => Location::Url(url.expose().clone()),
        None => source.location::<D>(&settings)?,
    };
    let settings = DbSettings { connections: Some(1), ..settings };
    let applied = Db::<D>::migrate_at(&location, &settings, &histories).await?;
    Ok(Migrated { location: location.to_string(), applied })
}

#[cfg(test)]
mod tests {
    use super::*;
    #[cfg(feature = "sqlite")]
    use sqlx::{Sqlite, SqlitePool};

    #[test]
    fn a_module_shares_a_pool_by_the_url_of_all_or_by_a_role() {
        let secret = |url: &str| Some(Secret::new(url.to_owned()));
        let location = |common: Option<&str>, own: Option<&str>, role: Option<&str>| {
            let common = Common {
                app: "my-shop".to_owned(),
                url: common.and_then(secret),
                migrate: Migrate::Start,
                caller: false,
                pools: SharedPools::new(1),
            };
            let (url, role) = (own.and_then(secret), role.map(str::to_owned));
            let settings = DbSettings { url, role, ..DbSettings::default() };
            match common.location("in-stock", &settings) {
                None => "a file".to_owned(),
                Some(Location::Shared { url, role }) => format!("{url} as {role}"),
                Some(Location::Url(url)) => url,
                Some(Location::File(file)) => panic!("{}", file.display()),
            }
        };
        let (all, own) = (Some("postgres://all"), Some("postgres://own"));
        assert_eq!(location(None, None, None), "a file");
        assert_eq!(location(None, own, None), "postgres://own");
        assert_eq!(location(all, own, None), "postgres://own");
        assert_eq!(location(all, None, None), "postgres://all as my_shop_in_stock");
        assert_eq!(location(all, None, Some("clerk")), "postgres://all as clerk");
        assert_eq!(location(None, own, Some("clerk")), "postgres://own as clerk");
    }

    /// The role of the pool may have no right to make tables.
    #[cfg(feature = "sqlite")]
    #[tokio::test]
    async fn beside_a_pool_that_main_hands_in_the_framework_s_tables_are_made_by_migrate_url() {
        let folder = std::env::temp_dir().join(format!("ml-handed-in-{}", std::process::id()));
        std::fs::create_dir_all(&folder).unwrap();
        let url = format!("sqlite://{}/owner.db?mode=rwc", folder.display());
        let pool = SqlitePool::connect_lazy("sqlite::memory:").unwrap();
        let handed_in = pool.clone();
        let mut source = Source {
            module: "orders",
            migrations: &[("0001_orders.sql", "CREATE TABLE orders (id BIGINT)")],
            work: &["settle"],
            events: false,
            settings: Ok(DbSettings {
                migrate_url: Some(Secret::new(url.clone())),
                ..DbSettings::default()
            }),
            variable: String::new(),
            folder: folder.clone(),
            pool: Box::new(move |kind| {
                let is = kind == TypeId::of::<SqlitePool>();
                is.then(|| Arc::new(handed_in.clone()) as Arc<dyn Any + Send + Sync>)
            }),
            common: Arc::new(Common {
                app: "shop".to_owned(),
                url: None,
                migrate: Migrate::Never,
                caller: false,
                pools: SharedPools::new(1),
            }),
            strict: false,
            shares: false,
        };
        let migrated = migrate::<Sqlite>(&source).await.unwrap();
        assert_ne!(migrated.location, HANDED_IN);
        let owner = SqlitePool::connect(&url).await.unwrap();
        let tables = "SELECT COUNT(*) FROM sqlite_master WHERE name = $1";
        for (table, in_owner) in [("monolift_work", 1), ("orders", 0)] {
            let count = sqlx::query_scalar::<_, i64>(tables).bind(table);
            assert_eq!(count.fetch_one(&owner).await.unwrap(), in_owner, "{table}");
        }
        source.settings = Ok(DbSettings::default());
        let migrated = migrate::<Sqlite>(&source).await.unwrap();
        assert_eq!((migrated.location.as_str(), migrated.applied.is_empty()), (HANDED_IN, false));
        owner.close().await;
        std::fs::remove_dir_all(&folder).unwrap();
    }
}
