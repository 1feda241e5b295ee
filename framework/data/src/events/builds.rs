//! The builds of a read model: which of them answers, and which is being made.
//!
//! A build is a listener of its own: it has its own offers at the publishers, its own inbox, and its own rows, which have
//! its number in the column `monolift_build`. So a new build begins with the first event that is kept and goes through the
//! same delivery as any listener, beside the build that answers. The switch is one transaction of the module's database.

use super::{
    statements::{now, number},
    tables::EPOCH,
};
use crate::{Backend, Column, Db, ModuleDatabase, quoted};
use sqlx::{Any, Database};
use std::{fmt, marker::PhantomData, sync::Arc};

/// Rows of an old build that are deleted in one transaction.
const AT_ONCE: u64 = 1_000;

/// Tables that are fed by events and can be built anew from zero, injected: `model: ReadModel`, or
/// `model: ReadModel<Postgres>` beside a `Db<Postgres>`.
///
/// Each of the tables has a column `monolift_build BIGINT NOT NULL`, the first of its primary key. A handler writes
/// [`Delivery::build`](super::Delivery::build) there, and a reader asks for the rows of the build that answers:
///
/// ```
/// # use monolift_data::{Db, events::ReadModel};
/// # async fn read(db: Db, model: ReadModel) -> Result<(), sqlx::Error> {
/// let mut tx = db.read().await?;
/// let build = model.answering(&mut tx).await?;
/// let sold: Vec<(String, i64)> =
///     sqlx::query_as("SELECT sku, units FROM sales WHERE monolift_build = $1")
///         .bind(build)
///         .fetch_all(&mut *tx)
///         .await?;
/// tx.commit().await?;
/// # Ok(()) }
/// ```
///
/// The transaction sees one build, whole. The rows of an old build are kept for ten minutes after the switch as well.
pub struct ReadModel<D: Database = Any> {
    module: Arc<str>,
    db: PhantomData<fn() -> D>,
}

impl<D: Database> fmt::Debug for ReadModel<D> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "ReadModel({})", self.module)
    }
}

impl<D: Database> Clone for ReadModel<D> {
    fn clone(&self) -> Self {
        Self { module: Arc::clone(&self.module), db: PhantomData }
    }
}

impl<D: ModuleDatabase> ReadModel<D> {
    /// That of a module.
    pub(crate) fn new(module: &str) -> Self {
        Self { module: module.into(), db: PhantomData }
    }

    /// The number of the build that answers. Ask once for each answer, and use the number in all of its statements, in the
    /// same transaction.
    pub async fn answering(&self, tx: &mut D::Connection) -> Result<i64, sqlx::Error> {
        let sql = "SELECT CAST(COALESCE(MAX(number), 1) AS BIGINT) FROM monolift_builds \
            WHERE module = $1 AND state = 'answering'";
        let answering = number::<D>(tx, sql, vec![(&*self.module).into()]).await?;
        Ok(answering.unwrap_or(FIRST))
    }
}

/// The build of a module that was never built anew.
const FIRST: i64 = 1;

/// A module as its publishers and its inbox know it: by its name, and from the second build on by that of the build.
#[derive(Debug, Clone)]
pub(super) struct Hearer {
    pub(super) module: Arc<str>,
    pub(super) listener: Arc<str>,
    pub(super) build: i64,
}

impl Hearer {
    pub(super) fn first(module: &Arc<str>) -> Self {
        Self::of(module, FIRST)
    }

    pub(super) fn of(module: &Arc<str>, build: i64) -> Self {
        let listener = match build {
            FIRST => Arc::clone(module),
            later => format!("{module}.{later}").into(),
        };
        Self { module: Arc::clone(module), listener, build }
    }

    /// Whether it begins with the first event that is kept, whatever the module says of a new listener.
    pub(super) fn is_rebuild(&self) -> bool {
        self.build > FIRST
    }
}

#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum Stage {
    /// It is filled from the first event on, and not read yet.
    Building,
    /// It is read.
    Answering,
    /// It is neither made nor read any more, and its rows are to be deleted.
    Retired,
}

#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) struct Build {
    pub(super) number: i64,
    pub(super) stage: Stage,
    /// For how long it has been at this stage.
    pub(super) for_ms: i64,
}

/// The builds of a module, without those that are gone.
pub(super) async fn all<D: ModuleDatabase>(
    db: &Db<D>,
    module: &str,
) -> Result<Vec<Build>, sqlx::Error> {
    let now = now(db.backend());
    let sql = format!(
        "SELECT number, state, {now} - since_ms FROM monolift_builds \
         WHERE module = $1 AND state <> 'gone' AND epoch <= {EPOCH} ORDER BY number"
    );
    const COLUMNS: &[Column] = &[Column::Number, Column::Text, Column::Number];
    let rows = db.rows(sql.into(), vec![module.into()], COLUMNS).await?;
    if rows.is_empty() {
        return Ok(vec![Build { number: FIRST, stage: Stage::Answering, for_ms: 0 }]);
    }
    let build = |row: &Vec<crate::Value>| Build {
        number: row[0].number(),
        stage: match row[1].text() {
            Some("building") => Stage::Building,
            Some("answering") => Stage::Answering,
            _ => Stage::Retired,
        },
        for_ms: row[2].number(),
    };
    Ok(rows.iter().map(build).collect())
}

