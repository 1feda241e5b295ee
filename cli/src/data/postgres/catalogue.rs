//! What one of the two databases says of itself: its tables, foreign keys, triggers and sequences.

use super::{milliseconds, with_causes};
use crate::data::{
    digest::{Digest, Rows},
    listed, quoted,
    table::{Column, ForeignKey, Part, Table, WORK},
};
use futures_util::StreamExt;
use monolift_data::Location;
use sqlx::{AssertSqlSafe, Connection, PgConnection};
use std::{
    collections::{BTreeMap, BTreeSet},
    time::Duration,
};

/// One of the two databases: the schema that is current there.
pub(super) struct Side {
    pub(super) connection: PgConnection,
    schema: String,
    /// Tables whose rows are in partitions.
    partitioned: BTreeSet<String>,
}

/// A trigger that fires.
pub(super) struct Trigger {
    pub(super) table: String,
    pub(super) name: String,
    /// Whether it fires in sessions of replication too.
    pub(super) always: bool,
}

/// A sequence, and the table and the column that it belongs to.
#[derive(PartialEq, Eq)]
pub(super) struct Sequence {
    pub(super) name: String,
    pub(super) column: Option<(String, String)>,
}

/// Values are written alike on both sides. Rows that a policy hides are an error.
const ALIKE: &str = "SET LOCAL TimeZone = 'UTC'; SET LOCAL DateStyle = 'ISO, YMD'; \
    SET LOCAL IntervalStyle = 'postgres'; SET LOCAL extra_float_digits = 1; \
    SET LOCAL bytea_output = 'hex'; SET LOCAL lc_monetary = 'C'; SET LOCAL row_security = off";

/// Tables, and their columns in order. Partitions belong to their table.
const COLUMNS: &str = "SELECT relname::TEXT, COALESCE(attname::TEXT, ''), \
    COALESCE(format_type(atttypid, atttypmod), ''), COALESCE(attgenerated <> '', FALSE), \
    relkind = 'p' \
    FROM pg_class LEFT JOIN pg_attribute ON attrelid = pg_class.oid AND attnum > 0 AND NOT attisdropped \
    WHERE relnamespace = $1::REGNAMESPACE AND relkind IN ('r', 'p') AND NOT relispartition \
    ORDER BY relname, attnum";

const FOREIGN_KEYS: &str = "SELECT conname::TEXT, one.relname::TEXT, other.relname::TEXT, condeferrable \
    FROM pg_constraint \
    JOIN pg_class one ON one.oid = conrelid JOIN pg_class other ON other.oid = confrelid \
    WHERE contype = 'f' AND conparentid = 0 AND one.relnamespace = $1::REGNAMESPACE \
    AND other.relnamespace = one.relnamespace ORDER BY conname";

const TRIGGERS: &str = "SELECT relname::TEXT, tgname::TEXT, tgenabled = 'A' FROM pg_trigger \
    JOIN pg_class ON pg_class.oid = tgrelid \
    WHERE NOT tgisinternal AND tgenabled IN ('O', 'A') \
    AND relnamespace = $1::REGNAMESPACE ORDER BY relname, tgname";

const SEQUENCES: &str = "SELECT sequence.relname::TEXT, owner.relname::TEXT, attname::TEXT \
    FROM pg_class sequence \
    LEFT JOIN pg_depend ON classid = 'pg_class'::REGCLASS AND objid = sequence.oid \
        AND refclassid = 'pg_class'::REGCLASS AND deptype IN ('a', 'i') \
    LEFT JOIN pg_class owner ON owner.oid = refobjid \
    LEFT JOIN pg_attribute ON attrelid = owner.oid AND attnum = refobjsubid \
    WHERE sequence.relkind = 'S' AND sequence.relnamespace = $1::REGNAMESPACE ORDER BY 1";

impl Side {
    /// Connects, and finds the schema. `name` is the side's, for errors.
    pub(super) async fn connect(name: &str, location: &Location) -> Result<Self, String> {
        let Location::Url(url) = location else {
            return Err(format!("{name}, {location}, is no URL of a role that owns its tables"));
        };
        let failed = |error: sqlx::Error| {
            with_causes(&format!("{name}, {location}, cannot be reached"), &error)
        };
        let mut connection = PgConnection::connect(url).await.map_err(failed)?;
        let schema = sqlx::query_scalar::<_, Option<String>>("SELECT current_schema()::TEXT");
        let schema = schema.fetch_one(&mut connection).await.map_err(failed)?;
        let schema = schema.ok_or_else(|| {
            format!("{name}, {location}, has no schema that its role's search_path names")
        })?;
        Ok(Self { connection, schema, partitioned: BTreeSet::new() })
    }

