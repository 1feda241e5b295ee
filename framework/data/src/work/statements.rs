//! The table's statements, for one module and the pieces that it knows.

use super::tables::EPOCH;
use crate::Backend;
use std::sync::Arc;

/// They are made once for each worker or queue.
#[derive(Debug, Clone)]
pub(super) struct Statements {
    /// `$1` module, `$2` id, `$3` name, `$4` key, `$5` payload, `$6` trace, `$7` delay, `$8` subject.
    pub(super) insert: Arc<str>,
    /// `$1` module, `$2` name, `$3` key. One that is at work goes too: its outcome is not asked for.
    pub(super) cancel: Arc<str>,
    /// `$1` module, then names. How many milliseconds until something is due.
    pub(super) wait: Arc<str>,
    /// `$1` module, `$2` holder, `$3` lease, `$4` how many, then names.
    pub(super) claim: Arc<str>,
    /// `$1` id, `$2` holder, `$3` lease.
    pub(super) renew: Arc<str>,
    /// `$1` id, `$2` holder.
    pub(super) done: Arc<str>,
    /// `$1` id, `$2` holder, `$3` error, `$4` pause.
    pub(super) again: Arc<str>,
    /// `$1` id, `$2` holder, `$3` error.
    pub(super) park: Arc<str>,
    /// `$1` id, `$2` holder: as if it had not been claimed.
    pub(super) give_back: Arc<str>,
    /// The same, for one that recurs: `$3` error, `$4` when.
    pub(super) recur: Arc<str>,
    /// `$1` module, `$2` name, `$3` when: for one that recurs and whose schedule is another now.
    pub(super) reschedule: Arc<str>,
    /// `$1` module, `$2` name. How many pieces of a kind are due.
    pub(super) due: Arc<str>,
    /// The database's clock.
    pub(super) clock: Arc<str>,
}

impl Statements {
    /// `schema` is where the table is, if the connection does not look there by itself.
    pub(super) fn of(backend: Backend, names: &[&str], schema: Option<&str>) -> Self {
        let table = match schema {
            None => "monolift_work".to_owned(),
            Some(schema) => format!("\"{}\".monolift_work", schema.replace('"', "\"\"")),
        };
        let (now, locked) = match backend {
            Backend::Sqlite => ("CAST(unixepoch('subsec') * 1000 AS BIGINT)", ""),
            Backend::Postgres => (
                "CAST(EXTRACT(EPOCH FROM clock_timestamp()) * 1000 AS BIGINT)",
                "FOR UPDATE SKIP LOCKED",
            ),
        };
        let known = |from: usize| {
            let places: Vec<String> =
                (from..from + names.len()).map(|number| format!("${number}")).collect();
            format!(
                "name IN ({})",
                if names.is_empty() { "NULL".into() } else { places.join(", ") }
            )
        };
        let own = format!("epoch <= {EPOCH}");
        let held = format!("WHERE id = $1 AND holder = $2 AND {own}");
        let free = "holder = NULL, leased_till_ms = 0";
        Self {
            insert: format!(
                "INSERT INTO {table} (module, id, name, key, payload, trace, due_at_ms, \
                 attempts, leased_till_ms, made_at_ms, subject, epoch) \
                 VALUES ($1, $2, $3, $4, $5, $6, {now} + $7, 0, 0, {now}, $8, {EPOCH}) \
                 ON CONFLICT (module, name, key) DO NOTHING"
            )
            .into(),
            cancel: format!(
                "DELETE FROM {table} WHERE module = $1 AND {own} AND name = $2 AND key = $3"
            )
            .into(),
            wait: format!(
                "SELECT MIN(CASE WHEN leased_till_ms > due_at_ms THEN leased_till_ms \
                 ELSE due_at_ms END) - {now} FROM {table} \
                 WHERE module = $1 AND {own} AND parked_at_ms IS NULL AND {}",
                known(2)
            )
            .into(),
            claim: format!(
                "WITH due AS MATERIALIZED (SELECT id FROM {table} WHERE module = $1 \
                 AND {own} AND parked_at_ms IS NULL AND due_at_ms <= {now} \
                 AND (leased_till_ms <= {now} OR leased_till_ms > {now} + $3) \
                 AND {} ORDER BY due_at_ms LIMIT $4 {locked}) \
                 UPDATE {table} SET holder = $2, leased_till_ms = {now} + $3, \
                 attempts = attempts + 1 WHERE id IN (SELECT id FROM due) \
                 RETURNING id, name, payload, trace, attempts",
                known(5)
            )
            .into(),
            renew: format!("UPDATE {table} SET leased_till_ms = {now} + $3 {held}").into(),
            done: format!("DELETE FROM {table} {held}").into(),
            again: format!("UPDATE {table} SET {free}, error = $3, due_at_ms = {now} + $4 {held}")
                .into(),
            park: format!("UPDATE {table} SET {free}, error = $3, parked_at_ms = {now} {held}")
                .into(),
            give_back: format!("UPDATE {table} SET {free}, attempts = attempts - 1 {held}").into(),
            recur: format!(
                "UPDATE {table} SET {free}, attempts = 0, error = $3, due_at_ms = $4 {held}"
            )
            .into(),
            reschedule: format!(
                "UPDATE {table} SET due_at_ms = $3 WHERE module = $1 AND {own} AND name = $2 \
                 AND holder IS NULL AND attempts = 0 AND due_at_ms > $3"
            )
            .into(),
            due: format!(
                "SELECT COUNT(*) FROM {table} WHERE module = $1 AND {own} AND name = $2 \
                 AND parked_at_ms IS NULL AND due_at_ms <= {now}"
            )
            .into(),
            clock: format!("SELECT {now}").into(),
        }
    }
}
