//! The pieces of a module one by one, for an operator: how each stands, and never what it holds.
//!
//! A payload can hold what an operator must not see. So an operator sees its size and its outline: the names of its
//! fields and the types of their values.

use super::{
    PieceOfSubject,
    ledger::{Ledger, Standing},
};
use crate::{Column, ModuleDatabase, Value};
use futures_util::future::BoxFuture;
use std::{fmt, sync::Arc};
use tokio::sync::Notify;

/// How a piece stands.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum PieceState {
    /// It is to be done, now or later.
    Waiting,
    /// A worker has claimed it.
    Running,
    /// It failed too often. It waits for an operator, who retries or discards it.
    Parked,
}

/// One piece, without what it holds. Times are in milliseconds.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct LedgerPiece {
    /// Its number.
    pub id: String,
    /// Its kind.
    pub kind: String,
    /// How it stands.
    pub state: PieceState,
    /// How often it was tried.
    pub attempts: i64,
    /// How it failed last.
    pub error: Option<String>,
    /// The time until it is tried next. Negative when it is due already.
    pub due_in_ms: i64,
    /// For how long it has been there.
    pub age_ms: i64,
    /// For how long it has been parked.
    pub parked_for_ms: Option<i64>,
    /// The trace that enqueued it, as `traceparent` has it.
    pub trace: Option<String>,
    /// The bytes of its payload.
    pub payload_bytes: usize,
    /// The names and types in its payload.
    pub payload_outline: String,
}

/// Which pieces are asked for. Without anything, all.
#[derive(Debug, Clone, Default)]
pub struct PieceFilter {
    /// This one.
    pub id: Option<String>,
    /// Of this kind.
    pub kind: Option<String>,
    /// In this state.
    pub state: Option<PieceState>,
    /// At most so many.
    pub most: u32,
}

/// A module's ledger, whatever its database is.
pub trait AnyLedger: Send + Sync + fmt::Debug {
    /// How many pieces there are of each kind.
    fn standing(&self) -> BoxFuture<'_, Result<Vec<Standing>, sqlx::Error>>;

    /// The pieces that are asked for: parked ones first, then those that are due first.
    fn pieces(&self, filter: PieceFilter) -> BoxFuture<'_, Result<Vec<LedgerPiece>, sqlx::Error>>;

    /// Has the parked piece of this number done again, or all parked ones. The result is how many.
    fn run_again(&self, id: Option<String>) -> BoxFuture<'_, Result<u64, sqlx::Error>>;

    /// Gives up a parked piece for good. The result is how many.
    fn give_up(&self, id: String) -> BoxFuture<'_, Result<u64, sqlx::Error>>;

    /// The pieces of a subject whose numbers come after `after`, in the order of their numbers; at most 128.
    fn of_subject<'a>(
        &'a self,
        subject: &'a str,
        after: &'a str,
    ) -> BoxFuture<'a, Result<Vec<PieceOfSubject>, sqlx::Error>>;

    /// Deletes at most 128 pieces of a subject. The result is how many.
    fn erase<'a>(&'a self, subject: &'a str) -> BoxFuture<'a, Result<u64, sqlx::Error>>;
}

/// A ledger whose worker is told when there is something to do.
#[derive(Debug)]
pub(crate) struct Attended<D: ModuleDatabase> {
    pub(crate) ledger: Ledger<D>,
    pub(crate) nudge: Arc<Notify>,
}

impl<D: ModuleDatabase> AnyLedger for Attended<D> {
    fn standing(&self) -> BoxFuture<'_, Result<Vec<Standing>, sqlx::Error>> {
        Box::pin(self.ledger.standing())
    }

    fn pieces(&self, filter: PieceFilter) -> BoxFuture<'_, Result<Vec<LedgerPiece>, sqlx::Error>> {
        Box::pin(self.ledger.pieces(filter))
    }

    fn run_again(&self, id: Option<String>) -> BoxFuture<'_, Result<u64, sqlx::Error>> {
        Box::pin(async move {
            let again = self.ledger.run_again(id.as_deref()).await?;
            self.nudge.notify_one();
            Ok(again)
        })
    }

    fn give_up(&self, id: String) -> BoxFuture<'_, Result<u64, sqlx::Error>> {
        Box::pin(async move { Ok(self.ledger.give_up(&id).await?.into()) })
    }

    fn of_subject<'a>(
        &'a self,
        subject: &'a str,
        after: &'a str,
    ) -> BoxFuture<'a, Result<Vec<PieceOfSubject>, sqlx::Error>> {
        Box::pin(self.ledger.of_subject(subject, after))
    }

    fn erase<'a>(&'a self, subject: &'a str) -> BoxFuture<'a, Result<u64, sqlx::Error>> {
        Box::pin(self.ledger.erase(subject))
    }
}

