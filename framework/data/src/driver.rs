//! What the framework itself asks of a database, stamped for each of sqlx's drivers.
//!
//! sqlx's traits cannot be asked for over all databases at once without a page of bounds for each
//! function. The framework's own statements have two kinds of values, so one function is enough.

use super::{Backend, Databases, Db, Migrated, OpenError, Source};
use futures_util::future::BoxFuture;
use monolift_call::{Injector, StartError};
use sqlx::{Any, Database, Pool, migrate::Migrate};
use std::{any::TypeId, sync::Arc};

/// A database that a module can ask for: `Db`, `Db<Postgres>` or `Db<Sqlite>`.
pub trait ModuleDatabase: Driver {
    /// What is behind `pool`.
    fn backend(pool: &Pool<Self>) -> Backend;

    /// Whether a URL of this backend can be opened as this type.
    fn speaks(backend: Backend) -> bool;

    /// A module's database, opened when it is first asked for.
    #[doc(hidden)]
    fn open<'a>(
        databases: &'a Databases,
        injector: &'a Injector,
    ) -> BoxFuture<'a, Result<Db<Self>, StartError>>;

    /// Applies what a module's database lacks.
    #[doc(hidden)]
    fn migrate(source: &Source) -> BoxFuture<'_, Result<Migrated, OpenError>>;
}

/// What a module's crate calls of all that is generic over databases. It is stamped for each of them, so that a worker, a
/// listener and all else is compiled once, in this crate, and not in that of each module.
macro_rules! compiled_here {
    () => {
        fn open<'a>(
            databases: &'a $crate::Databases,
            injector: &'a ::monolift_call::Injector,
        ) -> ::futures_util::future::BoxFuture<
            'a,
            Result<$crate::Db<Self>, ::monolift_call::StartError>,
        > {
            Box::pin(databases.open(injector))
        }

        fn migrate(
            source: &$crate::Source,
        ) -> ::futures_util::future::BoxFuture<'_, Result<$crate::Migrated, $crate::OpenError>> {
            Box::pin($crate::source::migrate::<Self>(source))
        }
    };
}

impl ModuleDatabase for Any {
    fn backend(pool: &Pool<Self>) -> Backend {
        let options = pool.connect_options();
        Backend::of_url(options.database_url.as_ref()).unwrap_or(Backend::Postgres)
    }

    fn speaks(backend: Backend) -> bool {
        backend.lacks().is_none()
    }

    compiled_here!();
}

/// The database that a pool of this type is for, as a field's type names it: `Postgres` for `Pool<Postgres>`.
/// `None` for a type that is no pool of a module's database.
pub fn pool_of(kind: TypeId) -> Option<&'static str> {
    let pools = [
        (TypeId::of::<Pool<Any>>(), "Any"),
        #[cfg(feature = "postgres")]
        (TypeId::of::<Pool<sqlx::Postgres>>(), "Postgres"),
        #[cfg(feature = "sqlite")]
        (TypeId::of::<Pool<sqlx::Sqlite>>(), "Sqlite"),
    ];
    pools.into_iter().find(|(pool, _)| *pool == kind).map(|(_, database)| database)
}

/// A value of the framework's own statements.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Value {
    /// A number.
    Number(Option<i64>),
    /// A text.
    Text(Option<String>),
}

/// What a column holds.
#[derive(Debug, Clone, Copy)]
pub enum Column {
    /// Numbers.
    Number,
    /// Texts.
    Text,
}

impl From<i64> for Value {
    fn from(number: i64) -> Self {
        Self::Number(Some(number))
    }
}

impl From<&str> for Value {
    fn from(text: &str) -> Self {
        Self::Text(Some(text.to_owned()))
    }
}

impl From<Option<String>> for Value {
    fn from(text: Option<String>) -> Self {
        Self::Text(text)
    }
}

impl Value {
    /// The number; 0 where there is none.
    pub fn number(&self) -> i64 {
        match self {
            Self::Number(number) => number.unwrap_or_default(),
            Self::Text(_) => 0,
        }
    }

    /// The text, when there is one.
    pub fn text(&self) -> Option<&str> {
        match self {
            Self::Text(text) => text.as_deref(),
            Self::Number(_) => None,
        }
    }
}

/// Statements with such values.
pub trait Driver: Database<Connection: Migrate + 'static> {
    /// Runs a statement, and says how many rows it changed.
    fn execute<'a>(
        connection: &'a mut Self::Connection,
        sql: Arc<str>,
        values: Vec<Value>,
    ) -> BoxFuture<'a, Result<u64, sqlx::Error>>;

    /// Runs a statement without values by itself: one that cannot be prepared, or must not be in a transaction.
    fn run(
        connection: &mut Self::Connection,
        sql: Arc<str>,
    ) -> BoxFuture<'_, Result<(), sqlx::Error>>;

    /// The rows of a statement's answer.
    fn rows<'a>(
        connection: &'a mut Self::Connection,
        sql: Arc<str>,
        values: Vec<Value>,
        columns: &'static [Column],
    ) -> BoxFuture<'a, Result<Vec<Vec<Value>>, sqlx::Error>>;
}

macro_rules! driver {
    ($database:ty) => {
        $crate::autocommit::executor!($database);

        impl $crate::Driver for $database {
            fn execute<'a>(
                connection: &'a mut Self::Connection,
                sql: ::std::sync::Arc<str>,
                values: Vec<$crate::Value>,
            ) -> ::futures_util::future::BoxFuture<'a, Result<u64, sqlx::Error>> {
                let query = values.into_iter().fold(
                    sqlx::query::<$database>(sqlx::AssertSqlSafe(sql)),
                    |query, value| match value {
                        $crate::Value::Number(number) => query.bind(number),
                        $crate::Value::Text(text) => query.bind(text),
                    },
                );
                Box::pin(async move { Ok(query.execute(connection).await?.rows_affected()) })
            }

            fn run(
                connection: &mut Self::Connection,
                sql: ::std::sync::Arc<str>,
            ) -> ::futures_util::future::BoxFuture<'_, Result<(), sqlx::Error>> {
                Box::pin(async move {
                    let sql = sqlx::AssertSqlSafe(sql);
                    sqlx::raw_sql(sql).execute(connection).await.map(drop)
                })
            }

            fn rows<'a>(
                connection: &'a mut Self::Connection,
                sql: ::std::sync::Arc<str>,
                values: Vec<$crate::Value>,
                columns: &'static [$crate::Column],
            ) -> ::futures_util::future::BoxFuture<'a, Result<Vec<Vec<$crate::Value>>, sqlx::Error>>
            {
                use ::sqlx::Row as _;
                let query = values.into_iter().fold(
                    sqlx::query::<$database>(sqlx::AssertSqlSafe(sql)),
                    |query, value| match value {
                        $crate::Value::Number(number) => query.bind(number),
                        $crate::Value::Text(text) => query.bind(text),
                    },
                );
                let read = |row: &<$database as ::sqlx::Database>::Row| {
                    let cell = |(at, column): (usize, &$crate::Column)| match column {
                        $crate::Column::Number => row.try_get(at).map($crate::Value::Number),
                        $crate::Column::Text => row.try_get(at).map($crate::Value::Text),
                    };
                    columns.iter().enumerate().map(cell).collect()
                };
                Box::pin(
                    async move { query.fetch_all(connection).await?.iter().map(read).collect() },
                )
            }
        }
    };
}

driver!(Any);
#[allow(unused_imports, reason = "no driver is compiled in")]
pub(super) use {compiled_here, driver};