/// Begins a new build. One that is being made is broken off.
pub(super) async fn begin<D: ModuleDatabase>(db: &Db<D>, module: &str) -> Result<i64, sqlx::Error> {
    let now = now(db.backend());
    let mut tx = db.write().await?;
    let sql = format!(
        "INSERT INTO monolift_builds (module, number, state, since_ms, epoch) \
         SELECT CAST($1 AS TEXT), {FIRST}, 'answering', {now}, {EPOCH} \
         WHERE NOT EXISTS (SELECT 1 FROM monolift_builds WHERE module = $1)"
    );
    D::execute(&mut tx, sql.into(), vec![module.into()]).await?;
    let sql = format!(
        "UPDATE monolift_builds SET state = 'retired', since_ms = {now} \
         WHERE module = $1 AND state = 'building' AND epoch <= {EPOCH}"
    );
    D::execute(&mut tx, sql.into(), vec![module.into()]).await?;
    let sql = format!(
        "INSERT INTO monolift_builds (module, number, state, since_ms, epoch) \
         SELECT CAST($1 AS TEXT), MAX(number) + 1, 'building', {now}, {EPOCH} \
         FROM monolift_builds WHERE module = $1 RETURNING number"
    );
    let begun = number::<D>(&mut tx, &sql, vec![module.into()]).await?;
    tx.commit().await?;
    begun.ok_or(sqlx::Error::RowNotFound)
}

/// Has a build answer instead of the one before. `false` if it was broken off, or answers already.
pub(super) async fn switch<D: ModuleDatabase>(
    db: &Db<D>,
    module: &str,
    build: i64,
) -> Result<bool, sqlx::Error> {
    let now = now(db.backend());
    let values = vec![module.into(), build.into()];
    let mut tx = db.write().await?;
    let sql = format!(
        "UPDATE monolift_builds SET state = 'answering', since_ms = {now} \
         WHERE module = $1 AND number = $2 AND state = 'building' AND epoch <= {EPOCH}"
    );
    if D::execute(&mut tx, sql.into(), values.clone()).await? == 0 {
        tx.rollback().await?;
        return Ok(false);
    }
    let sql = format!(
        "UPDATE monolift_builds SET state = 'retired', since_ms = {now} \
         WHERE module = $1 AND number <> $2 AND state = 'answering'"
    );
    D::execute(&mut tx, sql.into(), values).await?;
    tx.commit().await?;
    Ok(true)
}

/// Breaks off a build that is being made.
pub(super) async fn give_up<D: ModuleDatabase>(
    db: &Db<D>,
    hearer: &Hearer,
) -> Result<(), sqlx::Error> {
    let sql = format!(
        "UPDATE monolift_builds SET state = 'retired', since_ms = {} \
         WHERE module = $1 AND number = $2 AND state = 'building' AND epoch <= {EPOCH}",
        now(db.backend())
    );
    db.change(sql.into(), vec![(&*hearer.module).into(), hearer.build.into()]).await.map(drop)
}

/// Deletes the rows of a retired build, and what it has handled.
pub(super) async fn forget<D: ModuleDatabase>(
    db: &Db<D>,
    hearer: &Hearer,
) -> Result<(), sqlx::Error> {
    for table in tables(db).await? {
        while delete_some(db, &table, hearer.build).await? == AT_ONCE {}
    }
    let mut tx = db.write().await?;
    for table in ["monolift_inbox", "monolift_inbox_keys"] {
        let sql = format!("DELETE FROM {table} WHERE module = $1");
        D::execute(&mut tx, sql.into(), vec![(&*hearer.listener).into()]).await?;
    }
    // Its number is never used again.
    let sql = "UPDATE monolift_builds SET state = 'gone' \
        WHERE module = $1 AND number = $2 AND state = 'retired'";
    let values = vec![(&*hearer.module).into(), hearer.build.into()];
    D::execute(&mut tx, sql.into(), values).await?;
    tx.commit().await
}

/// The tables of the read model: those with its column.
async fn tables<D: ModuleDatabase>(db: &Db<D>) -> Result<Vec<String>, sqlx::Error> {
    let sql = match db.backend() {
        Backend::Sqlite => {
            "SELECT m.name FROM sqlite_master m JOIN pragma_table_info(m.name) c \
             ON c.name = 'monolift_build' WHERE m.type = 'table'"
        }
        Backend::Postgres => {
            "SELECT CAST(c.relname AS TEXT) FROM pg_class c \
             JOIN pg_namespace n ON n.oid = c.relnamespace AND n.nspname = current_schema() \
             JOIN pg_attribute a ON a.attrelid = c.oid AND a.attname = 'monolift_build' \
             AND NOT a.attisdropped WHERE c.relkind = 'r'"
        }
    };
    let rows = db.rows(sql.into(), Vec::new(), &[Column::Text]).await?;
    Ok(rows.iter().filter_map(|row| row[0].text().map(str::to_owned)).collect())
}

async fn delete_some<D: ModuleDatabase>(
    db: &Db<D>,
    table: &str,
    build: i64,
) -> Result<u64, sqlx::Error> {
    let place = match db.backend() {
        Backend::Sqlite => "rowid",
        Backend::Postgres => "ctid",
    };
    let table = quoted(table);
    let sql = format!(
        "DELETE FROM {table} WHERE {place} IN \
         (SELECT {place} FROM {table} WHERE monolift_build = $1 LIMIT {AT_ONCE})"
    );
    db.change(sql.into(), vec![build.into()]).await
}
