//! What a module has handled, in its own database, noted in the transaction of the effect.

use super::{
    builds::Hearer,
    offer::Offer,
    statements::{among, filled, now, number},
    tables::EPOCH,
};
use crate::{Backend, Column, Db, ModuleDatabase, Value, call::planted, work::milliseconds};
use std::{
    collections::{BTreeMap, BTreeSet},
    sync::Arc,
    time::Duration,
};

/// What the inbox needs to know of a delivery.
#[derive(Debug, Clone)]
pub(super) struct Slip {
    pub(super) module: Arc<str>,
    pub(super) build: i64,
    pub(super) listener: Arc<str>,
    pub(super) publisher: Arc<str>,
    pub(super) event: String,
    /// The event, or a replay of it.
    noted_as: String,
    name: String,
    /// That of the order in which it is handled. A replay has none: it changes no number.
    key: Option<String>,
    number: i64,
    begins: bool,
}

/// What the inbox says to an event that arrives.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum Entry {
    /// It has not been handled, and is now noted as handled.
    New,
    /// It was handled before.
    Seen,
    /// An earlier event of the same key has to be handled first.
    TooEarly,
}

impl Slip {
    pub(super) fn of(offer: &Offer, hearer: &Hearer, publisher: &Arc<str>) -> Self {
        Self {
            module: Arc::clone(&hearer.module),
            build: hearer.build,
            listener: Arc::clone(&hearer.listener),
            publisher: Arc::clone(publisher),
            event: offer.event.clone(),
            noted_as: match offer.replay {
                0 => offer.event.clone(),
                replay => format!("{}+{replay}", offer.event),
            },
            name: offer.name.clone(),
            key: offer.key.clone().filter(|_| offer.replay == 0),
            number: offer.number,
            begins: offer.begins,
        }
    }

    /// Notes the event as handled, unless it was.
    pub(super) async fn enter<D: ModuleDatabase>(
        &self,
        backend: Backend,
        tx: &mut D::Connection,
    ) -> Result<Entry, sqlx::Error> {
        if planted!("inbox-forgets") {
            return Ok(Entry::New);
        }
        let Some(key) = &self.key else { return self.enter_without_key::<D>(backend, tx).await };
        let values: Vec<Value> = vec![
            (&*self.listener).into(),
            (&*self.publisher).into(),
            self.name.as_str().into(),
            key.as_str().into(),
            self.number.into(),
        ];
        // From each number to the next one. The first that the listener has of a key begins anywhere.
        let sql = if self.begins {
            format!(
                "INSERT INTO monolift_inbox_keys (module, publisher, name, key, number, epoch) \
                 VALUES ($1, $2, $3, $4, $5, {EPOCH}) ON CONFLICT (module, publisher, name, key) \
                 DO UPDATE SET number = $5 \
                 WHERE monolift_inbox_keys.number < $5 AND monolift_inbox_keys.epoch <= {EPOCH}"
            )
        } else {
            format!(
                "UPDATE monolift_inbox_keys SET number = $5 WHERE module = $1 AND publisher = $2 \
                 AND name = $3 AND key = $4 AND number = $5 - 1 AND epoch <= {EPOCH}"
            )
        };
        if D::execute(tx, sql.into(), values.clone()).await? > 0 {
            return Ok(Entry::New);
        }
        let sql = "SELECT number FROM monolift_inbox_keys WHERE module = $1 AND publisher = $2 \
            AND name = $3 AND key = $4";
        let last = number::<D>(tx, sql, values[..4].to_vec()).await?;
        if last.is_none_or(|last| last < self.number) {
            return Ok(Entry::TooEarly);
        }
        // One that was passed over is there until it is handled after all.
        let sql = "DELETE FROM monolift_inbox WHERE module = $1 AND publisher = $2 AND event = $3 \
            AND passed = 1";
        let was_passed = D::execute(tx, sql.into(), self.place()).await? > 0;
        Ok(if was_passed { Entry::New } else { Entry::Seen })
    }

    async fn enter_without_key<D: ModuleDatabase>(
        &self,
        backend: Backend,
        tx: &mut D::Connection,
    ) -> Result<Entry, sqlx::Error> {
        let is_new = self.note::<D>(backend, tx, false).await?;
        Ok(if is_new { Entry::New } else { Entry::Seen })
    }

    /// Passes the event over, so that those after it of its key are handled.
    pub(super) async fn pass_over<D: ModuleDatabase>(
        &self,
        backend: Backend,
        tx: &mut D::Connection,
    ) -> Result<Entry, sqlx::Error> {
        let entry = self.enter::<D>(backend, tx).await?;
        if entry == Entry::New && self.has_key() {
            self.note::<D>(backend, tx, true).await?;
        }
        Ok(entry)
    }

