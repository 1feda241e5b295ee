//! What stands in a publisher's tables, for people: how far each listener is, what is parked and why, and what to do
//! about it.

use super::{
    EventOfSubject, FeedError, rebuild::Rebuild, registry, retention, statements::now,
    tables::EPOCH,
};
use crate::{Backend, Column, Db, ModuleDatabase, Value};
use futures_util::future::BoxFuture;
use sqlx::{Any, Database};
use std::{
    fmt,
    future::Future,
    sync::{Arc, OnceLock},
};
use tokio::sync::watch;

/// The events of one module, as a person looks at them.
#[derive(Debug)]
pub struct EventLedger<D: Database = Any> {
    db: Db<D>,
    module: String,
}

/// How far a listener is with the events of a name.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Lag {
    /// The module that listens.
    pub listener: String,
    /// The name of the event.
    pub name: String,
    /// Events that it has not handled, without those that are parked.
    pub waiting: i64,
    /// Events that were tried, failed, and are tried again.
    pub failing: i64,
    /// Events that are left alone until a person decides.
    pub parked: i64,
    /// For how long the first of those that wait has been waiting, in milliseconds.
    pub oldest_ms: Option<i64>,
}

/// An event that is left alone until a person decides.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct ParkedEvent {
    /// The number of the event.
    pub event: String,
    /// The module that could not handle it.
    pub listener: String,
    /// The name of the event.
    pub name: String,
    /// Its key, as JSON.
    pub key: Option<String>,
    /// Its fields, as JSON.
    pub payload: String,
    /// How often it was tried.
    pub attempts: i64,
    /// How it failed last.
    pub error: String,
    /// For how long it has been parked, in milliseconds.
    pub parked_for_ms: i64,
}

/// Which parked events are asked for. Without anything, all.
#[derive(Debug, Clone, Default)]
pub struct ParkedFilter {
    /// This one.
    pub event: Option<String>,
    /// For this listener.
    pub listener: Option<String>,
    /// Of this name.
    pub name: Option<String>,
    /// At most so many.
    pub most: u32,
}

impl<D: ModuleDatabase> EventLedger<D> {
    /// That of a module, in its database.
    pub fn of(db: Db<D>, module: &str) -> Self {
        Self { db, module: module.to_owned() }
    }

    /// The same, unless the module has no events, and so no tables for them.
    pub async fn existing(self) -> Result<Option<Self>, sqlx::Error> {
        let sql = match self.db.backend() {
            Backend::Sqlite => "SELECT COUNT(*) FROM sqlite_master WHERE name = 'monolift_events'",
            Backend::Postgres => {
                "SELECT COUNT(*) FROM pg_tables \
                 WHERE tablename = 'monolift_events' AND schemaname = current_schema()"
            }
        };
        let rows = self.db.rows(sql.into(), Vec::new(), &[Column::Number]).await?;
        Ok((rows.first().is_some_and(|row| row[0].number() > 0)).then_some(self))
    }

    /// How far each listener is.
    pub async fn lag(&self) -> Result<Vec<Lag>, sqlx::Error> {
        const COLUMNS: &[Column] = &[
            Column::Text,
            Column::Text,
            Column::Number,
            Column::Number,
            Column::Number,
            Column::Number,
        ];
        let now = now(self.db.backend());
        // Events that were published before the listener was added, and are to be offered to it.
        let unoffered = "monolift_events u WHERE u.module = l.module AND u.name = l.name \
            AND l.from_first = 1 AND u.offered < l.registry";
        // The numbers of events sort by time.
        let sql = format!(
            "SELECT x.listener, x.name, x.waiting + x.unoffered, x.failing, x.parked, {now} - v.made_at_ms FROM (\
             SELECT l.listener, l.name, \
             CAST(COALESCE(SUM(CASE WHEN o.event IS NOT NULL AND o.parked_at_ms IS NULL THEN 1 ELSE 0 END), 0) AS BIGINT) AS waiting, \
             CAST((SELECT COUNT(*) FROM {unoffered}) AS BIGINT) AS unoffered, \
             (SELECT MIN(u.id) FROM {unoffered}) AS next, \
             CAST(COALESCE(SUM(CASE WHEN o.parked_at_ms IS NULL AND o.error IS NOT NULL THEN 1 ELSE 0 END), 0) AS BIGINT) \
             AS failing, \
             CAST(COALESCE(SUM(CASE WHEN o.parked_at_ms IS NOT NULL THEN 1 ELSE 0 END), 0) AS BIGINT) AS parked, \
             MIN(CASE WHEN o.parked_at_ms IS NULL THEN o.event END) AS oldest \
             FROM monolift_event_listeners l LEFT JOIN monolift_event_offers o \
             ON o.module = l.module AND o.listener = l.listener AND o.name = l.name \
             WHERE l.module = $1 GROUP BY l.module, l.listener, l.name, l.from_first, l.registry) x \
             LEFT JOIN monolift_events v ON v.id = \
             CASE WHEN x.next < x.oldest OR x.oldest IS NULL THEN x.next ELSE x.oldest END ORDER BY x.listener, x.name"
        );
        let rows = self.db.rows(sql.into(), vec![self.module.as_str().into()], COLUMNS).await?;
        let lag = rows.iter().map(|row| Lag {
            listener: row[0].text().unwrap_or_default().to_owned(),
            name: row[1].text().unwrap_or_default().to_owned(),
            waiting: row[2].number(),
            failing: row[3].number(),
            parked: row[4].number(),
            oldest_ms: match row[5] {
                Value::Number(oldest) => oldest,
                Value::Text(_) => None,
            },
        });
        Ok(lag.collect())
    }

