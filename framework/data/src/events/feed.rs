//! The publisher's side of delivery: hands out offers under a lease, and notes how it went.

use super::{
    ledger::EventLedger,
    looks::Looks,
    offer::{ASIDE, Ask, BYTES, Ending, Feed, FeedError, Offer, Progress, Settled},
    registry,
    statements::{LIST, among, list, now, skip_locked},
    tables::EPOCH,
};
use crate::{
    Backend, Column, Db, ModuleDatabase, Value, attempt::storable, call::planted,
    work::milliseconds,
};
use async_trait::async_trait;
use std::{
    collections::BTreeMap,
    fmt,
    sync::{Arc, Mutex, MutexGuard, PoisonError},
    time::Duration,
};
use tokio::{
    sync::watch,
    time::{Instant, sleep_until},
};

/// For how long offers are a listener's. It is renewed three times as often.
pub(super) const LEASE: Duration = Duration::from_secs(4);
/// The longest that a question is kept waiting.
const LONGEST_WAIT: Duration = Duration::from_secs(2);
/// How often a feed that is busy looks for events that are to be offered to new listeners.
const CATCH_UP: Duration = Duration::from_secs(1);
/// The shortest time between two claims of a listener, unless the first one took all that it asked for. Events that are
/// published one after another are claimed, handled and acknowledged together.
const BETWEEN: Duration = Duration::from_millis(8);
/// How long a feed relies on a registration before it checks it again: an operator may have removed the listener.
const REGISTERED: Duration = Duration::from_secs(5);

/// The replays of the listener `$2`.
const REPLAYS: &str = "SELECT 1 FROM monolift_event_offers r \
    WHERE r.module = $1 AND r.listener = $2 AND r.replay > 0";

/// The events of a module, from its own database.
pub struct PublisherFeed<D: ModuleDatabase> {
    db: Db<D>,
    module: Arc<str>,
    published: watch::Sender<()>,
    /// The listeners that were registered when it was last looked, each with the name of an event.
    registered: Mutex<BTreeMap<(String, String), Instant>>,
    /// The last claim of each listener.
    claims: Mutex<BTreeMap<String, Claim>>,
    /// When events were last looked for that have to be offered to listeners which were added since.
    caught_up: Mutex<Option<Instant>>,
    /// For a planted mistake.
    read: Mutex<String>,
}

/// A claim that took offers.
#[derive(Debug, Clone, Copy)]
struct Claim {
    at: Instant,
    /// Whether it took all that was asked for: more is probably due.
    is_full: bool,
}

impl<D: ModuleDatabase> fmt::Debug for PublisherFeed<D> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "PublisherFeed({})", self.module)
    }
}

impl<D: ModuleDatabase> PublisherFeed<D> {
    /// That of a module. `published` wakes it.
    pub fn new(db: Db<D>, module: &str, published: watch::Sender<()>) -> Self {
        Self {
            db,
            module: module.into(),
            published,
            registered: Mutex::default(),
            claims: Mutex::default(),
            caught_up: Mutex::default(),
            read: Mutex::default(),
        }
    }

    async fn register(&self, ask: &Ask) -> Result<(), sqlx::Error> {
        let names = ask.subscriptions.iter().map(|one| (ask.listener.clone(), one.name.clone()));
        let new: Vec<(String, String)> = {
            let known = self.registered.lock().unwrap_or_else(PoisonError::into_inner);
            let is_known = |name: &(String, String)| {
                known.get(name).is_some_and(|looked: &Instant| looked.elapsed() < REGISTERED)
            };
            names.filter(|one| !is_known(one)).collect()
        };
        if new.is_empty() {
            return Ok(());
        }
        registry::register(&self.db, &self.module, &ask.listener, &ask.subscriptions).await?;
        let now = Instant::now();
        let new = new.into_iter().map(|name| (name, now));
        self.registered.lock().unwrap_or_else(PoisonError::into_inner).extend(new);
        Ok(())
    }

