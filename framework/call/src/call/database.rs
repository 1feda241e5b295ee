//! What a database's error is to the callers of the module that met it, and to the transaction that it ends.

use super::report::Known;
use sqlx::error::ErrorKind;
use std::{cell::Cell, error::Error, future::Future};

tokio::task_local! {
    /// Whether the attempt at a transaction that is running met a conflict.
    static CONFLICT: Cell<bool>;
}

/// Does `work`, which is one attempt at a transaction, and says whether it met a conflict.
///
/// A module's own error does not keep the database's error: `?` turns it into an internal error, whose text is only
/// in the log. So the conflict is noted where that happens.
pub async fn watch_for_conflicts<F: Future>(work: F) -> (F::Output, bool) {
    let watched = async { (work.await, CONFLICT.with(Cell::get)) };
    CONFLICT.scope(Cell::new(false), watched).await
}

/// Notes a conflict. Returns false if no transaction is being watched, which would run again.
pub(super) fn note_conflict() -> bool {
    CONFLICT.try_with(|conflict| conflict.set(true)).is_ok()
}

/// Whether `error` is, or comes from, a conflict with another transaction: the same transaction can succeed if it
/// runs again.
pub fn is_conflict(error: &(dyn Error + 'static)) -> bool {
    known(error).is_some_and(|known| known.conflict)
}

/// What is known of the database's error that `error` is, or comes from.
pub(super) fn known(error: &(dyn Error + 'static)) -> Option<Known> {
    let mut error = error;
    let error = loop {
        match error.downcast_ref::<sqlx::Error>() {
            Some(error) => break error,
            None => error = error.source()?,
        }
    };
    let error = match error {
        sqlx::Error::Database(error) => error,
        sqlx::Error::Encode(_) => return Some(Known { of_the_data: true, ..Known::default() }),
        _ => return None,
    };
    let code = error.code()?.into_owned();
    let constraint = error.constraint().map(str::to_owned);
    let of_the_data = !matches!(error.kind(), ErrorKind::Other);
    // SQLSTATE has five characters; what SQLite has is a number of at most four.
    Some(if code.len() == 5 {
        let of_the_data = of_the_data || matches!(&code[..2], "22" | "23");
        let conflict = matches!(&*code, SERIALIZATION_FAILURE | DEADLOCK_DETECTED);
        Known { sqlstate: Some(code), constraint, of_the_data, conflict, ..Known::default() }
    } else {
        // What is added to the lowest byte says more exactly what happened.
        let number = code.parse::<u32>().unwrap_or_default() & 0xff;
        let of_the_data = of_the_data || matches!(number, TOO_BIG | CONSTRAINT | MISMATCH);
        let conflict = matches!(number, BUSY | LOCKED);
        Known { sqlite_code: Some(code), constraint, of_the_data, conflict, ..Known::default() }
    })
}

// PostgreSQL's conflicts.
const SERIALIZATION_FAILURE: &str = "40001";
const DEADLOCK_DETECTED: &str = "40P01";

// SQLite's conflicts: a lock of another connection.
const BUSY: u32 = 5;
const LOCKED: u32 = 6;

// SQLite's refusals of data: a value that is too long, a constraint, and a value of the wrong type.
const TOO_BIG: u32 = 18;
const CONSTRAINT: u32 = 19;
const MISMATCH: u32 = 20;

#[cfg(test)]
mod tests {
    use super::*;
    use crate::call::{CallError, RetryAdvice, captured};
    use sqlx::error::DatabaseError;
    use std::{borrow::Cow, fmt};

    /// What a database says, with this code.
    #[derive(Debug)]
    struct Refusal(&'static str);

    impl fmt::Display for Refusal {
        fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
            f.write_str(self.message())
        }
    }

    impl Error for Refusal {}

    impl DatabaseError for Refusal {
        fn message(&self) -> &'static str {
            "no"
        }

        fn code(&self) -> Option<Cow<'_, str>> {
            Some(Cow::Borrowed(self.0))
        }

        fn constraint(&self) -> Option<&str> {
            self.0.starts_with("23").then_some("users_name_key")
        }

        fn kind(&self) -> ErrorKind {
            ErrorKind::Other
        }

        fn as_error(&self) -> &(dyn Error + Send + Sync + 'static) {
            self
        }

        fn as_error_mut(&mut self) -> &mut (dyn Error + Send + Sync + 'static) {
            self
        }

        fn into_error(self: Box<Self>) -> Box<dyn Error + Send + Sync + 'static> {
            self
        }
    }

    fn error(code: &'static str) -> sqlx::Error {
        sqlx::Error::Database(Box::new(Refusal(code)))
    }

    /// The log line of an internal error, and the error.
    fn logged(code: &'static str) -> (String, CallError) {
        captured::logged(|| CallError::from(error(code)))
    }

    #[test]
    fn what_is_known_of_an_error_is_in_fields_of_its_log_line() {
        let (line, error) = logged("23505");
        assert!(line.contains(r#"sqlstate="23505""#), "{line}");
        assert!(line.contains(r#"constraint="users_name_key""#), "{line}");
        assert!(!line.contains("sqlite_code"), "{line}");
        assert_eq!(error.retry_advice(), Some(RetryAdvice::Never));
        let (line, error) = logged("517");
        assert!(line.contains("ERROR") && line.contains(r#"sqlite_code="517""#), "{line}");
        assert_eq!(error.retry_advice(), None);
    }

    #[tokio::test]
    async fn conflicts_are_noted_while_a_transaction_is_watched() {
        for (code, conflict) in [
            ("40001", true),
            ("40P01", true),
            ("5", true),
            ("517", true),
            ("6", true),
            ("40002", false),
            ("23505", false),
            ("19", false),
        ] {
            assert_eq!(is_conflict(&error(code)), conflict, "{code}");
            let attempt = async { CallError::from(error(code)) };
            assert_eq!(watch_for_conflicts(attempt).await.1, conflict, "{code}");
        }
        assert!(!note_conflict(), "none is watched");
    }
}
