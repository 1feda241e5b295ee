//! The framework's own tables in a module's database, and which releases can use them.
//!
//! The version of the tables is the number of their last migration. Each migration states in
//! `monolift_tables` the oldest version whose releases can still use the tables after it. A process that
//! finds a migration that it does not know reads that, and goes on or does not start.
//!
//! During a rolling restart two releases in a row share the tables. So a migration may not ask for more than
//! the last version of the release before it.
//!
//! Rows belong to a module and to an epoch of its ownership, so that a module can move with its rows.
//! `monolift_tables` describes the other tables and stays with them.

use crate::{History, Migration};

/// The epoch in which this process owns its module. Nothing moves a module yet, so it is the first one.
///
/// A process takes no row of a later epoch. So raising the epoch of a module's rows takes them from their old
/// owner, and ends its leases.
pub(super) const EPOCH: i64 = 0;

/// That of the framework's tables, in each module's database that has work.
pub fn history() -> History<'static> {
    history_of(MIGRATIONS)
}

/// That of a release with these migrations.
pub(super) fn history_of(migrations: &[Migration]) -> History<'_> {
    let table = "monolift_migrations".to_owned();
    History { table, migrations, readers: Some("monolift_tables") }
}

pub(super) const MIGRATIONS: &[Migration] = &[
    (
        "0001_work.sql",
        "CREATE TABLE monolift_work (
        id             TEXT   NOT NULL PRIMARY KEY,
        module         TEXT   NOT NULL,
        name           TEXT   NOT NULL,
        key            TEXT,
        payload        TEXT   NOT NULL,
        trace          TEXT,
        due_at_ms      BIGINT NOT NULL,
        attempts       BIGINT NOT NULL,
        holder         TEXT,
        leased_till_ms BIGINT NOT NULL,
        parked_at_ms   BIGINT,
        error          TEXT,
        made_at_ms     BIGINT NOT NULL,
        UNIQUE (module, name, key)
    );
    CREATE INDEX monolift_work_due ON monolift_work (module, due_at_ms);",
    ),
    (
        // A release that does not know epochs adds rows of the first one, and takes no others while
        // nothing moves a module.
        "0002_epochs.sql",
        "ALTER TABLE monolift_work ADD COLUMN epoch BIGINT NOT NULL DEFAULT 0;
    CREATE TABLE monolift_tables (
        version        BIGINT NOT NULL PRIMARY KEY,
        readable_since BIGINT NOT NULL
    );
    INSERT INTO monolift_tables (version, readable_since) VALUES (1, 1), (2, 1);",
    ),
    (
        "0003_subjects.sql",
        "ALTER TABLE monolift_work ADD COLUMN subject TEXT;
    CREATE INDEX monolift_work_subjects ON monolift_work (subject, module, id)
        WHERE subject IS NOT NULL;
    INSERT INTO monolift_tables (version, readable_since) VALUES (3, 1);",
    ),
];