    /// What is due for a listener, as a condition on an offer `o`; `$1` is the module and `$2` the listener. An event
    /// waits while an earlier one of its key is not due, is another claim's, or is not of a version that is known. It does not wait
    /// for a replay of an earlier one, unless it is a replay too.
    fn due(&self, ask: &Ask, from: usize) -> (String, Vec<Value>) {
        let now = now(self.db.backend());
        let mut values = Vec::new();
        let known = |of: &str, values: &mut Vec<Value>| {
            let mut names = Vec::new();
            for one in &ask.subscriptions {
                let at = from + values.len();
                let (name, version) = (at, at + 1);
                // An expression: the index of names would give the offers in another order than they are taken in.
                names.push(format!("({of}.name || '' = ${name} AND {of}.version <= ${version})"));
                values.push(Value::from(one.name.as_str()));
                values.push(Value::from(i64::from(one.version)));
            }
            if names.is_empty() { "1 = 0".to_owned() } else { names.join(" OR ") }
        };
        let (own, earlier) = (known("o", &mut values), known("e", &mut values));
        // A lease that ends later than one which begins now is of a clock that went back since.
        let held = |of: &str| {
            let longest = milliseconds(LEASE);
            format!("({of}.leased_till_ms > {now} AND {of}.leased_till_ms <= {now} + {longest})")
        };
        let (own_held, earlier_held) = (held("o"), held("e"));
        let unread = self.unread();
        let condition = format!(
            "o.module = $1 AND o.listener = $2 AND o.epoch <= {EPOCH} AND o.parked_at_ms IS NULL \
             AND o.due_at_ms <= {now} AND NOT {own_held} AND ({own}){unread} \
             AND (o.key IS NULL OR NOT EXISTS (SELECT 1 FROM monolift_event_offers e \
             WHERE e.module = $1 AND e.listener = $2 AND e.name = o.name AND e.key = o.key \
             AND e.number < o.number AND (e.replay = 0 OR o.replay > 0) \
             AND (e.parked_at_ms > 0 OR e.due_at_ms > {now} \
             OR {earlier_held} OR e.epoch > {EPOCH} OR NOT ({earlier}))))"
        );
        (condition, values)
    }

    /// Offers events to listeners that were added since. A busy feed does so now and then.
    async fn catch_up(&self, is_busy: bool) -> Result<(), sqlx::Error> {
        let last = *self.caught_up.lock().unwrap_or_else(PoisonError::into_inner);
        if is_busy && last.is_some_and(|last| last.elapsed() < CATCH_UP) {
            return Ok(());
        }
        while registry::offer_to_new_listeners(&self.db, &self.module).await? {}
        *self.caught_up.lock().unwrap_or_else(PoisonError::into_inner) = Some(Instant::now());
        Ok(())
    }

    /// A planted mistake: events are read by their numbers, each once.
    fn unread(&self) -> String {
        if !planted!("outbox-by-id") {
            return String::new();
        }
        let read = self.read.lock().unwrap_or_else(PoisonError::into_inner);
        format!(" AND o.event > '{read}'")
    }

