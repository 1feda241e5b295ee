//! What stands in the table, for people: what waits, what is parked and why, and how to run it again.

use super::statements::Statements;
use crate::{Backend, Column, Db, ModuleDatabase, Value};
use sqlx::{Any, Database};
use std::sync::Arc;

/// One module's durable work, as a person looks at it.
#[derive(Debug)]
pub struct Ledger<D: Database = Any> {
    db: Db<D>,
    module: String,
    clock: Arc<str>,
}

/// How many pieces of one kind are where.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Standing {
    /// The kind.
    pub name: String,
    /// Those that are to be done, now or later.
    pub waiting: i64,
    /// Those that are being done.
    pub at_work: i64,
    /// Those that have failed at least once, and are tried again.
    pub failing: i64,
    /// Those that are left alone until somebody runs them again.
    pub parked: i64,
    /// For how long the one has been due that has waited the longest, in milliseconds.
    pub oldest_ms: i64,
}

/// A piece that is left alone until somebody runs it again.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Parked {
    /// Its number.
    pub id: String,
    /// Its kind.
    pub name: String,
    /// What is to be done, as JSON.
    pub payload: String,
    /// How often it was tried.
    pub attempts: i64,
    /// How it failed last.
    pub error: String,
    /// For how long it has been parked, in milliseconds.
    pub parked_for_ms: i64,
}

impl<D: ModuleDatabase> Ledger<D> {
    /// That of a module, in its database.
    pub fn of(db: Db<D>, module: &str) -> Self {
        let clock = Statements::of(db.backend(), &[], None).clock;
        Self { db, module: module.to_owned(), clock }
    }

    /// The same, unless the module has no durable work, and so no table for it.
    pub async fn existing(self) -> Result<Option<Self>, sqlx::Error> {
        let sql = match self.db.backend() {
            Backend::Sqlite => "SELECT COUNT(*) FROM sqlite_master WHERE name = 'monolift_work'",
            Backend::Postgres => {
                "SELECT COUNT(*) FROM pg_tables \
                 WHERE tablename = 'monolift_work' AND schemaname = current_schema()"
            }
        };
        let rows = self.rows(sql, Vec::new(), &[Column::Number]).await?;
        Ok((rows.first().is_some_and(|row| row[0].number() > 0)).then_some(self))
    }

    /// How many pieces there are of each kind.
    pub async fn standing(&self) -> Result<Vec<Standing>, sqlx::Error> {
        let now = self.now().await?;
        let sql = "SELECT name, \
            SUM(CASE WHEN parked_at_ms IS NULL AND leased_till_ms <= $2 THEN 1 ELSE 0 END), \
            SUM(CASE WHEN parked_at_ms IS NULL AND leased_till_ms > $2 THEN 1 ELSE 0 END), \
            SUM(CASE WHEN parked_at_ms IS NULL AND attempts > 0 AND error IS NOT NULL \
                THEN 1 ELSE 0 END), \
            SUM(CASE WHEN parked_at_ms IS NULL THEN 0 ELSE 1 END), \
            MAX(CASE WHEN parked_at_ms IS NULL AND leased_till_ms <= $2 AND due_at_ms <= $2 \
                THEN $2 - due_at_ms ELSE 0 END) \
            FROM monolift_work WHERE module = $1 GROUP BY name ORDER BY name";
        const COLUMNS: &[Column] = &[
            Column::Text,
            Column::Number,
            Column::Number,
            Column::Number,
            Column::Number,
            Column::Number,
        ];
        let values = vec![self.module.as_str().into(), now.into()];
        let rows = self.rows(sql, values, COLUMNS).await?;
        let standing = rows.iter().map(|row| Standing {
            name: row[0].text().unwrap_or_default().to_owned(),
            waiting: row[1].number(),
            at_work: row[2].number(),
            failing: row[3].number(),
            parked: row[4].number(),
            oldest_ms: row[5].number(),
        });
        Ok(standing.collect())
    }

    /// The pieces that are parked, the longest first; at most `most`.
    pub async fn parked(&self, most: u32) -> Result<Vec<Parked>, sqlx::Error> {
        let now = self.now().await?;
        let sql = "SELECT id, name, payload, attempts, error, $2 - parked_at_ms \
            FROM monolift_work WHERE module = $1 AND parked_at_ms IS NOT NULL \
            ORDER BY parked_at_ms LIMIT $3";
        const COLUMNS: &[Column] = &[
            Column::Text,
            Column::Text,
            Column::Text,
            Column::Number,
            Column::Text,
            Column::Number,
        ];
        let values = vec![self.module.as_str().into(), now.into(), i64::from(most).into()];
        let rows = self.rows(sql, values, COLUMNS).await?;
        let parked = rows.iter().map(|row| {
            let text = |at: usize| row[at].text().unwrap_or_default().to_owned();
            Parked {
                id: text(0),
                name: text(1),
                payload: text(2),
                attempts: row[3].number(),
                error: text(4),
                parked_for_ms: row[5].number(),
            }
        });
        Ok(parked.collect())
    }

    /// Has parked pieces done again, as if they were new: the one of this number, or all.
    pub async fn run_again(&self, id: Option<&str>) -> Result<u64, sqlx::Error> {
        let now = self.now().await?;
        let sql = "UPDATE monolift_work SET parked_at_ms = NULL, attempts = 0, due_at_ms = $2 \
            WHERE module = $1 AND parked_at_ms IS NOT NULL AND (id = $3 OR $3 IS NULL)";
        let id = Value::Text(id.map(str::to_owned));
        self.change(sql, vec![self.module.as_str().into(), now.into(), id]).await
    }

    /// Gives up a parked piece for good.
    pub async fn give_up(&self, id: &str) -> Result<bool, sqlx::Error> {
        let sql = "DELETE FROM monolift_work \
            WHERE module = $1 AND id = $2 AND parked_at_ms IS NOT NULL";
        Ok(self.change(sql, vec![self.module.as_str().into(), id.into()]).await? > 0)
    }

    pub(super) fn module(&self) -> &str {
        &self.module
    }

    pub(super) async fn now(&self) -> Result<i64, sqlx::Error> {
        let sql = Arc::clone(&self.clock);
        let rows = self.db.rows(sql, Vec::new(), &[Column::Number]).await?;
        Ok(rows.first().map_or(0, |row| row[0].number()))
    }

    pub(super) async fn rows(
        &self,
        sql: &str,
        values: Vec<Value>,
        columns: &'static [Column],
    ) -> Result<Vec<Vec<Value>>, sqlx::Error> {
        self.db.rows(sql.into(), values, columns).await
    }

    pub(super) async fn change(&self, sql: &str, values: Vec<Value>) -> Result<u64, sqlx::Error> {
        let mut tx = self.db.write().await?;
        let changed = D::execute(&mut *tx, sql.into(), values).await?;
        tx.commit().await?;
        Ok(changed)
    }
}
