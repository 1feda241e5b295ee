//! A copy from one SQLite file to another: one connection has both files, and SQLite copies the rows.

use super::{
    Copied, Task,
    digest::Difference,
    failed, listed,
    progress::Progress,
    quoted, refused, same_migrations,
    table::{self, Column, Part, Table, WORK, history_of},
    with_causes,
};
use monolift_data::Location;
use sqlx::{AssertSqlSafe, ConnectOptions, Sqlite, SqliteConnection, sqlite::SqliteConnectOptions};
use std::{
    collections::BTreeMap,
    error::Error,
    fs,
    os::unix::fs::MetadataExt,
    path::{Path, PathBuf},
    str::FromStr,
    time::{Duration, Instant},
};

/// Rows are copied in batches of this many.
const BATCH: i64 = 20_000;
/// SQLite looks at the time after this many steps of its machine.
const STEPS: i32 = 10_000;

/// The names that the connection has for the two files.
const SOURCE: &str = "source";
const TARGET: &str = "main";

/// Copies a module's rows.
pub(super) async fn copy(
    task: &Task<'_>,
    from: &Location,
    to: &Location,
    progress: &mut Progress,
) -> Result<Copied, Box<dyn Error>> {
    let (source, target) = (file(from)?, file(to)?);
    if !source.exists() {
        return Err(format!(
            "{} does not exist: name the database that has the rows by --from, if the settings do not",
            source.display()
        )
        .into());
    }
    if is_same(&source, &target) {
        return Err("--to is where the rows are: it is the same file".into());
    }
    let has_work = Files::has_work(&source).await?;
    let is_new = task.migrate::<Sqlite>(&Location::File(target.clone()), has_work).await?;

    let mut files = Files::open(&source, &target, task.hold).await?;
    let since = Instant::now();
    let by = since + task.hold;
    let copied = files.copy(task, is_new, by, progress).await;
    let held = since.elapsed();
    // Ends the transaction, if there still is one.
    drop(files);
    match copied {
        Ok((tables, was_there)) => Ok(Copied { tables, was_there, held }),
        Err(error) if Instant::now() >= by || is_busy(&*error) => {
            Err(task.is_over(progress).into())
        }
        Err(error) => Err(failed(error, progress)),
    }
}