    /// The events that are parked, the first published first; at most `most`.
    pub async fn parked(&self, most: u32) -> Result<Vec<ParkedEvent>, sqlx::Error> {
        self.find_parked(ParkedFilter { most, ..ParkedFilter::default() }).await
    }

    /// The parked events that are asked for, the first published first.
    pub async fn find_parked(&self, filter: ParkedFilter) -> Result<Vec<ParkedEvent>, sqlx::Error> {
        const COLUMNS: &[Column] = &[
            Column::Text,
            Column::Text,
            Column::Text,
            Column::Text,
            Column::Text,
            Column::Number,
            Column::Text,
            Column::Number,
        ];
        // One that was passed over has a negative time.
        let now = now(self.db.backend());
        let sql = format!(
            "SELECT o.event, o.listener, o.name, o.key, v.payload, o.attempts, o.error, \
             {now} - ABS(o.parked_at_ms) \
             FROM monolift_event_offers o JOIN monolift_events v ON v.id = o.event \
             WHERE o.module = $1 AND o.parked_at_ms IS NOT NULL AND (o.event = $2 OR $2 IS NULL) \
             AND (o.listener = $3 OR $3 IS NULL) AND (o.name = $4 OR $4 IS NULL) ORDER BY o.event LIMIT $5"
        );
        let values = vec![
            self.module.as_str().into(),
            Value::Text(filter.event),
            Value::Text(filter.listener),
            Value::Text(filter.name),
            i64::from(filter.most).into(),
        ];
        let rows = self.db.rows(sql.into(), values, COLUMNS).await?;
        let parked = rows.iter().map(|row| {
            let text = |at: usize| row[at].text().unwrap_or_default().to_owned();
            ParkedEvent {
                event: text(0),
                listener: text(1),
                name: text(2),
                key: row[3].text().map(str::to_owned),
                payload: text(4),
                attempts: row[5].number(),
                error: text(6),
                parked_for_ms: row[7].number(),
            }
        });
        Ok(parked.collect())
    }

    /// Has parked events of a listener handled again, as if they were new: that of this number, or all.
    pub async fn retry(&self, listener: &str, event: Option<&str>) -> Result<u64, sqlx::Error> {
        self.unpark(listener, event, 0).await
    }

    /// Gives up a parked event for a listener. The listener passes it over, so that those after it of its key are handled.
    pub async fn discard(&self, listener: &str, event: &str) -> Result<bool, sqlx::Error> {
        Ok(self.unpark(listener, Some(event), 1).await? > 0)
    }

    async fn unpark(
        &self,
        listener: &str,
        event: Option<&str>,
        skipped: i64,
    ) -> Result<u64, sqlx::Error> {
        let sql = "UPDATE monolift_event_offers SET parked_at_ms = NULL, attempts = 0, due_at_ms = 0, \
            skipped = $4 WHERE module = $1 AND listener = $2 AND parked_at_ms IS NOT NULL \
            AND (event = $3 OR $3 IS NULL)";
        let event = Value::Text(event.map(str::to_owned));
        let values = vec![self.module.as_str().into(), listener.into(), event, skipped.into()];
        self.change(sql, values).await
    }

