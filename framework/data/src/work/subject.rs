//! Finds and deletes the pieces of durable work that hold data of a subject.

use super::{ledger::Ledger, tables::EPOCH};
use crate::{Column, ModuleDatabase};

/// The most pieces that one call returns or deletes.
const AT_ONCE: usize = 128;

/// A piece that holds data of a subject.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct PieceOfSubject {
    /// Its number.
    pub id: String,
    /// Its kind.
    pub kind: String,
    /// Its key.
    pub key: Option<String>,
    /// What is to be done, as JSON.
    pub payload: String,
    /// Whether it is left alone until a person decides.
    pub parked: bool,
    /// How it failed last.
    pub error: Option<String>,
}

impl<D: ModuleDatabase> Ledger<D> {
    /// The pieces of a subject whose numbers come after `after`, in the order of their numbers; at most 128.
    pub async fn of_subject(
        &self,
        subject: &str,
        after: &str,
    ) -> Result<Vec<PieceOfSubject>, sqlx::Error> {
        const COLUMNS: &[Column] =
            &[Column::Text, Column::Text, Column::Text, Column::Text, Column::Number, Column::Text];
        let sql = format!(
            "SELECT id, name, key, payload, CASE WHEN parked_at_ms IS NULL THEN 0 ELSE 1 END, error \
             FROM monolift_work WHERE subject = $1 AND module = $2 AND id > $3 \
             ORDER BY id LIMIT {AT_ONCE}"
        );
        let values = vec![subject.into(), self.module().into(), after.into()];
        let rows = self.rows(&sql, values, COLUMNS).await?;
        let pieces = rows.iter().map(|row| {
            let text = |at: usize| row[at].text().map(str::to_owned);
            PieceOfSubject {
                id: text(0).unwrap_or_default(),
                kind: text(1).unwrap_or_default(),
                key: text(2),
                payload: text(3).unwrap_or_default(),
                parked: row[4].number() == 1,
                error: text(5),
            }
        });
        Ok(pieces.collect())
    }

    /// Deletes at most 128 pieces of a subject, and returns how many. Repeat it until it returns 0.
    ///
    /// A piece that is running now continues. If it fails, it is not retried.
    pub async fn erase(&self, subject: &str) -> Result<u64, sqlx::Error> {
        let sql = format!(
            "DELETE FROM monolift_work WHERE id IN (SELECT id FROM monolift_work \
             WHERE subject = $1 AND module = $2 AND epoch <= {EPOCH} LIMIT {AT_ONCE})"
        );
        self.change(&sql, vec![subject.into(), self.module().into()]).await
    }
}