    fn claims(&self) -> MutexGuard<'_, BTreeMap<String, Claim>> {
        self.claims.lock().unwrap_or_else(PoisonError::into_inner)
    }

    fn last_claim(&self, listener: &str) -> Option<Claim> {
        self.claims().get(listener).copied()
    }

    /// Notes a claim that asked for `most` offers and took `taken`.
    fn note_claim(&self, listener: &str, taken: usize, most: usize) {
        let mut claims = self.claims();
        let claim = Claim { at: Instant::now(), is_full: taken == most };
        match claims.get_mut(listener) {
            Some(last) if taken == 0 => last.is_full = false,
            Some(last) => *last = claim,
            None => drop(claims.insert(listener.to_owned(), claim)),
        }
    }

    /// The age of the oldest event that a listener has not handled. Nothing if the listener is not known, or has not been
    /// offered all that is kept for it.
    async fn behind(&self, listener: &str, names: &[&str]) -> Result<Option<i64>, sqlx::Error> {
        let module = &*self.module;
        let sql = "SELECT name FROM monolift_event_listeners WHERE module = $1 AND listener = $2";
        let values = vec![module.into(), listener.into()];
        let known = self.db.rows(sql.into(), values.clone(), &[Column::Text]).await?;
        let is_known = |name: &&str| known.iter().any(|row| row[0].text() == Some(*name));
        if !names.iter().all(is_known) || registry::is_behind(&self.db, module).await? {
            return Ok(None);
        }
        let now = now(self.db.backend());
        let sql = format!(
            "SELECT {now} - e.made_at_ms FROM monolift_event_offers o \
             JOIN monolift_events e ON e.id = o.event \
             WHERE o.module = $1 AND o.listener = $2 ORDER BY o.event LIMIT 1"
        );
        let oldest = self.db.rows(sql.into(), values, &[Column::Number]).await?;
        // If the clock went back, the age is negative, and so unknown.
        Ok(Some(oldest.first().map_or(0, |row| row[0].number())).filter(|age| *age >= 0))
    }

    /// The number of the first event that is offered to a listener, or will be.
    async fn first(&self, listener: &str) -> Result<Option<String>, sqlx::Error> {
        let sql = "SELECT MIN(first) FROM (\
            SELECT MIN(event) AS first FROM monolift_event_offers \
            WHERE module = $1 AND listener = $2 AND parked_at_ms IS NULL \
            UNION ALL SELECT MIN(id) FROM monolift_events WHERE module = $1 AND offered < \
            (SELECT version FROM monolift_event_registry WHERE module = $1)) AS firsts";
        let values = vec![(&*self.module).into(), listener.into()];
        let rows = self.db.rows(sql.into(), values, &[Column::Text]).await?;
        Ok(rows.first().and_then(|row| row[0].text()).map(str::to_owned))
    }

    /// Whether anything is due, and with that whether the listener has replays.
    async fn is_due(&self, ask: &Ask) -> Result<Option<bool>, sqlx::Error> {
        let (due, known) = self.due(ask, 3);
        let sql = format!(
            "SELECT CASE WHEN EXISTS ({REPLAYS}) THEN 1 ELSE 0 END \
             FROM monolift_event_offers o WHERE {due} LIMIT 1"
        );
        let values = vec![(&*self.module).into(), ask.listener.as_str().into()];
        let values = values.into_iter().chain(known).collect();
        let rows = self.db.rows(sql.into(), values, &[Column::Number]).await?;
        Ok(rows.first().map(|row| row[0].number() == 1))
    }

    /// Claims offers. `in_turn` serialises the claims of a listener with replays: only that keeps their order, because each
    /// claim then sees what the previous one took.
    async fn claim(&self, ask: &Ask, in_turn: bool) -> Result<Vec<Offer>, sqlx::Error> {
        const TAKEN: &[Column] = &[
            Column::Text,
            Column::Text,
            Column::Number,
            Column::Text,
            Column::Number,
            Column::Number,
            Column::Number,
            Column::Number,
            Column::Text,
            Column::Text,
            Column::Number,
        ];
        let backend = self.db.backend();
        let (now, locked) = (now(backend), skip_locked(backend));
        let holder = format!("{:032x}", rand::random::<u128>());
        let (due, known) = self.due(ask, 7);
        // With the place of an outer row, `FOR UPDATE` would lock the rows of the inner question too.
        let locked = locked.replace("FOR UPDATE", "FOR UPDATE OF o");
        let of_event = |column: &str| {
            format!(
                "(SELECT v.{column} FROM monolift_events v WHERE v.id = monolift_event_offers.event)"
            )
        };
        // Ids sort by the publisher's clock, so a claim can take an event and leave out an earlier one of its key. The inbox makes
        // such an event wait. It does not order replays, so a replay is taken only together with all earlier ones of its key.
        //
        // PostgreSQL goes to the locked rows themselves. By their keys it would read all offers, as long as it has no
        // statistics of the table.
        let (column, is_in) = match backend {
            Backend::Sqlite => {
                ("event", "module = $1 AND listener = $2 AND event IN (SELECT place FROM fitting)")
            }
            Backend::Postgres => ("ctid", "ctid = ANY (ARRAY(SELECT place FROM fitting))"),
        };
        let size = format!(
            "COALESCE(OCTET_LENGTH(v.payload), 0) + COALESCE(OCTET_LENGTH(v.key), 0) + {ASIDE}"
        );
        let sql = format!(
            "WITH due AS MATERIALIZED (SELECT o.{column} AS place, o.event, o.name, o.key, o.number, o.replay \
             FROM monolift_event_offers o WHERE {due} ORDER BY o.event LIMIT $5 {locked}), \
             sized AS (SELECT due.*, {size} AS size, SUM({size}) OVER (ORDER BY due.event) AS total \
             FROM due LEFT JOIN monolift_events v ON v.id = due.event), \
             ranked AS (SELECT sized.*, ROW_NUMBER() OVER (PARTITION BY name, key ORDER BY number) AS place_in_key \
             FROM sized WHERE total = size OR total <= $6), \
             fitting AS MATERIALIZED (SELECT place FROM ranked r WHERE r.replay = 0 OR r.key IS NULL \
             OR r.place_in_key = 1 + (SELECT COUNT(*) FROM monolift_event_offers e \
             WHERE e.module = $1 AND e.listener = $2 AND e.name = r.name AND e.key = r.key AND e.number < r.number)) \
             UPDATE monolift_event_offers SET holder = $3, leased_till_ms = {now} + $4, \
             attempts = attempts + 1 WHERE {is_in} \
             RETURNING event, name, version, key, number, begins, skipped, attempts, {}, {}, replay",
            of_event("payload"),
            of_event("trace"),
        );
        let most = LIST.min(ask.most as usize);
        let values = vec![
            (&*self.module).into(),
            ask.listener.as_str().into(),
            holder.as_str().into(),
            milliseconds(LEASE).into(),
            (most as i64).into(),
            i64::try_from(ask.bytes.min(BYTES)).unwrap_or(i64::MAX).into(),
        ];
        let values = values.into_iter().chain(known).collect();
        let rows = if in_turn && backend == Backend::Postgres {
            let mut tx = self.db.write().await?;
            let turn = format!(
                "SELECT name FROM monolift_event_listeners WHERE module = $1 AND listener = $2 \
                 AND EXISTS ({REPLAYS}) ORDER BY name FOR UPDATE"
            );
            let of = vec![(&*self.module).into(), ask.listener.as_str().into()];
            D::rows(&mut tx, turn.into(), of, &[Column::Text]).await?;
            let rows = D::rows(&mut tx, sql.into(), values, TAKEN).await?;
            tx.commit().await?;
            rows
        } else {
            self.db.write_rows(sql.into(), values, TAKEN).await?
        };
        self.note_claim(&ask.listener, rows.len(), most);
        if planted!("outbox-by-id")
            && let Some(last) = rows.iter().filter_map(|row| row[0].text()).max()
        {
            *self.read.lock().unwrap_or_else(PoisonError::into_inner) = last.to_owned();
        }
        let offers = rows.iter().map(|row| {
            let text = |at: usize| row[at].text().map(str::to_owned);
            Offer {
                event: text(0).unwrap_or_default(),
                name: text(1).unwrap_or_default(),
                version: u32::try_from(row[2].number()).unwrap_or(u32::MAX),
                key: text(3),
                number: row[4].number(),
                begins: row[5].number() == 1,
                // An erased event has no payload.
                skipped: row[6].number() == 1 || row[8].text().is_none_or(str::is_empty),
                attempts: u32::try_from(row[7].number()).unwrap_or(u32::MAX),
                payload: text(8).unwrap_or_default(),
                trace: text(9),
                replay: row[10].number(),
                holder: holder.clone(),
            }
        });
        let mut offers: Vec<Offer> = offers.collect();
        offers.sort_by(|a, b| (a.number, &a.event).cmp(&(b.number, &b.event)));
        Ok(offers)
    }

    /// Deletes the offers of events that were handled, which are in order, also where another process has claimed the offer
    /// since. An event that was handled is not a later replay of it.
    async fn delete(
        &self,
        listener: &str,
        replay: i64,
        events: &[&str],
    ) -> Result<(), sqlx::Error> {
        for events in events.chunks(LIST) {
            let (is_one, listed) = among("event", 4, events);
            let sql = format!(
                "DELETE FROM monolift_event_offers WHERE module = $1 AND listener = $2 \
                 AND replay = $3 AND epoch <= {EPOCH} AND {is_one}"
            );
            let values = vec![(&*self.module).into(), listener.into(), replay.into()];
            self.db.change(sql.into(), values.into_iter().chain(listed).collect()).await?;
        }
        Ok(())
    }

    async fn put_back(
        &self,
        tx: &mut D::Connection,
        listener: &str,
        one: &Settled,
    ) -> Result<(), sqlx::Error> {
        let now = now(self.db.backend());
        let held = format!(
            "WHERE module = $1 AND listener = $2 AND event = $3 AND holder = $4 AND epoch <= {EPOCH}"
        );
        let free = "holder = NULL, leased_till_ms = 0";
        let mut values: Vec<Value> = vec![
            (&*self.module).into(),
            listener.into(),
            one.event.as_str().into(),
            one.holder.as_str().into(),
        ];
        let pause = |ms: u64| i64::try_from(ms).unwrap_or(i64::MAX).min(i64::MAX / 4);
        let set = match &one.ending {
            Ending::Handled => return Ok(()),
            Ending::Again { error, pause_ms } => {
                values.extend([pause(*pause_ms).into(), storable(error).as_str().into()]);
                format!("{free}, due_at_ms = {now} + $5, error = $6")
            }
            Ending::Returned { pause_ms } => {
                values.push(pause(*pause_ms).into());
                format!("{free}, attempts = attempts - 1, due_at_ms = {now} + $5")
            }
            // One that was passed over does not hold up those after it: its time is before the beginning.
            Ending::Parked { error, passed } => {
                values.extend([storable(error).as_str().into(), i64::from(*passed).into()]);
                format!(
                    "{free}, error = $5, \
                     parked_at_ms = CASE WHEN $6 = 1 THEN -1 * {now} ELSE {now} END"
                )
            }
        };
        let sql = format!("UPDATE monolift_event_offers SET {set} {held}");
        D::execute(tx, sql.into(), values).await.map(drop)
    }
}