impl<D: ModuleDatabase> Ledger<D> {
    /// The pieces that are asked for: parked ones first, then those that are due first.
    pub async fn pieces(&self, filter: PieceFilter) -> Result<Vec<LedgerPiece>, sqlx::Error> {
        let now = self.now().await?;
        let state = match filter.state {
            None => "1 = 1",
            Some(PieceState::Parked) => "parked_at_ms IS NOT NULL",
            Some(PieceState::Running) => "parked_at_ms IS NULL AND leased_till_ms > $2",
            Some(PieceState::Waiting) => "parked_at_ms IS NULL AND leased_till_ms <= $2",
        };
        let sql = format!(
            "SELECT id, name, payload, attempts, error, due_at_ms - $2, $2 - made_at_ms, \
             CASE WHEN parked_at_ms IS NULL THEN -1 ELSE $2 - parked_at_ms END, leased_till_ms - $2, trace \
             FROM monolift_work WHERE module = $1 AND {state} \
             AND (id = $3 OR $3 IS NULL) AND (name = $4 OR $4 IS NULL) \
             ORDER BY CASE WHEN parked_at_ms IS NULL THEN 1 ELSE 0 END, due_at_ms, id LIMIT $5"
        );
        const COLUMNS: &[Column] = &[
            Column::Text,
            Column::Text,
            Column::Text,
            Column::Number,
            Column::Text,
            Column::Number,
            Column::Number,
            Column::Number,
            Column::Number,
            Column::Text,
        ];
        let values = vec![
            self.module().into(),
            now.into(),
            Value::Text(filter.id),
            Value::Text(filter.kind),
            i64::from(filter.most).into(),
        ];
        let rows = self.rows(&sql, values, COLUMNS).await?;
        Ok(rows.iter().map(|row| piece(row)).collect())
    }
}

fn piece(row: &[Value]) -> LedgerPiece {
    let text = |at: usize| row[at].text().map(str::to_owned);
    let payload = row[2].text().unwrap_or_default();
    let parked_for_ms = Some(row[7].number()).filter(|parked| *parked >= 0);
    LedgerPiece {
        id: text(0).unwrap_or_default(),
        kind: text(1).unwrap_or_default(),
        state: match parked_for_ms {
            Some(_) => PieceState::Parked,
            None if row[8].number() > 0 => PieceState::Running,
            None => PieceState::Waiting,
        },
        attempts: row[3].number(),
        error: text(4),
        due_in_ms: row[5].number(),
        age_ms: row[6].number(),
        parked_for_ms,
        trace: text(9),
        payload_bytes: payload.len(),
        payload_outline: outline(payload),
    }
}

/// The longest name of a field that is shown, and the most fields of an object.
const LONGEST_NAME: usize = 40;
const MOST_FIELDS: usize = 20;
/// Values deeper than this are not shown.
const DEEPEST: usize = 4;

/// The names of fields and the types of values in a payload: `{order: text, lines: [2 × {sku: text, quantity: number}]}`.
pub fn outline(payload: &str) -> String {
    match serde_json::from_str(payload) {
        Ok(value) => outline_of(&value, 0),
        Err(_) => "not JSON".to_owned(),
    }
}

fn outline_of(value: &serde_json::Value, depth: usize) -> String {
    use serde_json::Value;
    match value {
        Value::Null => "nothing".to_owned(),
        Value::Bool(_) => "truth".to_owned(),
        Value::Number(_) => "number".to_owned(),
        Value::String(_) => "text".to_owned(),
        Value::Array(_) | Value::Object(_) if depth == DEEPEST => "…".to_owned(),
        Value::Array(values) => match values.first() {
            None => "[]".to_owned(),
            Some(first) => format!("[{} × {}]", values.len(), outline_of(first, depth + 1)),
        },
        Value::Object(fields) => {
            let shown = fields.iter().take(MOST_FIELDS);
            let shown = shown.map(|(name, value)| {
                format!("{}: {}", name_of(name), outline_of(value, depth + 1))
            });
            let mut shown: Vec<String> = shown.collect();
            if fields.len() > MOST_FIELDS {
                shown.push("…".to_owned());
            }
            format!("{{{}}}", shown.join(", "))
        }
    }
}

/// A key of a map can be data. What does not look like the name of a field is not shown.
fn name_of(key: &str) -> &str {
    let mut bytes = key.bytes();
    let begins = bytes.next().is_some_and(|first| first.is_ascii_alphabetic() || first == b'_');
    let is_name = begins
        && key.len() <= LONGEST_NAME
        && bytes.all(|byte| byte.is_ascii_alphabetic() || byte == b'_');
    if is_name { key } else { "…" }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn an_outline_has_names_and_types_and_no_values() {
        let payload = r#"{"order": "o-17", "cents": 250, "card": {"pan": "4111", "ok": true},
            "lines": [{"sku": "tea"}, {"sku": "cup"}], "by_mail": {"ann@example.org": 1}, "note": null, "none": []}"#;
        let expected = "{by_mail: {…: number}, card: {ok: truth, pan: text}, cents: number, \
                        lines: [2 × {sku: text}], none: [], note: nothing, order: text}";
        let sorted: std::collections::BTreeMap<String, serde_json::Value> =
            serde_json::from_str(payload).unwrap();
        assert_eq!(outline(&serde_json::to_string(&sorted).unwrap()), expected);
        assert_eq!(outline("7"), "number");
        assert_eq!(outline("{"), "not JSON");
        assert_eq!(outline("[[[[[[1]]]]]]"), "[1 × [1 × [1 × [1 × …]]]]");
    }
}
