//! Pools that the modules of a process share: one for each URL.
//!
//! The login of a shared pool reaches nothing by itself. It is a member of each module's role, and every transaction
//! takes on the role of its module. The modules take turns for the connections.
//!
//! Nothing is kept on a connection from one transaction to the next, so that a pooler such as PgBouncer can give each
//! transaction another connection of the server. So statements are prepared each time they run: what sqlx keeps of
//! them would also be wrong, because one text means different tables in different roles.

use super::{
    Backend, Column, Db, DbSettings, Location, ModuleDatabase, OpenError,
    begins::{Begins, Role},
    begun::Begun,
    connecting::connect,
    line::{Line, places},
    open::ACQUIRE,
};
use crate::call::{Origin, turns::Turns};
use sqlx::{Pool, pool::PoolOptions};
use std::{any::Any, fmt, sync::Arc};
use tokio::sync::Mutex;

/// The pools that the modules of one process share.
pub struct SharedPools {
    /// The most connections of each.
    connections: u32,
    /// Each is a `SharedPool`.
    opened: Mutex<Vec<Box<dyn Any + Send>>>,
}

/// One of them.
struct SharedPool<D: ModuleDatabase> {
    url: String,
    pool: Pool<D>,
    turns: Arc<Turns>,
    /// The modules that use it, by their roles.
    members: Vec<String>,
}

impl fmt::Debug for SharedPools {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("SharedPools")
    }
}

impl SharedPools {
    /// None is opened yet. Each has this many connections at most.
    pub fn new(connections: u32) -> Self {
        Self { connections: connections.max(1), opened: Mutex::default() }
    }

    /// The database behind `url` for the module that has `role`.
    pub(super) async fn join<D: ModuleDatabase>(
        &self,
        url: &str,
        role: &str,
        settings: &DbSettings,
    ) -> Result<Db<D>, JoinError> {
        let (pool, turns, module) = self.pool::<D>(url, role).await?;
        let (role, role_settings) = find(&pool, role).await?;
        let line = Line::sharing(settings.connections(), turns, module);
        let begins = Begins::as_role(role, &role_settings);
        Ok(Db::in_line(pool, line, Backend::Postgres, begins))
    }

    /// The pool of `url`, the turns for its connections, and who the module with `role` is in them.
    async fn pool<D: ModuleDatabase>(
        &self,
        url: &str,
        role: &str,
    ) -> Result<(Pool<D>, Arc<Turns>, Origin), sqlx::Error> {
        let mut opened = self.opened.lock().await;
        let is_it = |one: &Box<dyn Any + Send>| {
            one.downcast_ref::<SharedPool<D>>().is_some_and(|one| one.url == url)
        };
        let found = opened.iter().position(is_it);
        let at = match found {
            Some(at) => at,
            None => {
                opened.push(Box::new(SharedPool::<D>::open(url, self.connections).await?));
                opened.len() - 1
            }
        };
        let shared = opened[at].downcast_mut::<SharedPool<D>>().expect("it is of this type");
        let member = shared.members.iter().position(|member| member == role);
        let member = member.unwrap_or_else(|| {
            shared.members.push(role.to_owned());
            shared.members.len() - 1
        });
        let module = Origin { peer: u32::try_from(member).unwrap_or(u32::MAX), client: 0 };
        Ok((shared.pool.clone(), Arc::clone(&shared.turns), module))
    }
}

/// Why a module cannot use a shared pool.
#[derive(Debug)]
pub(super) enum JoinError {
    /// The database did not answer, or refused.
    Database(sqlx::Error),
    /// The login cannot take on the role.
    NotAMember(OpenError),
}

impl From<sqlx::Error> for JoinError {
    fn from(error: sqlx::Error) -> Self {
        Self::Database(error)
    }
}

/// `$1` a role. Who logs in, whether the role exists, and whether the login is a member of it.
const MEMBER: &str = "SELECT current_user::TEXT, \
    (SELECT COUNT(*) FROM pg_roles WHERE rolname::TEXT = $1), \
    (SELECT COUNT(*) FROM pg_roles WHERE rolname::TEXT = $1 AND pg_has_role(current_user, oid, 'MEMBER'))";
const MEMBER_COLUMNS: &[Column] = &[Column::Text, Column::Number, Column::Number];

/// `$1` a role. What `ALTER ROLE … SET` has set for it, as statements for a transaction: taking on a role does not set
/// it, a login does. Settings that are lists are stored as they are written.
const SETTINGS: &str = "SELECT 'SET LOCAL ' || known.name || ' TO ' || \
    CASE WHEN known.name IN ('search_path', 'temp_tablespaces') THEN given.value \
    ELSE quote_literal(given.value) END \
    FROM pg_db_role_setting AS of_role \
    JOIN pg_roles ON pg_roles.oid = of_role.setrole AND rolname::TEXT = $1 \
    CROSS JOIN LATERAL (SELECT left(entry, strpos(entry, '=') - 1) AS name, \
        substr(entry, strpos(entry, '=') + 1) AS value FROM unnest(of_role.setconfig) AS entry) AS given \
    JOIN pg_settings AS known ON lower(known.name) = lower(given.name) AND known.context = 'user' \
    WHERE of_role.setdatabase IN (0, (SELECT oid FROM pg_database WHERE datname = current_database())) \
    ORDER BY of_role.setdatabase";

impl<D: ModuleDatabase> SharedPool<D> {
    async fn open(url: &str, connections: u32) -> Result<Self, sqlx::Error> {
        let mark = if url.contains('?') { '&' } else { '?' };
        let options = PoolOptions::<D>::new()
            .max_connections(connections)
            .acquire_timeout(ACQUIRE)
            // Each use begins a transaction, which shows that the connection is alive.
            .test_before_acquire(false);
        let whole_url = format!("{url}{mark}statement-cache-capacity=0");
        let pool = connect(options, &whole_url, &Location::Url(url.to_owned())).await?;
        let (turns, url) = (places(connections), url.to_owned());
        Ok(Self { url, pool, turns, members: Vec::new() })
    }
}

/// The role of this name, once it is known that the login of `pool` can take it on, and statements that set what its own
/// login would set.
async fn find<D: ModuleDatabase>(
    pool: &Pool<D>,
    name: &str,
) -> Result<(Role, Vec<String>), JoinError> {
    let mut tx = Begun::begin(pool, Backend::Postgres, Begins::as_login()).await?;
    let values = || vec![name.into()];
    let member = D::rows(tx.connection_mut(), MEMBER.into(), values(), MEMBER_COLUMNS).await?;
    let member = member.first().ok_or(sqlx::Error::RowNotFound)?;
    let login = member[0].text().unwrap_or_default().to_owned();
    let why = match (member[1].number(), member[2].number()) {
        (0, _) => Some("there is no such role"),
        (_, 0) => Some("it is no member of that role"),
        _ => None,
    };
    if let Some(why) = why {
        return Err(JoinError::NotAMember(OpenError::new(format!(
            "the login {login} cannot take on the role {name}: {why}. `cargo monolift db init --shared` makes both; \
             `role` in the module's section names another role"
        ))));
    }
    let settings = D::rows(tx.connection_mut(), SETTINGS.into(), values(), &[Column::Text]).await?;
    tx.commit().await?;
    let settings = settings.iter().filter_map(|row| row[0].text().map(str::to_owned));
    Ok((Role { name: name.to_owned(), login }, settings.collect()))
}
