//! A SQLite database with the usual settings of a server: write-ahead log, one connection that
//! writes, several that read.

use sqlx::{
    Sqlite, SqlitePool, Transaction,
    sqlite::{SqliteConnectOptions, SqliteJournalMode, SqlitePoolOptions, SqliteSynchronous},
};
use std::{
    path::Path,
    time::{Duration, SystemTime, UNIX_EPOCH},
};
use tonic::Status;

/// One database.
#[derive(Debug, Clone)]
pub(super) struct Book {
    pub(super) reads: SqlitePool,
    writes: SqlitePool,
}

impl Book {
    pub(super) async fn open(folder: &Path, name: &str, schema: &str) -> anyhow::Result<Self> {
        std::fs::create_dir_all(folder)?;
        let options = SqliteConnectOptions::new()
            .filename(folder.join(format!("{name}.sqlite")))
            .create_if_missing(true)
            .journal_mode(SqliteJournalMode::Wal)
            .synchronous(SqliteSynchronous::Normal)
            .busy_timeout(Duration::from_secs(5));
        let pool = |most| SqlitePoolOptions::new().max_connections(most);
        let writes = pool(1).connect_with(options.clone()).await?;
        sqlx::raw_sql(sqlx::AssertSqlSafe(schema.to_owned())).execute(&writes).await?;
        Ok(Self { reads: pool(5).connect_with(options).await?, writes })
    }

    pub(super) async fn write(&self) -> Result<Transaction<'static, Sqlite>, Status> {
        self.writes.begin_with("BEGIN IMMEDIATE").await.map_err(broken)
    }
}

/// The error for a failure of the database.
pub(super) fn broken(error: sqlx::Error) -> Status {
    Status::internal(error.to_string())
}

pub(super) fn now_ms() -> i64 {
    let since = SystemTime::now().duration_since(UNIX_EPOCH).unwrap_or_default();
    i64::try_from(since.as_millis()).unwrap_or(i64::MAX)
}
