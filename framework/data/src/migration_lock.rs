//! The lock of those who migrate a PostgreSQL database: one at a time, whatever their modules are.
//!
//! It is the lock that sqlx takes, so that programs with sqlx's own migrations wait too. It is never waited for
//! within a statement: building an index concurrently waits for every statement that runs, and two that wait for
//! each other would be a deadlock.
//!
//! Programs with sqlx's own migrator, and releases of Monolift that used it, wait within a statement. If one of them
//! waits while an index is built concurrently, PostgreSQL ends the build as a deadlock. Nothing here can prevent that.

use super::{Column, ModuleDatabase, Value};
use std::time::Duration;
use tokio::time::Instant;

/// Pause between two attempts to take the lock.
const PAUSE: Duration = Duration::from_millis(50);

/// A process that has waited this long for the lock says so.
const LONG: Duration = Duration::from_secs(2);

/// A lock of PostgreSQL's, by its number.
#[derive(Debug, Clone, Copy)]
pub(super) struct Lock(i64);

impl Lock {
    /// The lock of the database behind `connection`.
    pub(super) async fn of<D: ModuleDatabase>(
        connection: &mut D::Connection,
    ) -> Result<Self, sqlx::Error> {
        let sql = "SELECT current_database()::TEXT";
        let rows = D::rows(connection, sql.into(), Vec::new(), &[Column::Text]).await?;
        Ok(Self::of_name(rows[0][0].text().unwrap_or_default()))
    }

    fn of_name(database: &str) -> Self {
        Self(0x3d32_ad9e * i64::from(crc32(database.as_bytes())))
    }

    /// Takes it until the transaction ends, or not at all.
    pub(super) async fn take_in_transaction<D: ModuleDatabase>(
        self,
        connection: &mut D::Connection,
    ) -> Result<bool, sqlx::Error> {
        self.ask::<D>(connection, "SELECT pg_try_advisory_xact_lock($1)::INT::BIGINT").await
    }

    /// Waits for it, and takes it until it is released or the connection ends.
    pub(super) async fn take<D: ModuleDatabase>(
        self,
        connection: &mut D::Connection,
        waiting: &mut Waiting<'_>,
    ) -> Result<(), sqlx::Error> {
        while !self.ask::<D>(connection, "SELECT pg_try_advisory_lock($1)::INT::BIGINT").await? {
            waiting.pause().await;
        }
        Ok(())
    }

    /// Whether another process has it. Those that only ask are not in each other's way.
    pub(super) async fn is_taken<D: ModuleDatabase>(
        self,
        connection: &mut D::Connection,
    ) -> Result<bool, sqlx::Error> {
        let ask = "SELECT pg_try_advisory_xact_lock_shared($1)::INT::BIGINT";
        self.ask::<D>(connection, ask).await.map(|free| !free)
    }

    pub(super) async fn release<D: ModuleDatabase>(
        self,
        connection: &mut D::Connection,
    ) -> Result<(), sqlx::Error> {
        self.ask::<D>(connection, "SELECT pg_advisory_unlock($1)::INT::BIGINT").await.map(drop)
    }

    async fn ask<D: ModuleDatabase>(
        self,
        connection: &mut D::Connection,
        sql: &str,
    ) -> Result<bool, sqlx::Error> {
        let rows = D::rows(connection, sql.into(), vec![Value::from(self.0)], &[Column::Number]);
        Ok(rows.await?[0][0].number() != 0)
    }
}

/// A wait for the lock, which is logged once if it is long.
pub(super) struct Waiting<'a> {
    history: &'a str,
    since: Instant,
    is_told: bool,
}

impl<'a> Waiting<'a> {
    /// For the process that migrates the table `history`.
    pub(super) fn of(history: &'a str) -> Self {
        Self { history, since: Instant::now(), is_told: false }
    }

    pub(super) async fn pause(&mut self) {
        if !self.is_told && self.since.elapsed() >= LONG {
            self.is_told = true;
            let history = self.history;
            tracing::info!(history, "waits for another process that migrates this database");
        }
        tokio::time::sleep(PAUSE).await;
    }
}

/// The checksum of zip files, which sqlx makes the lock's number from.
fn crc32(bytes: &[u8]) -> u32 {
    let bit = |crc: u32| (crc >> 1) ^ (0xEDB8_8320 & (crc & 1).wrapping_neg());
    let byte = |crc: u32, byte: &u8| (0..8).fold(crc ^ u32::from(*byte), |crc, _| bit(crc));
    !bytes.iter().fold(!0, byte)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_number_is_the_one_that_sqlx_takes() {
        assert_eq!(crc32(b"123456789"), 0xCBF4_3926);
        assert_eq!(Lock::of_name("123456789").0, 0x3d32_ad9e * 0xCBF4_3926);
    }
}
