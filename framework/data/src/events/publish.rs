//! The side that publishes.

use super::{
    Event,
    statements::{self, now},
    tables::EPOCH,
};
use crate::{Backend, ModuleDatabase, Value, call::Context, work::milliseconds};
use sqlx::{Any, Database, Pool};
use std::{
    fmt,
    marker::PhantomData,
    sync::Arc,
    time::{Duration, SystemTime},
};
use tokio::sync::watch;

/// Publishes events in the transaction that they tell of, injected: `events: Events`, or `events: Events<Postgres>` beside
/// a `Db<Postgres>`.
///
/// ```
/// # use monolift_data::{Db, events::{Event, Events}}; use serde::{Deserialize, Serialize};
/// # #[derive(Serialize, Deserialize)] struct OrderPlaced { order: u64 }
/// # impl Event for OrderPlaced { const MODULE: &'static str = "orders"; const NAME: &'static str = "order-placed"; }
/// # async fn place(db: Db, events: Events) -> Result<(), sqlx::Error> {
/// let mut tx = db.write().await?;
/// sqlx::query("INSERT INTO orders (id) VALUES (7)").execute(&mut *tx).await?;
/// events.publish(&mut tx, &OrderPlaced { order: 7 }).await?;
/// tx.commit().await?; // both, or neither
/// # Ok(()) }
/// ```
///
/// Publishing an event with a key locks the row of that key until the transaction ends. That lock makes the order of
/// commits the order of the events. Transactions that publish for several keys should take them in one order, as with any
/// rows that are locked.
pub struct Events<D: Database = Any> {
    module: Arc<str>,
    backend: Backend,
    statements: Arc<Statements>,
    published: watch::Sender<()>,
    db: PhantomData<fn() -> D>,
}

impl<D: Database> fmt::Debug for Events<D> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "Events({})", self.module)
    }
}

impl<D: Database> Clone for Events<D> {
    fn clone(&self) -> Self {
        Self {
            module: Arc::clone(&self.module),
            backend: self.backend,
            statements: Arc::clone(&self.statements),
            published: self.published.clone(),
            db: PhantomData,
        }
    }
}

/// What publishes an event. `$1` module, `$2` id, `$3` name, `$4` version, `$5` key, `$6` payload, `$7` trace, `$8` how long
/// it is kept, `$9` subject, `$10` how long its payload is kept.
#[derive(Debug)]
enum Statements {
    /// Several statements in one message to the connection's thread.
    Sqlite { keyed: Arc<str>, unkeyed: Arc<str> },
    /// The first locks the row of the key, so that the second sees what was committed before the lock was free.
    Postgres {
        /// `$1` module, `$2` name, `$3` key. Answers with the number of the key's next event.
        count: Arc<str>,
        /// `$11` is the number.
        publish: Arc<str>,
    },
}

impl Statements {
    fn of(backend: Backend, schema: Option<&str>) -> Self {
        let schema = schema.map(|schema| format!("{}.", crate::quoted(schema))).unwrap_or_default();
        let now = now(backend);
        let registry = format!(
            "COALESCE((SELECT version FROM {schema}monolift_event_registry WHERE module = $1), 0)"
        );
        let count = |name: &str, key: &str| {
            format!(
                "INSERT INTO {schema}monolift_event_keys (module, name, key, number, epoch) \
                 VALUES ($1, {name}, {key}, 1, {EPOCH}) ON CONFLICT (module, name, key) \
                 DO UPDATE SET number = monolift_event_keys.number + 1"
            )
        };
        let insert = |number: &str| {
            format!(
                "INSERT INTO {schema}monolift_events (module, id, name, version, key, number, payload, \
                 trace, registry, offered, made_at_ms, keep_until_ms, subject, \
                 payload_until_ms, epoch) VALUES ($1, $2, $3, $4, $5, {number}, $6, $7, {registry}, \
                 {registry}, {now}, {now} + $8, $9, {now} + $10, {EPOCH})"
            )
        };
        match backend {
            Backend::Sqlite => {
                let one = format!(
                    "(SELECT * FROM {schema}monolift_events WHERE id = $2 AND module = $1)"
                );
                let offer = offers(&schema, &one, "l.registry <= e.registry");
                let number = format!(
                    "(SELECT number FROM {schema}monolift_event_keys \
                     WHERE module = $1 AND name = $3 AND key = $5)"
                );
                let (count, insert_keyed) = (count("$3", "$5"), insert(&number));
                Self::Sqlite {
                    keyed: format!("{count}; {insert_keyed}; {offer}").into(),
                    unkeyed: format!("{}; {offer}", insert("0")).into(),
                }
            }
            Backend::Postgres => {
                let (insert, offer) =
                    (insert("$11"), offers(&schema, "published", "l.registry <= e.registry"));
                Self::Postgres {
                    count: format!("{} RETURNING number", count("$2", "$3")).into(),
                    publish: format!("WITH published AS ({insert} RETURNING *) {offer}").into(),
                }
            }
        }
    }
}