    /// What two events of one transaction must not have in common: the key, or the event itself.
    pub(super) fn what_it_locks(&self) -> (String, String) {
        match &self.key {
            Some(key) => (self.name.clone(), key.clone()),
            None => (String::new(), self.noted_as.clone()),
        }
    }

    pub(super) fn has_key(&self) -> bool {
        self.key.is_some()
    }

    async fn note<D: ModuleDatabase>(
        &self,
        backend: Backend,
        tx: &mut D::Connection,
        passed: bool,
    ) -> Result<bool, sqlx::Error> {
        let sql = format!(
            "INSERT INTO monolift_inbox (module, publisher, event, passed, made_at_ms, epoch) \
             VALUES ($1, $2, $3, $4, {}, {EPOCH}) ON CONFLICT (module, publisher, event) DO NOTHING",
            now(backend)
        );
        let mut values = self.place();
        values.push(i64::from(passed).into());
        Ok(D::execute(tx, sql.into(), values).await? > 0)
    }

    fn place(&self) -> Vec<Value> {
        vec![(&*self.listener).into(), (&*self.publisher).into(), self.noted_as.as_str().into()]
    }
}

/// The listeners of a module, which are its builds, and the publishers of whose events they have notes that are this old.
pub(super) async fn who_has_notes<D: ModuleDatabase>(
    db: &Db<D>,
    module: &str,
    old: Duration,
) -> Result<Vec<(String, String)>, sqlx::Error> {
    let sql = format!(
        "SELECT DISTINCT module, publisher FROM monolift_inbox \
         WHERE (module = $1 OR module LIKE $2 ESCAPE '!') AND passed = 0 AND made_at_ms < {} - $3",
        now(db.backend())
    );
    let builds = format!("{}.%", module.replace('_', "!_"));
    let values = vec![module.into(), builds.as_str().into(), milliseconds(old).into()];
    let rows = db.rows(sql.into(), values, &[Column::Text, Column::Text]).await?;
    let text = |value: &Value| value.text().unwrap_or_default().to_owned();
    Ok(rows.iter().map(|row| (text(&row[0]), text(&row[1]))).collect())
}

/// Deletes a listener's notes of a publisher's events that are this old, and come before `first`.
pub(super) async fn forget_notes<D: ModuleDatabase>(
    db: &Db<D>,
    listener: &str,
    publisher: &str,
    old: Duration,
    first: Option<String>,
) -> Result<u64, sqlx::Error> {
    let sql = format!(
        "DELETE FROM monolift_inbox WHERE module = $1 AND publisher = $2 AND passed = 0 \
         AND made_at_ms < {} - $3 AND (event < $4 OR $4 IS NULL)",
        now(db.backend())
    );
    let values =
        vec![listener.into(), publisher.into(), milliseconds(old).into(), Value::Text(first)];
    db.change(sql.into(), values).await
}

/// What the inbox says to one of several events that arrive together.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum Standing {
    /// It has not been handled.
    New,
    /// An earlier event of the same key has to be handled first.
    TooEarly,
    /// It was handled or passed over, it seems. [`Slip::enter`] knows.
    Known,
}

/// Stands for the number of a key whose row another transaction has locked. No event follows it.
const LOCKED: i64 = i64::MIN;

/// Asks about events of one publisher, each of another key, and locks those keys. Writes nothing.
pub(super) async fn ask_for_all<D: ModuleDatabase>(
    backend: Backend,
    tx: &mut D::Connection,
    slips: &[&Slip],
) -> Result<Vec<Standing>, sqlx::Error> {
    if planted!("inbox-forgets") {
        return Ok(vec![Standing::New; slips.len()]);
    }
    let Some(first) = slips.first() else { return Ok(Vec::new()) };
    let place: Vec<Value> = vec![(&*first.listener).into(), (&*first.publisher).into()];
    let last = last_numbers::<D>(backend, tx, &place, slips).await?;
    let mut noted: BTreeSet<String> = BTreeSet::new();
    let mut others: Vec<&str> =
        slips.iter().filter(|slip| !slip.has_key()).map(|slip| slip.noted_as.as_str()).collect();
    others.sort_unstable();
    if !others.is_empty() {
        let (is_one, listed) = among("event", 3, &others);
        let sql = format!(
            "SELECT event FROM monolift_inbox WHERE module = $1 AND publisher = $2 AND {is_one}"
        );
        let values = place.into_iter().chain(listed).collect();
        let rows = D::rows(tx, sql.into(), values, &[Column::Text]).await?;
        noted.extend(rows.iter().filter_map(|row| row[0].text().map(str::to_owned)));
    }
    let standing = |slip: &&Slip| match &slip.key {
        None if noted.contains(&slip.noted_as) => Standing::Known,
        None => Standing::New,
        Some(key) => match last.get(&(slip.name.clone(), key.clone())) {
            Some(&LOCKED) => Standing::TooEarly,
            Some(last) if *last >= slip.number => Standing::Known,
            Some(last) if slip.begins || *last == slip.number - 1 => Standing::New,
            None if slip.begins => Standing::New,
            _ => Standing::TooEarly,
        },
    };
    Ok(slips.iter().map(standing).collect())
}