#[async_trait]
impl<D: ModuleDatabase> Feed for PublisherFeed<D> {
    async fn take(&self, ask: Ask) -> Result<Vec<Offer>, FeedError> {
        let until = Instant::now() + Duration::from_millis(ask.wait_ms).min(LONGEST_WAIT);
        let mut looks = Looks::new(&self.published, &self.db.writer_line);
        self.register(&ask).await?;
        let last = self.last_claim(&ask.listener);
        let mut is_busy = last.is_some_and(|last| last.is_full);
        if let Some(last) = last.filter(|last| !last.is_full) {
            sleep_until((last.at + BETWEEN).min(until)).await;
        }
        loop {
            self.catch_up(is_busy).await?;
            // A claim writes. So one that would probably find nothing is preceded by a question.
            let due =
                if std::mem::take(&mut is_busy) { Some(true) } else { self.is_due(&ask).await? };
            if let Some(may_have_replays) = due {
                let taken = self.claim(&ask, may_have_replays).await?;
                if !taken.is_empty() {
                    return Ok(taken);
                }
            }
            if Instant::now() >= until {
                return Ok(Vec::new());
            }
            looks.wait(until).await;
        }
    }

    async fn settle(&self, listener: String, settled: Vec<Settled>) -> Result<(), FeedError> {
        let (handled, others): (Vec<&Settled>, Vec<&Settled>) =
            settled.iter().partition(|one| one.ending == Ending::Handled);
        let mut by_replay: BTreeMap<i64, Vec<&str>> = BTreeMap::new();
        for one in handled {
            by_replay.entry(one.replay).or_default().push(&one.event);
        }
        for (replay, mut events) in by_replay {
            events.sort_unstable();
            self.delete(&listener, replay, &events).await?;
        }
        if others.is_empty() {
            return Ok(());
        }
        let mut tx = self.db.write().await?;
        for one in others {
            self.put_back(&mut tx, &listener, one).await?;
        }
        tx.commit().await?;
        Ok(())
    }