    /// Has a listener handle events once more that are kept: those of this name, or all that it listens to. Those that it
    /// has not handled yet are not doubled. Returns how many.
    ///
    /// They have an effect again, so this is for a listener that was mistaken, or whose tables were emptied. Those of one key
    /// come in their order, but not before or after new ones.
    pub async fn replay(&self, listener: &str, name: Option<&str>) -> Result<u64, sqlx::Error> {
        let now = now(self.db.backend());
        let sql = format!(
            "INSERT INTO monolift_event_offers (module, listener, event, name, version, key, number, \
             begins, due_at_ms, attempts, leased_till_ms, skipped, epoch, replay) \
             SELECT e.module, l.listener, e.id, e.name, e.version, e.key, e.number, 0, 0, 0, 0, 0, {EPOCH}, {now} \
             FROM monolift_events e JOIN monolift_event_listeners l \
             ON l.module = e.module AND l.name = e.name AND l.listener = $2 \
             WHERE e.module = $1 AND (e.name = $3 OR $3 IS NULL) AND e.payload <> '' \
             ON CONFLICT (module, listener, event) DO NOTHING"
        );
        let name = Value::Text(name.map(str::to_owned));
        let mut tx = self.db.write().await?;
        registry::lock::<D>(self.db.backend(), &mut tx, &self.module).await?;
        let values = vec![self.module.as_str().into(), listener.into(), name];
        let replayed = D::execute(&mut tx, sql.into(), values).await?;
        tx.commit().await?;
        Ok(replayed)
    }

    /// Removes a listener, or has it listen no more to the events of this name. What it has not handled of them is
    /// forgotten. If it does listen, it begins with them as a new one. Returns how many names it listened to.
    pub async fn remove_listener(
        &self,
        listener: &str,
        name: Option<&str>,
    ) -> Result<u64, sqlx::Error> {
        let name = Value::Text(name.map(str::to_owned));
        let values: Vec<Value> = vec![self.module.as_str().into(), listener.into(), name];
        let mut tx = self.db.write().await?;
        let removed = async |tx: &mut D::Connection, from: &str| {
            let sql = format!(
                "DELETE FROM {from} WHERE module = $1 AND listener = $2 AND (name = $3 OR $3 IS NULL)"
            );
            D::execute(tx, sql.into(), values.clone()).await
        };
        let names = removed(&mut tx, "monolift_event_listeners").await?;
        removed(&mut tx, "monolift_event_offers").await?;
        tx.commit().await?;
        Ok(names)
    }

    /// Deletes events that every listener has handled and that were kept long enough, or are beyond `most` bytes of payloads,
    /// and empties those whose payloads were kept long enough; some hundreds at most. Returns how many. A process that runs
    /// the module does so by itself.
    pub async fn prune(&self, most: Option<u64>) -> Result<u64, sqlx::Error> {
        retention::prune(&self.db, &self.module, most).await
    }

    pub(super) fn db(&self) -> &Db<D> {
        &self.db
    }

    pub(super) fn module(&self) -> &str {
        &self.module
    }

    async fn change(&self, sql: &str, values: Vec<Value>) -> Result<u64, sqlx::Error> {
        let mut tx = self.db.write().await?;
        let changed = D::execute(&mut tx, sql.into(), values).await?;
        tx.commit().await?;
        Ok(changed)
    }
}

/// A module's ledger of events, whatever its database is.
pub trait AnyEventLedger: Send + Sync + fmt::Debug {
    /// How far each listener is.
    fn lag(&self) -> BoxFuture<'_, Result<Vec<Lag>, sqlx::Error>>;

    /// The parked events that are asked for, the first published first.
    fn parked(&self, filter: ParkedFilter) -> BoxFuture<'_, Result<Vec<ParkedEvent>, sqlx::Error>>;