/// The last number of each key that has one, by the name of the event and the key. It locks their rows. A key
/// whose row another transaction has locked gets [`LOCKED`], so its event waits and the batch does not.
async fn last_numbers<D: ModuleDatabase>(
    backend: Backend,
    tx: &mut D::Connection,
    place: &[Value],
    slips: &[&Slip],
) -> Result<BTreeMap<(String, String), i64>, sqlx::Error> {
    let keys = slips.iter().filter_map(|slip| Some((slip.name.as_str(), slip.key.as_deref()?)));
    let keys: Vec<(&str, &str)> = keys.collect();
    if keys.is_empty() {
        return Ok(BTreeMap::new());
    }
    let mut values = place.to_vec();
    let mut asked = Vec::new();
    for (name, key) in filled(&keys) {
        asked.push(format!("(${}, ${})", values.len() + 1, values.len() + 2));
        values.extend([name.into(), key.into()]);
    }
    let asked = asked.join(", ");
    let sql = match backend {
        Backend::Sqlite => format!(
            "SELECT name, key, number FROM monolift_inbox_keys WHERE module = $1 AND publisher = $2 \
             AND (name, key) IN (VALUES {asked})"
        ),
        // Row by row through the primary key, also without statistics of the table.
        Backend::Postgres => format!(
            "SELECT asked.name, asked.key, \
             CASE WHEN mine.number IS NULL THEN {LOCKED} ELSE mine.number END \
             FROM (VALUES {asked}) AS asked (name, key), LATERAL ({kept}) AS kept \
             LEFT JOIN LATERAL ({kept} FOR UPDATE SKIP LOCKED) AS mine ON true",
            kept = "SELECT number FROM monolift_inbox_keys WHERE module = $1 AND publisher = $2 \
                AND name = asked.name AND key = asked.key"
        ),
    };
    let columns = &[Column::Text, Column::Text, Column::Number];
    let mut last = BTreeMap::new();
    for row in D::rows(tx, sql.into(), values, columns).await? {
        let text = |at: usize| row[at].text().unwrap_or_default().to_owned();
        last.insert((text(0), text(1)), row[2].number());
    }
    Ok(last)
}

/// Notes events as handled that [`ask_for_all`] knows as new, in the same transaction. `false` if one of them was handled
/// by somebody else meanwhile: then the transaction must not be committed.
pub(super) async fn note_all<D: ModuleDatabase>(
    backend: Backend,
    tx: &mut D::Connection,
    slips: &[&Slip],
) -> Result<bool, sqlx::Error> {
    if planted!("inbox-forgets") {
        return Ok(true);
    }
    let (with_key, without): (Vec<&Slip>, Vec<&Slip>) =
        slips.iter().copied().partition(|slip| slip.has_key());
    if let Some(first) = with_key.first() {
        let mut values: Vec<Value> = vec![(&*first.listener).into(), (&*first.publisher).into()];
        let mut rows = Vec::new();
        for slip in &with_key {
            let at = values.len() + 1;
            rows.push(format!("($1, $2, ${at}, ${}, ${}, {EPOCH})", at + 1, at + 2));
            values.push(slip.name.as_str().into());
            values.push(slip.key.clone().into());
            values.push(slip.number.into());
        }
        let sql = format!(
            "INSERT INTO monolift_inbox_keys (module, publisher, name, key, number, epoch) VALUES {} \
             ON CONFLICT (module, publisher, name, key) DO UPDATE SET number = excluded.number \
             WHERE monolift_inbox_keys.number < excluded.number \
             AND monolift_inbox_keys.epoch <= {EPOCH}",
            rows.join(", ")
        );
        if D::execute(tx, sql.into(), values).await? != with_key.len() as u64 {
            return Ok(false);
        }
    }
    if let Some(first) = without.first() {
        let now = now(backend);
        let mut values: Vec<Value> = vec![(&*first.listener).into(), (&*first.publisher).into()];
        let mut rows = Vec::new();
        for slip in &without {
            rows.push(format!("($1, $2, ${}, 0, {now}, {EPOCH})", values.len() + 1));
            values.push(slip.noted_as.as_str().into());
        }
        let sql = format!(
            "INSERT INTO monolift_inbox (module, publisher, event, passed, made_at_ms, epoch) VALUES {} \
             ON CONFLICT (module, publisher, event) DO NOTHING",
            rows.join(", ")
        );
        if D::execute(tx, sql.into(), values).await? != without.len() as u64 {
            return Ok(false);
        }
    }
    Ok(true)
}