    /// What no other schema has: the start of the server, the database and the schema.
    pub(super) async fn identity(&mut self) -> Result<(String, String), sqlx::Error> {
        let sql =
            "SELECT extract(epoch FROM pg_postmaster_start_time())::TEXT, current_database()::TEXT";
        let (server, database) =
            sqlx::query_as::<_, (String, String)>(sql).fetch_one(&mut self.connection).await?;
        Ok((server, format!("{database}.{}", self.schema)))
    }

    /// Begins a transaction that has its tables locked. From the wait for the locks on, it takes no longer than `hold`.
    pub(super) async fn begin(
        &mut self,
        parts: &[Part],
        lock: &str,
        hold: Duration,
    ) -> Result<(), sqlx::Error> {
        let time = milliseconds(hold);
        let tables: Vec<String> = parts.iter().map(|part| self.named(&part.table)).collect();
        let sql = format!(
            "BEGIN ISOLATION LEVEL REPEATABLE READ; {ALIKE}; \
             SET LOCAL statement_timeout = {time}; SET LOCAL lock_timeout = {time}; \
             SET LOCAL idle_in_transaction_session_timeout = {time}; \
             LOCK TABLE {} IN {lock} MODE",
            tables.join(", ")
        );
        self.run(&sql).await
    }

    /// Runs statements without an answer.
    pub(super) async fn run(&mut self, sql: &str) -> Result<(), sqlx::Error> {
        let sql = sqlx::raw_sql(AssertSqlSafe(sql.to_owned()));
        sql.execute(&mut self.connection).await.map(drop)
    }

    /// A table's name with its schema.
    fn named(&self, table: &str) -> String {
        format!("{}.{}", quoted(&self.schema), quoted(table))
    }

    pub(super) async fn tables(&mut self) -> Result<Vec<Table>, sqlx::Error> {
        let rows: Vec<(String, String, String, bool, bool)> = sqlx::query_as(COLUMNS)
            .bind(quoted(&self.schema))
            .fetch_all(&mut self.connection)
            .await?;
        let mut tables = BTreeMap::<String, Vec<Column>>::new();
        for (table, name, kind, is_generated, is_partitioned) in rows {
            if is_partitioned {
                self.partitioned.insert(table.clone());
            }
            let columns = tables.entry(table).or_default();
            if !name.is_empty() {
                columns.push(Column { name, kind, is_generated });
            }
        }
        Ok(tables.into_iter().map(|(name, columns)| Table { name, columns }).collect())
    }

    pub(super) async fn foreign_keys(&mut self) -> Result<Vec<ForeignKey>, sqlx::Error> {
        let rows: Vec<(String, String, String, bool)> = sqlx::query_as(FOREIGN_KEYS)
            .bind(quoted(&self.schema))
            .fetch_all(&mut self.connection)
            .await?;
        let key = |(name, table, refers_to, is_deferrable)| ForeignKey {
            name,
            table,
            refers_to,
            is_deferrable,
        };
        Ok(rows.into_iter().map(key).collect())
    }

    /// The triggers that fire on the tables that are copied.
    pub(super) async fn triggers(&mut self, parts: &[Part]) -> Result<Vec<Trigger>, sqlx::Error> {
        let rows: Vec<(String, String, bool)> = sqlx::query_as(TRIGGERS)
            .bind(quoted(&self.schema))
            .fetch_all(&mut self.connection)
            .await?;
        let is_copied = |trigger: &Trigger| parts.iter().any(|part| part.table == trigger.table);
        let trigger = |(table, name, always)| Trigger { table, name, always };
        Ok(rows.into_iter().map(trigger).filter(is_copied).collect())
    }