    /// Has a parked event of a listener handled again, or all. The result is how many.
    fn retry<'a>(
        &'a self,
        listener: &'a str,
        event: Option<&'a str>,
    ) -> BoxFuture<'a, Result<u64, sqlx::Error>>;

    /// Gives up a parked event for a listener. The result is how many.
    fn discard<'a>(
        &'a self,
        listener: &'a str,
        event: &'a str,
    ) -> BoxFuture<'a, Result<u64, sqlx::Error>>;

    /// Has a listener handle kept events once more. The result is how many.
    fn replay<'a>(
        &'a self,
        listener: &'a str,
        name: Option<&'a str>,
    ) -> BoxFuture<'a, Result<u64, sqlx::Error>>;

    /// Removes a listener that is gone, or has it listen no more to the events of this name. The result is how many names it
    /// listened to.
    fn remove<'a>(
        &'a self,
        listener: &'a str,
        name: Option<&'a str>,
    ) -> BoxFuture<'a, Result<u64, sqlx::Error>>;

    /// The events of a subject whose numbers come after `after`, in the order of their numbers; at most 128.
    fn of_subject<'a>(
        &'a self,
        subject: &'a str,
        after: &'a str,
    ) -> BoxFuture<'a, Result<Vec<EventOfSubject>, sqlx::Error>>;

    /// Erases at most 128 events of a subject. The result is how many.
    fn erase<'a>(&'a self, subject: &'a str) -> BoxFuture<'a, Result<u64, sqlx::Error>>;

    /// Begins a new build of the module's own read model. The result is its number. If publishers have removed events, it
    /// is refused, unless it may be `partial`.
    fn rebuild(&self, partial: bool) -> BoxFuture<'_, Result<u64, FeedError>>;
}

/// A ledger whose feed is told when there is something to handle.
#[derive(Debug)]
pub(crate) struct AttendedEvents<D: ModuleDatabase> {
    pub(crate) ledger: EventLedger<D>,
    pub(crate) published: watch::Sender<()>,
    /// What builds the module's read model anew, if it has one and listens.
    pub(crate) rebuilds: Arc<OnceLock<Arc<dyn Rebuild>>>,
}

impl<D: ModuleDatabase> AttendedEvents<D> {
    /// The same, after the feed was told.
    fn telling<'a>(
        &'a self,
        change: impl Future<Output = Result<u64, sqlx::Error>> + Send + 'a,
    ) -> BoxFuture<'a, Result<u64, sqlx::Error>> {
        Box::pin(async move {
            let changed = change.await?;
            self.published.send_replace(());
            Ok(changed)
        })
    }
}

impl<D: ModuleDatabase> AnyEventLedger for AttendedEvents<D> {
    fn lag(&self) -> BoxFuture<'_, Result<Vec<Lag>, sqlx::Error>> {
        Box::pin(self.ledger.lag())
    }

    fn parked(&self, filter: ParkedFilter) -> BoxFuture<'_, Result<Vec<ParkedEvent>, sqlx::Error>> {
        Box::pin(self.ledger.find_parked(filter))
    }

    fn retry<'a>(
        &'a self,
        listener: &'a str,
        event: Option<&'a str>,
    ) -> BoxFuture<'a, Result<u64, sqlx::Error>> {
        self.telling(self.ledger.retry(listener, event))
    }

    fn discard<'a>(
        &'a self,
        listener: &'a str,
        event: &'a str,
    ) -> BoxFuture<'a, Result<u64, sqlx::Error>> {
        self.telling(async move { Ok(self.ledger.discard(listener, event).await?.into()) })
    }

    fn replay<'a>(
        &'a self,
        listener: &'a str,
        name: Option<&'a str>,
    ) -> BoxFuture<'a, Result<u64, sqlx::Error>> {
        self.telling(self.ledger.replay(listener, name))
    }

    fn remove<'a>(
        &'a self,
        listener: &'a str,
        name: Option<&'a str>,
    ) -> BoxFuture<'a, Result<u64, sqlx::Error>> {
        self.telling(self.ledger.remove_listener(listener, name))
    }

    fn of_subject<'a>(
        &'a self,
        subject: &'a str,
        after: &'a str,
    ) -> BoxFuture<'a, Result<Vec<EventOfSubject>, sqlx::Error>> {
        Box::pin(self.ledger.of_subject(subject, after))
    }

    fn erase<'a>(&'a self, subject: &'a str) -> BoxFuture<'a, Result<u64, sqlx::Error>> {
        self.telling(self.ledger.erase(subject))
    }

    fn rebuild(&self, partial: bool) -> BoxFuture<'_, Result<u64, FeedError>> {
        Box::pin(async move {
            let Some(rebuilds) = self.rebuilds.get() else {
                let module = &self.ledger.module;
                let text =
                    format!("`{module}` has no read model: it needs a field `model: ReadModel`");
                return Err(FeedError::new(text));
            };
            Ok(u64::try_from(rebuilds.begin(partial).await?).unwrap_or_default())
        })
    }
}