    async fn renew(
        &self,
        listener: String,
        mut events: Vec<String>,
        holders: Vec<String>,
    ) -> Result<(), FeedError> {
        let now = now(self.db.backend());
        events.sort_unstable();
        let holders: Vec<&str> = holders.iter().take(LIST).map(String::as_str).collect();
        let mut tx = self.db.write().await?;
        for events in events.chunks(LIST) {
            let events: Vec<&str> = events.iter().map(String::as_str).collect();
            let (is_one, first) = among("event", 4, &events);
            let (holders, second) = list(4 + first.len(), &holders);
            let sql = format!(
                "UPDATE monolift_event_offers SET leased_till_ms = {now} + $3 WHERE module = $1 \
                 AND listener = $2 AND epoch <= {EPOCH} AND {is_one} AND holder IN ({holders})"
            );
            let values =
                vec![(&*self.module).into(), listener.as_str().into(), milliseconds(LEASE).into()];
            let values = values.into_iter().chain(first).chain(second).collect();
            D::execute(&mut tx, sql.into(), values).await?;
        }
        tx.commit().await?;
        Ok(())
    }

    async fn progress(&self, listener: String, names: Vec<String>) -> Result<Progress, FeedError> {
        let (module, names): (&str, Vec<&str>) =
            (&self.module, names.iter().map(String::as_str).collect());
        let (places, listed) = list(2, &names);
        let removed = format!(
            "SELECT CAST(1 AS BIGINT) FROM monolift_event_removals \
             WHERE module = $1 AND name IN ({places}) LIMIT 1"
        );
        let values = [module.into()].into_iter().chain(listed).collect();
        let removed = !self.db.rows(removed.into(), values, &[Column::Number]).await?.is_empty();
        let behind_ms = self.behind(&listener, &names).await?;
        Ok(Progress { behind_ms, first: self.first(&listener).await?, removed })
    }

    async fn leave(&self, listener: String) -> Result<(), FeedError> {
        let is_another = |one: &(String, String), _: &mut Instant| one.0 != listener;
        self.registered.lock().unwrap_or_else(PoisonError::into_inner).retain(is_another);
        self.claims().remove(&listener);
        EventLedger::of(self.db.clone(), &self.module).remove_listener(&listener, None).await?;
        Ok(())
    }
}
