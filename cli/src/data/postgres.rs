//! A copy from PostgreSQL to PostgreSQL: the text format of `COPY` goes from one to the other, and is compared with what
//! the other then has.

mod catalogue;

use super::{
    Copied, Task,
    digest::{Difference, Digest, Rows},
    failed, listed,
    progress::Progress,
    quoted, refused, same_migrations,
    table::{self, ForeignKey, Part, WORK, history_of},
    with_causes,
};
use catalogue::{Sequence, Side, Trigger};
use futures_util::StreamExt;
use monolift_data::Location;
use sqlx::Postgres;
use std::{error::Error, time::Duration};
use tokio::time::{Instant, timeout_at};

/// Rows are sent in pieces of about this many bytes.
const PIECE: usize = 256 * 1024;

/// PostgreSQL's codes for a statement or a wait that took too long: by `statement_timeout`, `lock_timeout` and
/// `idle_in_transaction_session_timeout`.
const TOO_LONG: [&str; 3] = ["57014", "55P03", "25P03"];

/// Copies a module's rows.
pub(super) async fn copy(
    task: &Task<'_>,
    from: &Location,
    to: &Location,
    progress: &mut Progress,
) -> Result<Copied, Box<dyn Error>> {
    let mut source = Side::connect("the source", from).await?;
    let mut target = Side::connect("the target", to).await?;
    if source.identity().await? == target.identity().await? {
        return Err("--to is where the rows are: it is the same schema of the same database".into());
    }
    let in_source = source.tables().await?;
    let has_work = in_source.iter().any(|table| table.name == WORK);
    let is_new = task.migrate::<Postgres>(to, has_work).await?;
    let history = history_of(task.module);
    if !task.migrations.is_empty() && in_source.iter().any(|table| table.name == history) {
        let versions = (source.versions(&history).await?, target.versions(&history).await?);
        same_migrations(task.module, &versions.0, &versions.1)?;
    }
    let mut parts = table::choose(task.module, task.named, &in_source, &target.tables().await?)?;
    let circular = table::sort(&mut parts, &target.foreign_keys().await?);
    progress.expect(source.about(&parts).await?);

    let since = Instant::now();
    let mut copying = Copying { task, source, target, parts, circular, is_new, progress };
    let ended = timeout_at(since + task.hold, copying.run()).await;
    // Both transactions end with their connections, unless this one is committed.
    match ended {
        Ok(Ok((tables, was_there))) => {
            if !was_there {
                copying.commit().await?;
            }
            // The locks of the source.
            let _ = copying.source.run("ROLLBACK").await;
            Ok(Copied { tables, was_there, held: since.elapsed() })
        }
        Ok(Err(error)) if !is_too_long(&*error) => Err(failed(error, copying.progress)),
        Ok(Err(_)) | Err(_) => Err(copying.task.is_over(copying.progress).into()),
    }
}

fn is_too_long(error: &(dyn Error + 'static)) -> bool {
    let code = error
        .downcast_ref::<sqlx::Error>()
        .and_then(|error| error.as_database_error()?.code().map(std::borrow::Cow::into_owned));
    code.is_some_and(|code| TOO_LONG.contains(&code.as_str()))
}

/// A copy at work: one transaction on each side.
struct Copying<'a> {
    task: &'a Task<'a>,
    source: Side,
    target: Side,
    parts: Vec<Part>,
    /// Foreign keys that cannot hold while rows are copied.
    circular: Vec<ForeignKey>,
    /// Whether all rows of the target are those of migrations.
    is_new: bool,
    progress: &'a mut Progress,
}

type Tables = Vec<(String, u64)>;

