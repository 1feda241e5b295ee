//! The lock of those who migrate a PostgreSQL database: one at a time, whatever their modules are.
//!
//! It is the lock that sqlx takes, so that programs with sqlx's own migrations wait too. It is never waited for
//! within a statement: building an index concurrently waits for every statement that runs, and two that wait for
//! each other would be a deadlock.

use super::{Column, ModuleDatabase, Value};
use std::time::Duration;

/// How long one who waits pauses.
const PAUSE: Duration = Duration::from_millis(50);

/// A lock of PostgreSQL's, by its number.
#[derive(Debug, Clone, Copy)]
pub(super) struct Lock(i64);

impl Lock {
    /// That of the database behind `connection`.
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
    ) -> Result<(), sqlx::Error> {
        while !self.ask::<D>(connection, "SELECT pg_try_advisory_lock($1)::INT::BIGINT").await? {
            Self::pause().await;
        }
        Ok(())
    }

    pub(super) async fn release<D: ModuleDatabase>(
        self,
        connection: &mut D::Connection,
    ) -> Result<(), sqlx::Error> {
        self.ask::<D>(connection, "SELECT pg_advisory_unlock($1)::INT::BIGINT").await.map(drop)
    }

    pub(super) async fn pause() {
        tokio::time::sleep(PAUSE).await;
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
