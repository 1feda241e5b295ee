//! Who listens to a module's events, and offers of what was published before a listener was known.
//!
//! Each listener that is added raises the registry's number by one, under a lock that makes their commits one after
//! another. An event notes the number that its transaction saw. An event that saw an earlier number was not offered to
//! the listeners that were added since, also if it is committed long after they were. It is offered to them here.

use super::{
    offer::Subscription,
    publish::offers,
    statements::{for_update, list, number, skip_locked},
    tables::EPOCH,
};
use crate::{Backend, Column, Db, ModuleDatabase, Value};

/// Events that are offered in one transaction.
const AT_ONCE: usize = 128;

/// Locks the row that counts the listeners, until the end of the transaction.
pub(super) async fn lock<D: ModuleDatabase>(
    backend: Backend,
    tx: &mut D::Connection,
    module: &str,
) -> Result<(), sqlx::Error> {
    let sql = format!(
        "INSERT INTO monolift_event_registry (module, version, epoch) VALUES ($1, 0, {EPOCH}) \
         ON CONFLICT (module) DO NOTHING"
    );
    D::execute(tx, sql.into(), vec![module.into()]).await?;
    let sql = format!(
        "SELECT version FROM monolift_event_registry WHERE module = $1 {}",
        for_update(backend)
    );
    number::<D>(tx, &sql, vec![module.into()]).await.map(drop)
}

/// Adds a listener to the events that it states, unless it is there.
pub(super) async fn register<D: ModuleDatabase>(
    db: &Db<D>,
    module: &str,
    listener: &str,
    subscriptions: &[Subscription],
) -> Result<(), sqlx::Error> {
    let sql = "SELECT name FROM monolift_event_listeners WHERE module = $1 AND listener = $2";
    let values = vec![module.into(), listener.into()];
    let known = db.rows(sql.into(), values, &[Column::Text]).await?;
    let is_new = |one: &&Subscription| known.iter().all(|row| row[0].text() != Some(&one.name));
    for one in subscriptions.iter().filter(is_new) {
        let mut tx = db.write().await?;
        let sql = format!(
            "INSERT INTO monolift_event_registry (module, version, epoch) VALUES ($1, 1, {EPOCH}) \
             ON CONFLICT (module) DO UPDATE SET version = monolift_event_registry.version + 1 \
             RETURNING version"
        );
        let version = number::<D>(&mut tx, &sql, vec![module.into()]).await?.unwrap_or_default();
        let sql = format!(
            "INSERT INTO monolift_event_listeners (module, name, listener, registry, from_first, epoch) \
             VALUES ($1, $2, $3, $4, $5, {EPOCH}) ON CONFLICT (module, name, listener) DO NOTHING"
        );
        let from_first = i64::from(one.from_first);
        let values = vec![
            module.into(),
            one.name.as_str().into(),
            listener.into(),
            version.into(),
            from_first.into(),
        ];
        if D::execute(&mut tx, sql.into(), values).await? == 0 {
            // Another replica was faster.
            tx.rollback().await?;
            continue;
        }
        // One that was removed before may have left some.
        let sql = "DELETE FROM monolift_event_offers \
            WHERE module = $1 AND listener = $2 AND name = $3";
        let values = vec![module.into(), listener.into(), one.name.as_str().into()];
        D::execute(&mut tx, sql.into(), values).await?;
        tx.commit().await?;
        tracing::info!(module, event = one.name, listener, "listens to the module's events");
    }
    Ok(())
}

/// Whether there are events that have to be offered to listeners that were added since.
pub(super) async fn is_behind<D: ModuleDatabase>(
    db: &Db<D>,
    module: &str,
) -> Result<bool, sqlx::Error> {
    let sql = "SELECT CAST(1 AS BIGINT) FROM monolift_events WHERE module = $1 AND offered < \
        (SELECT version FROM monolift_event_registry WHERE module = $1) LIMIT 1";
    Ok(!db.rows(sql.into(), vec![module.into()], &[Column::Number]).await?.is_empty())
}

/// Offers events to listeners that were added since. Returns whether there may be more.
pub(super) async fn offer_to_new_listeners<D: ModuleDatabase>(
    db: &Db<D>,
    module: &str,
) -> Result<bool, sqlx::Error> {
    if !is_behind(db, module).await? {
        return Ok(false);
    }
    let mut tx = db.write().await?;
    let sql = "SELECT version FROM monolift_event_registry WHERE module = $1";
    let version = number::<D>(&mut tx, sql, vec![module.into()]).await?.unwrap_or_default();
    // In the order of their numbers, so that an event is offered no later than the next one of its key.
    let locked = skip_locked(db.backend());
    let sql = format!(
        "SELECT id FROM monolift_events WHERE module = $1 AND offered < $2 \
         ORDER BY id LIMIT {AT_ONCE} {locked}"
    );
    let rows = D::rows(&mut tx, sql.into(), vec![module.into(), version.into()], &[Column::Text]);
    let rows = rows.await?;
    let ids: Vec<&str> = rows.iter().filter_map(|row| row[0].text()).collect();
    if ids.is_empty() {
        tx.rollback().await?;
        return Ok(false);
    }
    let (places, listed) = list(3, &ids);
    let values: Vec<Value> = [module.into(), version.into()].into_iter().chain(listed).collect();
    let these = format!(
        "(SELECT * FROM monolift_events WHERE module = $1 AND offered < $2 AND id IN ({places}))"
    );
    let to = "l.from_first = 1 AND l.registry > e.offered AND l.registry <= $2";
    D::execute(&mut tx, offers("", &these, to).into(), values.clone()).await?;
    let sql =
        format!("UPDATE monolift_events SET offered = $2 WHERE module = $1 AND id IN ({places})");
    D::execute(&mut tx, sql.into(), values).await?;
    tx.commit().await?;
    Ok(true)
}