/// SQLite's code for a lock that was not free in time.
fn is_busy(error: &(dyn Error + 'static)) -> bool {
    let error = error.downcast_ref::<sqlx::Error>().and_then(|error| error.as_database_error());
    error.is_some_and(|error| error.code().as_deref() == Some("5"))
}

/// The file of a database.
fn file(location: &Location) -> Result<PathBuf, String> {
    let file = match location {
        Location::File(file) => file.clone(),
        Location::Url(url) | Location::Shared { url, .. } => {
            let options = SqliteConnectOptions::from_str(url).map_err(|error| error.to_string())?;
            options.get_filename().to_path_buf()
        }
    };
    if file.to_string_lossy().contains(":memory:") {
        return Err("a database in memory is no file".to_owned());
    }
    std::path::absolute(&file).map_err(|error| format!("{}: {error}", file.display()))
}

fn is_same(one: &Path, other: &Path) -> bool {
    let id = |file: &Path| fs::metadata(file).ok().map(|data| (data.dev(), data.ino()));
    id(one).is_some_and(|one| id(other) == Some(one))
}

/// A connection that has both files.
struct Files {
    connection: SqliteConnection,
}

type Tables = Vec<(String, u64)>;

impl Files {
    /// Whether a file has the table of durable work.
    async fn has_work(source: &Path) -> Result<bool, String> {
        let failed = |error: sqlx::Error| {
            with_causes(&format!("the source, {}, cannot be read", source.display()), &error)
        };
        let options = SqliteConnectOptions::new().filename(source);
        let mut connection = options.connect().await.map_err(failed)?;
        let sql = "SELECT EXISTS (SELECT 1 FROM sqlite_schema WHERE name = $1)";
        let work = sqlx::query_scalar(sql).bind(WORK).fetch_one(&mut connection).await;
        work.map_err(failed)
    }

    async fn open(source: &Path, target: &Path, hold: Duration) -> Result<Self, Box<dyn Error>> {
        // Foreign keys are checked in the end: with each row, SQLite would look for those that refer to it.
        let options = SqliteConnectOptions::new().filename(target).busy_timeout(hold);
        let options = options.foreign_keys(false);
        let mut connection = options.connect().await?;
        sqlx::query("ATTACH DATABASE $1 AS source")
            .bind(source.to_str().ok_or("the path of the source is no UTF-8")?)
            .execute(&mut connection)
            .await?;
        Ok(Self { connection })
    }

    /// Copies all tables, or compares them if the target has rows: then the result says so.
    async fn copy(
        &mut self,
        task: &Task<'_>,
        is_new: bool,
        by: Instant,
        progress: &mut Progress,
    ) -> Result<(Tables, bool), Box<dyn Error>> {
        // A statement that runs for too long ends, and with it the transaction.
        let mut handle = self.connection.lock_handle().await?;
        handle.set_progress_handler(STEPS, move || Instant::now() < by);
        drop(handle);
        // It has the locks of both files.
        self.run("BEGIN IMMEDIATE").await?;
        let in_source = self.tables(SOURCE).await?;
        let history = history_of(task.module);
        if !task.migrations.is_empty() && in_source.iter().any(|table| table.name == history) {
            let source = self.versions(SOURCE, &history).await?;
            let target = self.versions(TARGET, &history).await?;
            same_migrations(task.module, &source, &target)?;
        }
        let in_target = self.tables(TARGET).await?;
        let parts = table::choose(task.module, task.named, &in_source, &in_target)?;
        let mut rows = Tables::new();
        for part in &parts {
            let count = self.count(SOURCE, &part.table, only(task.module, part)).await?;
            rows.push((part.table.clone(), count));
        }
        progress.expect(rows.iter().map(|(_, rows)| rows).sum());
        let was_there = !is_new && self.has_rows(&parts).await?;
        let triggers = if was_there { Vec::new() } else { self.take_triggers(&parts).await? };
        if !was_there {
            for part in &parts {
                self.run(&format!("DELETE FROM main.{}", quoted(&part.table))).await?;
            }
            for part in &parts {
                self.copy_rows(part, only(task.module, part), progress).await?;
            }
            self.set_sequences(&parts).await?;
            self.check_foreign_keys(&parts).await?;
        }
        let mut differences = Vec::new();
        for (part, (_, rows)) in parts.iter().zip(&rows) {
            progress.begin_compare(&part.table);
            differences.extend(self.difference(part, only(task.module, part), *rows).await?);
        }
        match &differences[..] {
            [] => {}
            [first, ..] if !was_there => {
                return Err(format!("the rows differ, so nothing was kept: {first}").into());
            }
            all => return Err(refused(all).into()),
        }
        for sql in &triggers {
            self.run(sql).await?;
        }
        self.run("COMMIT").await?;
        Ok((rows, was_there))
    }

    async fn run(&mut self, sql: &str) -> Result<(), sqlx::Error> {
        let sql = sqlx::raw_sql(AssertSqlSafe(sql.to_owned()));
        sql.execute(&mut self.connection).await.map(drop)
    }

    /// The tables of a file, with their columns. One that SQLite does not store itself is refused.
    async fn tables(&mut self, file: &str) -> Result<Vec<Table>, Box<dyn Error>> {
        let sql = "SELECT tables.name, tables.type, columns.name, columns.hidden \
            FROM pragma_table_list tables, pragma_table_xinfo(tables.name, tables.schema) columns \
            WHERE tables.schema = $1 AND tables.type IN ('table', 'virtual') \
            AND tables.name NOT LIKE 'sqlite\\_%' ESCAPE '\\' ORDER BY tables.name, columns.cid";
        let rows: Vec<(String, String, String, i64)> =
            sqlx::query_as(sql).bind(file).fetch_all(&mut self.connection).await?;
        let mut tables = BTreeMap::<String, Vec<Column>>::new();
        for (table, kind, name, hidden) in rows {
            if kind == "virtual" && file == TARGET {
                return Err(format!("the table `{table}` is virtual, and cannot be copied").into());
            }
            // Columns of SQLite have no types: each value has its own.
            let column = Column { name, kind: String::new(), is_generated: hidden != 0 };
            tables.entry(table).or_default().push(column);
        }
        Ok(tables.into_iter().map(|(name, columns)| Table { name, columns }).collect())
    }

    async fn versions(&mut self, file: &str, history: &str) -> Result<Vec<i64>, sqlx::Error> {
        let sql = format!("SELECT version FROM {file}.{} ORDER BY version", quoted(history));
        sqlx::query_scalar(AssertSqlSafe(sql)).fetch_all(&mut self.connection).await
    }

    async fn number(&mut self, sql: String) -> Result<u64, sqlx::Error> {
        let number = sqlx::query_scalar::<_, i64>(AssertSqlSafe(sql));
        Ok(number.fetch_one(&mut self.connection).await?.unsigned_abs())
    }

    async fn count(&mut self, file: &str, table: &str, only: String) -> Result<u64, sqlx::Error> {
        self.number(format!("SELECT COUNT(*) FROM {file}.{} WHERE {only}", quoted(table))).await
    }

    /// Whether one of the target's tables has a row.
    async fn has_rows(&mut self, parts: &[Part]) -> Result<bool, sqlx::Error> {
        for part in parts {
            let sql = format!("SELECT EXISTS (SELECT 1 FROM main.{})", quoted(&part.table));
            if self.number(sql).await? != 0 {
                return Ok(true);
            }
        }
        Ok(false)
    }

    /// Removes the triggers of the target's tables for the time of the copy. The result makes them again.
    async fn take_triggers(&mut self, parts: &[Part]) -> Result<Vec<String>, sqlx::Error> {
        let sql = "SELECT name, tbl_name, sql FROM main.sqlite_schema WHERE type = 'trigger'";
        let rows: Vec<(String, String, String)> =
            sqlx::query_as(sql).fetch_all(&mut self.connection).await?;
        let mut taken = Vec::new();
        for (name, table, sql) in rows {
            if parts.iter().any(|part| part.table.eq_ignore_ascii_case(&table)) {
                self.run(&format!("DROP TRIGGER main.{}", quoted(&name))).await?;
                taken.push(sql);
            }
        }
        Ok(taken)
    }

    /// Copies the rows of a table in batches by their rowids, or at once if the table has none.
    async fn copy_rows(
        &mut self,
        part: &Part,
        only: String,
        progress: &mut Progress,
    ) -> Result<(), sqlx::Error> {
        progress.begin(&part.table);
        let (table, columns) = (quoted(&part.table), listed(&part.columns));
        let insert = format!(
            "INSERT INTO main.{table} ({columns}) SELECT {columns} FROM source.{table} WHERE {only}"
        );
        if !self.has_rowid(part).await? {
            return self.run(&insert).await;
        }
        let end = format!(
            "SELECT MAX(_rowid_) FROM (SELECT _rowid_ FROM source.{table} WHERE _rowid_ > $1 AND {only} \
             ORDER BY _rowid_ LIMIT {BATCH})"
        );
        let insert = format!("{insert} AND _rowid_ > $1 AND _rowid_ <= $2 ORDER BY _rowid_");
        let (mut begin, mut copied) = (i64::MIN, 0);
        loop {
            let end = sqlx::query_scalar::<_, Option<i64>>(AssertSqlSafe(end.clone())).bind(begin);
            let Some(end) = end.fetch_one(&mut self.connection).await? else { return Ok(()) };
            let insert = sqlx::query(AssertSqlSafe(insert.clone())).bind(begin).bind(end);
            copied += insert.execute(&mut self.connection).await?.rows_affected();
            progress.has(copied);
            begin = end;
        }
    }

    /// Whether the rows of a table have numbers of their own, under a name that no column has.
    async fn has_rowid(&mut self, part: &Part) -> Result<bool, sqlx::Error> {
        let sql = "SELECT wr FROM pragma_table_list WHERE schema = 'source' AND name = $1";
        let without: i64 =
            sqlx::query_scalar(sql).bind(&part.table).fetch_one(&mut self.connection).await?;
        let is_column = part.columns.iter().any(|column| column.eq_ignore_ascii_case("_rowid_"));
        Ok(without == 0 && !is_column)
    }

    /// Refuses rows that refer to a row that is not there.
    async fn check_foreign_keys(&mut self, parts: &[Part]) -> Result<(), Box<dyn Error>> {
        for part in parts {
            let sql = "SELECT COUNT(*), MIN(parent) FROM pragma_foreign_key_check($1, 'main')";
            let broken = sqlx::query_as::<_, (i64, Option<String>)>(sql).bind(&part.table);
            if let (rows, Some(parent)) = broken.fetch_one(&mut self.connection).await? {
                return Err(format!(
                    "{rows} rows of `{}` refer to rows of `{parent}` that are not there. Nothing was copied",
                    part.table
                )
                .into());
            }
        }
        Ok(())
    }

    /// Has the numbers of `AUTOINCREMENT` go on where those of the source are.
    async fn set_sequences(&mut self, parts: &[Part]) -> Result<(), sqlx::Error> {
        // The table exists in a file that has had such a column.
        for file in [SOURCE, TARGET] {
            let sql =
                format!("SELECT COUNT(*) FROM {file}.sqlite_schema WHERE name = 'sqlite_sequence'");
            if self.number(sql).await? == 0 {
                return Ok(());
            }
        }
        for part in parts {
            for sql in [
                "DELETE FROM main.sqlite_sequence WHERE name = $1",
                "INSERT INTO main.sqlite_sequence (name, seq) \
                 SELECT name, seq FROM source.sqlite_sequence WHERE name = $1",
            ] {
                sqlx::query(sql).bind(&part.table).execute(&mut self.connection).await?;
            }
        }
        Ok(())
    }

    /// How the rows of a table differ. `rows` is their number in the source.
    async fn difference(
        &mut self,
        part: &Part,
        only: String,
        rows: u64,
    ) -> Result<Option<Difference>, sqlx::Error> {
        let values: Vec<String> = part.columns.iter().map(|column| exactly(column)).collect();
        let (table, values) = (quoted(&part.table), values.join(" || ',' || "));
        let source = format!("SELECT {values} FROM source.{table} WHERE {only}");
        let target = format!("SELECT {values} FROM main.{table}");
        let missing =
            self.number(format!("SELECT COUNT(*) FROM ({source} EXCEPT {target})")).await?;
        let extra = self.number(format!("SELECT COUNT(*) FROM ({target} EXCEPT {source})")).await?;
        let there = self.count(TARGET, &part.table, "TRUE".to_owned()).await?;
        // The same row may be there twice.
        let missing = missing.max(rows.saturating_sub(there));
        let extra = extra.max(there.saturating_sub(rows));
        let table = part.table.clone();
        let difference = Difference { table, source: rows, target: there, missing, extra };
        Ok((missing > 0 || extra > 0).then_some(difference))
    }
}

/// Which rows of a table are copied: of durable work only the module's.
fn only(module: &str, part: &Part) -> String {
    if part.table == WORK {
        format!("module = '{}'", module.replace('\'', "''"))
    } else {
        "TRUE".to_owned()
    }
}

/// A value as a text that no other value has. A text of SQLite may hold anything, and is equal to others by the collation
/// of its column.
fn exactly(column: &str) -> String {
    let column = quoted(column);
    format!(
        "CASE typeof({column}) WHEN 'text' THEN 't' || hex({column}) WHEN 'blob' THEN 'b' || hex({column}) \
         ELSE quote({column}) END"
    )
}