impl Copying<'_> {
    /// Copies all tables, or compares them if the target has rows: then the result says so.
    async fn run(&mut self) -> Result<(Tables, bool), Box<dyn Error>> {
        let hold = self.task.hold;
        self.target.begin(&self.parts, "EXCLUSIVE", hold).await?;
        // The snapshot is taken by the first statement after this one, when no writer is left.
        self.source.begin(&self.parts, "SHARE", hold).await?;
        if !self.is_new && self.target.has_rows(&self.parts).await? {
            return self.compare().await.map(|tables| (tables, true));
        }
        let triggers = self.target.triggers(&self.parts).await?;
        self.prepare(&triggers).await?;
        let mut tables = Vec::new();
        for part in self.parts.clone() {
            let copied = self.copy(&part).await?;
            self.progress.compare();
            let rows = copied.rows();
            let stored = self.target.digest(&part, None).await?;
            if let Some(difference) = copied.difference(&part.table, &stored) {
                return Err(format!("the rows differ, so nothing was kept: {difference}").into());
            }
            tables.push((part.table, rows));
        }
        self.set_sequences().await?;
        self.restore(&triggers).await?;
        Ok((tables, false))
    }

    /// Keeps what was copied. No time ends this, so that what is told of it is true.
    async fn commit(&mut self) -> Result<(), String> {
        self.target.run("COMMIT").await.map_err(|error| {
            format!(
                "the commit was sent, and its outcome is not known: {error}. Run the command again: it says what is there"
            )
        })
    }

    /// Makes the target take rows as they are: it has none, and no trigger changes them.
    async fn prepare(&mut self, triggers: &[Trigger]) -> Result<(), sqlx::Error> {
        for Trigger { table, name, .. } in triggers {
            let sql = format!("ALTER TABLE {} DISABLE TRIGGER {}", quoted(table), quoted(name));
            self.target.run(&sql).await?;
        }
        for ForeignKey { name, table, .. } in self.circular.iter().filter(|key| !key.is_deferrable)
        {
            let (table, name) = (quoted(table), quoted(name));
            let how = "DEFERRABLE INITIALLY DEFERRED";
            let sql = format!("ALTER TABLE {table} ALTER CONSTRAINT {name} {how}");
            self.target.run(&sql).await?;
        }
        self.target.run("SET CONSTRAINTS ALL DEFERRED").await?;
        if self.is_new {
            for part in self.parts.iter().rev() {
                self.target.run(&format!("DELETE FROM {}", quoted(&part.table))).await?;
            }
        }
        Ok(())
    }

    /// Makes the target as its migrations left it, but for its rows.
    async fn restore(&mut self, triggers: &[Trigger]) -> Result<(), sqlx::Error> {
        // It checks what was deferred: a table with checks to come cannot be altered.
        self.target.run("SET CONSTRAINTS ALL IMMEDIATE").await?;
        for ForeignKey { name, table, .. } in self.circular.iter().filter(|key| !key.is_deferrable)
        {
            let (table, name) = (quoted(table), quoted(name));
            let sql = format!("ALTER TABLE {table} ALTER CONSTRAINT {name} NOT DEFERRABLE");
            self.target.run(&sql).await?;
        }
        for Trigger { table, name, always } in triggers {
            let enable = if *always { "ENABLE ALWAYS" } else { "ENABLE" };
            let sql = format!("ALTER TABLE {} {enable} TRIGGER {}", quoted(table), quoted(name));
            self.target.run(&sql).await?;
        }
        Ok(())
    }

    /// Copies the rows of a table, and returns their checksum.
    async fn copy(&mut self, part: &Part) -> Result<Digest, Box<dyn Error>> {
        self.progress.begin(&part.table);
        let into = format!("COPY {} ({}) FROM STDIN", quoted(&part.table), listed(&part.columns));
        let out = self.source.copy_out(part, Some(self.task.module));
        let mut out = self.source.connection.copy_out_raw(&out).await?;
        let mut into = self.target.connection.copy_in_raw(&into).await?;
        let (mut digest, mut rows, mut piece) = (Digest::new(), Rows::default(), Vec::new());
        while let Some(data) = out.next().await {
            let data = data?;
            rows.each(&data, |row| digest.add(row));
            piece.extend_from_slice(&data);
            if piece.len() >= PIECE {
                into.send(&piece[..]).await?;
                piece.clear();
                self.progress.has(digest.rows());
            }
        }
        into.send(&piece[..]).await?;
        into.finish().await?;
        self.progress.has(digest.rows());
        Ok(digest)
    }

    /// Compares all tables of a target that has rows.
    async fn compare(&mut self) -> Result<Tables, Box<dyn Error>> {
        let (mut tables, mut differences) = (Vec::new(), Vec::<Difference>::new());
        for part in self.parts.clone() {
            self.progress.begin(&part.table);
            self.progress.compare();
            let source = self.source.digest(&part, Some(self.task.module)).await?;
            let target = self.target.digest(&part, None).await?;
            differences.extend(source.difference(&part.table, &target));
            tables.push((part.table, source.rows()));
        }
        if differences.is_empty() { Ok(tables) } else { Err(refused(&differences).into()) }
    }

    /// Has the sequences of the target go on where those of the source are. They are no part of the transaction, so
    /// this comes late; without rows it does no harm.
    async fn set_sequences(&mut self) -> Result<(), Box<dyn Error>> {
        let of_source = self.source.sequences().await?;
        let is_copied = |table: &str| self.parts.iter().any(|part| part.table == table);
        for Sequence { name, column } in self.target.sequences().await? {
            let is_ours = match &column {
                Some((table, _)) => is_copied(table),
                None => self.task.named.is_empty(),
            };
            if !is_ours {
                continue;
            }
            let same = of_source
                .iter()
                .find(|other| column.is_some() && other.column == column)
                .or_else(|| of_source.iter().find(|other| other.name == name));
            match (same, &column) {
                (Some(same), _) => {
                    let (last, is_called) = self.source.last_value(&same.name).await?;
                    self.target.set_sequence(&name, last, is_called).await?;
                }
                // The source makes these numbers in another way.
                (None, Some((table, column))) => {
                    if let Some(last) = self.target.largest(table, column).await? {
                        self.target.set_sequence(&name, last, true).await?;
                    }
                }
                (None, None) => {}
            }
        }
        Ok(())
    }
}

/// The longest that a server waits by itself, so that locks end if this program hangs.
fn milliseconds(hold: Duration) -> u128 {
    hold.as_millis().max(1)
}