/// Offers `events` to listeners. It is the first of its key for a listener if the one before it is no longer kept or, for
/// a listener that does not begin with the first event, was published before the listener was added.
pub(super) fn offers(schema: &str, events: &str, to: &str) -> String {
    format!(
        "INSERT INTO {schema}monolift_event_offers (module, listener, event, name, version, key, number, \
         begins, due_at_ms, attempts, leased_till_ms, skipped, epoch) \
         SELECT e.module, l.listener, e.id, e.name, e.version, e.key, e.number, \
         CASE WHEN e.key IS NOT NULL AND NOT EXISTS (SELECT 1 FROM {schema}monolift_events p \
         WHERE p.module = e.module AND p.name = e.name AND p.key = e.key AND p.number = e.number - 1 \
         AND (l.from_first = 1 OR p.registry >= l.registry)) THEN 1 ELSE 0 END, \
         0, 0, 0, 0, {EPOCH} FROM {events} e JOIN {schema}monolift_event_listeners l \
         ON l.module = e.module AND l.name = e.name AND {to} \
         WHERE true ON CONFLICT (module, listener, event) DO NOTHING"
    )
}

/// An event of another module was published. It is the source of the [`sqlx::Error::Configuration`] that publishing
/// returns.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
#[error(
    "the module `{module}` publishes `{event}`, which belongs to the module `{owner}`: publish it there, or declare an \
     event in `{module}-api`"
)]
pub struct ForeignEvent {
    /// The module that publishes.
    pub module: Arc<str>,
    /// The name of the event.
    pub event: &'static str,
    /// The module of the event.
    pub owner: &'static str,
}

impl<D: ModuleDatabase> Events<D> {
    /// Those of a module, in its database.
    pub(crate) fn new(backend: Backend, module: &str, published: watch::Sender<()>) -> Self {
        let statements = Arc::new(Statements::of(backend, None));
        let db = PhantomData;
        Self { module: module.into(), backend, statements, published, db }
    }

    /// Those of a module, for code that is no module and has `pool`.
    pub fn outside(pool: &Pool<D>, module: &str) -> Self {
        Self::new(D::backend(pool), module, watch::Sender::new(()))
    }

    /// The same, which wakes the feed that waits for `published`.
    #[must_use]
    pub fn waking(mut self, published: watch::Sender<()>) -> Self {
        self.published = published;
        self
    }

    /// The same, with the tables in this schema. For connections whose `search_path` does not lead to it; on SQLite it is
    /// the name of an attached database.
    #[must_use]
    pub fn in_schema(mut self, schema: &str) -> Self {
        self.statements = Arc::new(Statements::of(self.backend, Some(schema)));
        self
    }

    /// Has every listener handle `event` once this transaction is committed.
    pub async fn publish<E: Event>(
        &self,
        tx: &mut D::Connection,
        event: &E,
    ) -> Result<(), sqlx::Error> {
        if E::MODULE != &*self.module {
            let module = Arc::clone(&self.module);
            let foreign = ForeignEvent { module, event: E::NAME, owner: E::MODULE };
            return Err(sqlx::Error::Configuration(foreign.into()));
        }
        let payload =
            serde_json::to_string(event).map_err(|error| sqlx::Error::Encode(Box::new(error)))?;
        let module = &*self.module;
        let key = event.key();
        let id = id_of(SystemTime::now());
        let trace = Context::current().map(|context| context.trace().to_string());
        let mut values = vec![
            module.into(),
            Value::Text(Some(id)),
            E::NAME.into(),
            i64::from(E::VERSION).into(),
            Value::Text(key.clone()),
            Value::Text(Some(payload)),
            Value::Text(trace),
            milliseconds(E::KEEP).into(),
            Value::Text(event.subject()),
            Value::Number(E::PAYLOAD.map(milliseconds)),
        ];
        let publish = match (&*self.statements, key) {
            (Statements::Sqlite { keyed, .. }, Some(_)) => keyed,
            (Statements::Sqlite { unkeyed, .. }, None) => unkeyed,
            (Statements::Postgres { count, publish }, key) => {
                let mut number = 0;
                if let Some(key) = key {
                    let values = vec![module.into(), E::NAME.into(), Value::Text(Some(key))];
                    let counted = statements::number::<D>(tx, count, values).await?;
                    number = counted.ok_or(sqlx::Error::RowNotFound)?;
                }
                values.push(number.into());
                publish
            }
        };
        D::execute(tx, Arc::clone(publish), values).await?;
        self.published.send_replace(());
        Ok(())
    }
}

/// The number of an event that is published now. Numbers sort by time, so that new rows of an index are next to each
/// other. Nothing else depends on it: the clocks of processes need not agree.
fn id_of(now: SystemTime) -> String {
    let since = now.duration_since(SystemTime::UNIX_EPOCH).unwrap_or(Duration::ZERO);
    let milliseconds = u64::try_from(since.as_millis()).unwrap_or(u64::MAX) & 0xffff_ffff_ffff;
    format!("{milliseconds:012x}{:020x}", rand::random::<u128>() >> 48)
}
