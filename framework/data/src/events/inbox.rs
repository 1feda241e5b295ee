//! What a module has handled, in its own database, noted in the transaction of the effect.

use super::{
    offer::Offer,
    statements::{now, number},
    tables::EPOCH,
};
use crate::{Backend, ModuleDatabase, Value, call::planted};
use std::sync::Arc;

/// What the inbox needs to know of a delivery.
#[derive(Debug, Clone)]
pub(super) struct Slip {
    pub(super) listener: Arc<str>,
    pub(super) publisher: Arc<str>,
    pub(super) event: String,
    name: String,
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
    /// One before it of its key has to be handled first.
    TooEarly,
}

impl Slip {
    pub(super) fn of(offer: &Offer, listener: &Arc<str>, publisher: &Arc<str>) -> Self {
        Self {
            listener: Arc::clone(listener),
            publisher: Arc::clone(publisher),
            event: offer.event.clone(),
            name: offer.name.clone(),
            key: offer.key.clone(),
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
        vec![(&*self.listener).into(), (&*self.publisher).into(), self.event.as_str().into()]
    }
}
