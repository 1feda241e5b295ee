//! Finds and erases the events that hold data of a subject, in the publisher's tables.
//!
//! The payload of an erased event is empty, and its subject is forgotten. Its row stays with its key and its number, so that
//! the order of its key continues. A listener that has not handled the event skips it: its inbox notes the event, and its
//! handler is not called.
//!
//! An erased event keeps its key, which is in the listeners' inboxes too. So a key must not name a person.

use super::{
    EventLedger,
    statements::{for_update, list},
    tables::EPOCH,
};
use crate::{Column, ModuleDatabase, Value};

/// The most events that one call returns or erases.
const AT_ONCE: usize = 128;

/// An event that holds data of a subject.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct EventOfSubject {
    /// The number of the event.
    pub event: String,
    /// The name of the event.
    pub name: String,
    /// Its key, as JSON.
    pub key: Option<String>,
    /// Its fields, as JSON.
    pub payload: String,
    /// When it was published, in milliseconds since 1970.
    pub made_at_ms: i64,
    /// The listeners that have not handled it.
    pub offers: Vec<OfferOfSubject>,
}

/// An event that a listener has not handled.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct OfferOfSubject {
    /// The module that listens.
    pub listener: String,
    /// Whether it is left alone until a person decides.
    pub parked: bool,
    /// How it failed last.
    pub error: Option<String>,
}

impl<D: ModuleDatabase> EventLedger<D> {
    /// The events of a subject whose numbers come after `after`, in the order of their numbers; at most 128.
    pub async fn of_subject(
        &self,
        subject: &str,
        after: &str,
    ) -> Result<Vec<EventOfSubject>, sqlx::Error> {
        const COLUMNS: &[Column] = &[
            Column::Text,
            Column::Text,
            Column::Text,
            Column::Text,
            Column::Number,
            Column::Text,
            Column::Number,
            Column::Text,
        ];
        let sql = format!(
            "SELECT e.id, e.name, e.key, e.payload, e.made_at_ms, o.listener, \
             CASE WHEN o.parked_at_ms IS NULL THEN 0 ELSE 1 END, o.error \
             FROM (SELECT * FROM monolift_events WHERE subject = $1 AND module = $2 AND id > $3 \
             ORDER BY id LIMIT {AT_ONCE}) e \
             LEFT JOIN monolift_event_listeners l ON l.module = e.module AND l.name = e.name \
             LEFT JOIN monolift_event_offers o \
             ON o.module = l.module AND o.listener = l.listener AND o.event = e.id \
             ORDER BY e.id, l.listener"
        );
        let values = vec![subject.into(), self.module().into(), after.into()];
        let text = |value: &Value| value.text().map(str::to_owned);
        let mut events: Vec<EventOfSubject> = Vec::new();
        for row in self.db().rows(sql.into(), values, COLUMNS).await? {
            let event = text(&row[0]).unwrap_or_default();
            if events.last().is_none_or(|last| last.event != event) {
                events.push(EventOfSubject {
                    event,
                    name: text(&row[1]).unwrap_or_default(),
                    key: text(&row[2]),
                    payload: text(&row[3]).unwrap_or_default(),
                    made_at_ms: row[4].number(),
                    offers: Vec::new(),
                });
            }
            if let (Some(last), Some(listener)) = (events.last_mut(), text(&row[5])) {
                let (parked, error) = (row[6].number() == 1, text(&row[7]));
                last.offers.push(OfferOfSubject { listener, parked, error });
            }
        }
        Ok(events)
    }

    /// Erases at most 128 events of a subject, and returns how many. Repeat it until it returns 0.
    ///
    /// A listener that has taken an event may still handle it. An event whose transaction is not yet committed is not
    /// erased, so erase again after such transactions have ended.
    pub async fn erase(&self, subject: &str) -> Result<u64, sqlx::Error> {
        let locked = for_update(self.db().backend());
        let sql = format!(
            "SELECT id FROM monolift_events WHERE subject = $1 AND module = $2 AND epoch <= {EPOCH} \
             ORDER BY id LIMIT {AT_ONCE} {locked}"
        );
        let mut tx = self.db().write().await?;
        let values = vec![subject.into(), self.module().into()];
        let rows = D::rows(&mut tx, sql.into(), values, &[Column::Text]).await?;
        let ids: Vec<&str> = rows.iter().filter_map(|row| row[0].text()).collect();
        if ids.is_empty() {
            tx.rollback().await?;
            return Ok(0);
        }
        let (places, listed) = list(2, &ids);
        let values: Vec<Value> = [self.module().into()].into_iter().chain(listed).collect();
        // Without its holder, a listener that has taken the offer cannot note an error, which may name the subject. The lease
        // lasts, so that the event is not taken a second time while the first delivery may be at work.
        let sql = format!(
            "UPDATE monolift_event_offers SET skipped = 1, parked_at_ms = NULL, error = NULL, \
             attempts = 0, due_at_ms = 0, holder = NULL WHERE module = $1 AND listener IN \
             (SELECT listener FROM monolift_event_listeners WHERE module = $1) AND event IN ({places})"
        );
        D::execute(&mut tx, sql.into(), values.clone()).await?;
        let sql = format!(
            "UPDATE monolift_events SET payload = '', subject = NULL WHERE module = $1 AND id IN ({places})"
        );
        D::execute(&mut tx, sql.into(), values).await?;
        tx.commit().await?;
        Ok(ids.len() as u64)
    }
}
