//! Which events a publisher deletes, and which lose their payloads: never before each listener has handled them.
//!
//! What removes something first locks the row that counts the listeners, and asks in a statement after that what is waited
//! for. A listener that is added meanwhile waits for that lock, and so does a replay. Without it they could be offered an
//! event that is being removed.

use super::{registry, statements::now, tables::EPOCH};
use crate::{Column, Db, ModuleDatabase, Value};
use std::collections::BTreeSet;

/// Events that are deleted, or emptied, in one transaction.
const AT_ONCE: usize = 500;

/// Whether a listener has not handled the event `e`, or has not been offered it.
fn is_waited_for() -> String {
    "(e.offered < COALESCE((SELECT version FROM monolift_event_registry WHERE module = $1), 0) \
     OR EXISTS (SELECT 1 FROM monolift_event_listeners l JOIN monolift_event_offers o \
     ON o.module = l.module AND o.listener = l.listener AND o.event = e.id \
     WHERE l.module = $1 AND l.name = e.name))"
        .to_owned()
}

/// Deletes and empties what need not be kept, some hundreds of events at most. Returns how many.
pub(super) async fn prune<D: ModuleDatabase>(
    db: &Db<D>,
    module: &str,
    most: Option<u64>,
) -> Result<u64, sqlx::Error> {
    forget_the_removed(db, module).await?;
    Ok(delete(db, module, most).await? + empty(db, module).await?)
}

/// Deletes offers to listeners that were removed. A transaction that published before that can be committed after it.
async fn forget_the_removed<D: ModuleDatabase>(
    db: &Db<D>,
    module: &str,
) -> Result<(), sqlx::Error> {
    let next = |after: &str| {
        format!("(SELECT MIN(o.listener) FROM monolift_event_offers o WHERE o.module = $1{after})")
    };
    // From one listener to the next one through the primary key, however many offers each has.
    let sql = format!(
        "WITH RECURSIVE offered (listener) AS (SELECT {} UNION ALL SELECT {} FROM offered \
         WHERE listener IS NOT NULL) SELECT listener FROM offered WHERE listener IS NOT NULL \
         AND listener NOT IN (SELECT listener FROM monolift_event_listeners WHERE module = $1)",
        next(""),
        next(" AND o.listener > offered.listener"),
    );
    for row in db.rows(sql.into(), vec![module.into()], &[Column::Text]).await? {
        let sql = "DELETE FROM monolift_event_offers WHERE module = $1 AND listener = $2 \
            AND NOT EXISTS (SELECT 1 FROM monolift_event_listeners \
            WHERE module = $1 AND listener = $2)";
        db.change(sql.into(), vec![module.into(), row[0].clone()]).await?;
    }
    Ok(())
}

/// Deletes events that were kept long enough, or are beyond `most` bytes of payloads. An event is kept for as long as an
/// earlier one of its key is, so those of a key that are kept have no gaps.
async fn delete<D: ModuleDatabase>(
    db: &Db<D>,
    module: &str,
    most: Option<u64>,
) -> Result<u64, sqlx::Error> {
    let now = now(db.backend());
    let mut values: Vec<Value> = vec![module.into()];
    let (mut is_over, mut is_kept) =
        (format!("e.keep_until_ms <= {now}"), format!("p.keep_until_ms > {now}"));
    if let Some(last) = last_beyond(db, module, most).await? {
        values.push(Some(last).into());
        is_over = format!("({is_over} OR e.id <= $2)");
        is_kept = format!("{is_kept} AND p.id > $2");
    }
    let is_waited_for = is_waited_for();
    let sql = format!(
        "DELETE FROM monolift_events WHERE id IN (SELECT e.id FROM monolift_events e \
         WHERE e.module = $1 AND e.epoch <= {EPOCH} AND {is_over} AND NOT {is_waited_for} \
         AND (e.key IS NULL OR NOT (EXISTS (SELECT 1 FROM monolift_events p WHERE p.module = $1 \
         AND p.name = e.name AND p.key = e.key AND p.number < e.number AND {is_kept}) \
         OR EXISTS (SELECT 1 FROM monolift_event_listeners l JOIN monolift_event_offers o \
         ON o.module = l.module AND o.listener = l.listener AND o.name = l.name \
         WHERE l.module = $1 AND l.name = e.name AND o.key = e.key AND o.number < e.number))) \
         ORDER BY e.number, e.id LIMIT {AT_ONCE}) RETURNING name"
    );
    remove(db, module, sql, values).await
}

/// The newest event of those that are beyond `most` bytes of payloads, counted from the newest of all.
async fn last_beyond<D: ModuleDatabase>(
    db: &Db<D>,
    module: &str,
    most: Option<u64>,
) -> Result<Option<String>, sqlx::Error> {
    let Some(most) = most else { return Ok(None) };
    let sql = "SELECT id FROM (SELECT id, SUM(OCTET_LENGTH(payload)) OVER (ORDER BY id DESC) AS total \
        FROM monolift_events WHERE module = $1) AS sizes WHERE total > $2 ORDER BY id DESC LIMIT 1";
    let most = i64::try_from(most).unwrap_or(i64::MAX);
    let rows = db.rows(sql.into(), vec![module.into(), most.into()], &[Column::Text]).await?;
    Ok(rows.first().and_then(|row| row[0].text()).map(str::to_owned))
}

/// Empties events whose payloads were kept long enough. Their rows stay, as those of erased events do.
async fn empty<D: ModuleDatabase>(db: &Db<D>, module: &str) -> Result<u64, sqlx::Error> {
    let (now, is_waited_for) = (now(db.backend()), is_waited_for());
    let sql = format!(
        "UPDATE monolift_events SET payload = '', subject = NULL, payload_until_ms = NULL \
         WHERE id IN (SELECT e.id FROM monolift_events e WHERE e.module = $1 AND e.epoch <= {EPOCH} \
         AND e.payload_until_ms <= {now} AND NOT {is_waited_for} LIMIT {AT_ONCE}) RETURNING name"
    );
    remove(db, module, sql, vec![module.into()]).await
}

/// Removes something of events, and notes their names: a read model that is built anew would miss it.
async fn remove<D: ModuleDatabase>(
    db: &Db<D>,
    module: &str,
    sql: String,
    values: Vec<Value>,
) -> Result<u64, sqlx::Error> {
    let mut tx = db.write().await?;
    registry::lock::<D>(db.backend(), &mut tx, module).await?;
    let removed = D::rows(&mut tx, sql.into(), values, &[Column::Text]).await?;
    let names: BTreeSet<&str> = removed.iter().filter_map(|row| row[0].text()).collect();
    for name in names {
        let sql = format!(
            "INSERT INTO monolift_event_removals (module, name, epoch) VALUES ($1, $2, {EPOCH}) \
             ON CONFLICT (module, name) DO NOTHING"
        );
        D::execute(&mut tx, sql.into(), vec![module.into(), name.into()]).await?;
    }
    tx.commit().await?;
    Ok(removed.len() as u64)
}