    pub(super) async fn sequences(&mut self) -> Result<Vec<Sequence>, sqlx::Error> {
        let rows: Vec<(String, Option<String>, Option<String>)> = sqlx::query_as(SEQUENCES)
            .bind(quoted(&self.schema))
            .fetch_all(&mut self.connection)
            .await?;
        let sequence = |(name, table, column): (String, Option<String>, Option<String>)| Sequence {
            name,
            column: table.zip(column),
        };
        Ok(rows.into_iter().map(sequence).collect())
    }

    /// The numbers of the migrations in a history.
    pub(super) async fn versions(&mut self, history: &str) -> Result<Vec<i64>, sqlx::Error> {
        let sql = format!("SELECT version FROM {} ORDER BY version", self.named(history));
        sqlx::query_scalar(AssertSqlSafe(sql)).fetch_all(&mut self.connection).await
    }

    /// About how many rows the tables have, as far as the server has counted them.
    pub(super) async fn about(&mut self, parts: &[Part]) -> Result<u64, sqlx::Error> {
        let sql = "SELECT COALESCE(sum(GREATEST(reltuples, 0)), 0)::BIGINT FROM pg_class \
            WHERE relnamespace = $1::REGNAMESPACE AND relname::TEXT = ANY ($2)";
        let names: Vec<&str> = parts.iter().map(|part| part.table.as_str()).collect();
        let about: i64 = sqlx::query_scalar(sql)
            .bind(quoted(&self.schema))
            .bind(names)
            .fetch_one(&mut self.connection)
            .await?;
        Ok(about.unsigned_abs())
    }

    /// Whether one of the tables has a row.
    pub(super) async fn has_rows(&mut self, parts: &[Part]) -> Result<bool, sqlx::Error> {
        for part in parts {
            let sql = format!("SELECT EXISTS (SELECT FROM {})", self.named(&part.table));
            let sql = sqlx::query_scalar::<_, bool>(AssertSqlSafe(sql));
            if sql.fetch_one(&mut self.connection).await? {
                return Ok(true);
            }
        }
        Ok(false)
    }

    /// The statement that reads a table; of durable work only the `module`'s, where several modules share the table.
    pub(super) fn copy_out(&self, part: &Part, module: Option<&str>) -> String {
        // A table that is inherited from has the rows of the other table too, but for `ONLY`.
        let only = if self.partitioned.contains(&part.table) { "" } else { "ONLY " };
        let table = format!("{only}{}", self.named(&part.table));
        let filter = match module.filter(|_| part.table == WORK) {
            Some(module) => format!(" WHERE module = '{}'", module.replace('\'', "''")),
            None => String::new(),
        };
        format!("COPY (SELECT {} FROM {table}{filter}) TO STDOUT", listed(&part.columns))
    }

    /// The checksum of a table's rows.
    pub(super) async fn digest(
        &mut self,
        part: &Part,
        module: Option<&str>,
    ) -> Result<Digest, sqlx::Error> {
        let sql = self.copy_out(part, module);
        let mut out = self.connection.copy_out_raw(&sql).await?;
        let (mut digest, mut rows) = (Digest::new(), Rows::default());
        while let Some(data) = out.next().await {
            rows.each(&data?, |row| digest.add(row));
        }
        Ok(digest)
    }

    /// Where a sequence is, and whether that number was given out.
    pub(super) async fn last_value(&mut self, name: &str) -> Result<(i64, bool), sqlx::Error> {
        let sql = format!("SELECT last_value, is_called FROM {}", self.named(name));
        sqlx::query_as(AssertSqlSafe(sql)).fetch_one(&mut self.connection).await
    }

    pub(super) async fn set_sequence(
        &mut self,
        name: &str,
        last: i64,
        is_called: bool,
    ) -> Result<(), sqlx::Error> {
        sqlx::query("SELECT setval($1::REGCLASS, $2, $3)")
            .bind(self.named(name))
            .bind(last)
            .bind(is_called)
            .execute(&mut self.connection)
            .await
            .map(drop)
    }

    /// The largest number in a column.
    pub(super) async fn largest(
        &mut self,
        table: &str,
        column: &str,
    ) -> Result<Option<i64>, sqlx::Error> {
        let sql = format!("SELECT max({})::BIGINT FROM {}", quoted(column), self.named(table));
        sqlx::query_scalar(AssertSqlSafe(sql)).fetch_one(&mut self.connection).await
    }
}
