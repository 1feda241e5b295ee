//! Why a module's database could not be opened.

use std::{error::Error, fmt};

/// PostgreSQL's error code for a prepared statement that the connection does not have.
const UNKNOWN_STATEMENT: &str = "26000";
/// The code for one that it has already.
const KNOWN_STATEMENT: &str = "42P05";
/// Where both come from.
const POOLER: &str = ": the connection has prepared statements of others, as behind a pooler such as PgBouncer in \
    transaction mode. Give its URL as `url` in [db], or name a `role` beside it, so that nothing is kept on a \
    connection; or give the URL of the server itself";

/// Why a module's database could not be opened.
#[derive(Debug)]
pub struct OpenError {
    message: String,
    source: Option<Box<dyn Error + Send + Sync>>,
}

impl OpenError {
    pub(super) fn new(message: impl Into<String>) -> Self {
        Self { message: message.into(), source: None }
    }

    pub(super) fn from_source(
        message: impl Into<String>,
        source: impl Error + Send + Sync + 'static,
    ) -> Self {
        Self { message: message.into(), source: Some(Box::new(source)) }
    }

    /// The same of an error of the database, with what to do if a pooler is in between.
    pub(super) fn of_database(message: impl Into<String>, source: sqlx::Error) -> Self {
        let code = source.as_database_error().and_then(|error| error.code());
        let is_of_a_pooler = matches!(code.as_deref(), Some(UNKNOWN_STATEMENT | KNOWN_STATEMENT));
        let hint = if is_of_a_pooler { POOLER } else { "" };
        Self::from_source(message.into() + hint, source)
    }
}

impl fmt::Display for OpenError {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(&self.message)
    }
}

impl Error for OpenError {
    fn source(&self) -> Option<&(dyn Error + 'static)> {
        self.source.as_deref().map(|source| source as _)
    }
}
