//! One file of migrations: its version, the text that is applied, and the statements that it may not have.

use super::{OpenError, sql};
use sqlx::{
    AssertSqlSafe, SqlSafeStr,
    migrate::{Migration as Parsed, MigrationType},
};
use std::borrow::Cow;

/// One file of `migrations/<module>/`: its name, such as `0001_orders.sql`, and its text.
pub type Migration = (&'static str, &'static str);

/// The first line of a file whose statements run outside of a transaction.
const OUTSIDE: &str = "-- no-transaction";

/// The migration as sqlx records it.
pub(super) fn parse((name, text): &Migration) -> Result<Parsed, OpenError> {
    let (version, description) = parse_name(name)?;
    let text = without_remarks(text);
    let outside = text.starts_with(OUTSIDE);
    let sql = AssertSqlSafe(text.into_owned()).into_sql_str();
    let kind = MigrationType::Simple;
    Ok(Parsed::new(version, Cow::Owned(description), kind, sql, outside))
}

/// `0001_create_orders.sql` to 1 and `create orders`.
pub(super) fn parse_name(name: &str) -> Result<(i64, String), OpenError> {
    let parsed = name.strip_suffix(".sql").and_then(|stem| {
        let (number, description) = stem.split_once('_')?;
        Some((number.parse().ok()?, description.replace('_', " ")))
    });
    parsed.ok_or_else(|| {
        OpenError::new(format!("the migration {name} is not named like 0001_what_it_does.sql"))
    })
}

/// The text that is applied and compared: without the remarks to `cargo monolift check`, so that they can be added to
/// a migration that was applied.
fn without_remarks(text: &'static str) -> Cow<'static, str> {
    let is_remark = |line: &str| {
        let comment = line.trim_start().strip_prefix("--");
        comment.is_some_and(|comment| comment.trim_start().starts_with("monolift:"))
    };
    if !text.lines().any(is_remark) {
        return Cow::Borrowed(text);
    }
    Cow::Owned(text.split_inclusive('\n').filter(|line| !is_remark(line)).collect())
}

/// Refuses a migration whose own transactions would end the one that it is applied in, or would still be open when it
/// is recorded.
pub(super) fn refuse_own_transaction(name: &str, migration: &Parsed) -> Result<(), OpenError> {
    let mut begun: Option<usize> = None;
    for statement in sql::statements(migration.sql.as_str()) {
        let is = |keywords: &[&str]| keywords.iter().any(|word| statement.words[0].is(word));
        let begins = is(&["BEGIN", "START"]);
        // A savepoint is within the transaction.
        let to_savepoint = is(&["ROLLBACK"]) && statement.words.iter().any(|word| word.is("TO"));
        let ends = is(&["COMMIT", "END", "ROLLBACK", "ABORT"]) && !to_savepoint;
        if !begins && !ends {
            continue;
        }
        let line = statement.line;
        if !migration.no_tx {
            return Err(OpenError::new(format!(
                "the migration {name} begins or ends a transaction itself (line {line}): remove that statement, since \
                 the migration is applied in a transaction"
            )));
        }
        if begins == begun.is_some() {
            let what = if begins {
                "begins a transaction in a transaction"
            } else {
                "ends a transaction that it did not begin"
            };
            return Err(OpenError::new(format!("the migration {name} {what} (line {line})")));
        }
        begun = begins.then_some(line);
    }
    let Some(line) = begun else { return Ok(()) };
    Err(OpenError::new(format!(
        "the migration {name} begins a transaction (line {line}) and does not end it"
    )))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn remarks_are_no_part_of_the_text() {
        let text = "--monolift: a\n-- monolift: b\n  --\tmonolift: c\n-- about monolift: d\nSELECT 1; -- monolift: e\n";
        assert_eq!(without_remarks(text), "-- about monolift: d\nSELECT 1; -- monolift: e\n");
    }

    fn refused(text: &'static str) -> String {
        let migration = ("0001_a.sql", text);
        let refused = refuse_own_transaction(migration.0, &parse(&migration).unwrap());
        refused.map_or_else(|error| error.to_string(), |()| String::new())
    }

    #[test]
    fn a_transaction_of_a_file_s_own_is_refused() {
        for text in ["BEGIN;\nSELECT 1;\nCOMMIT;", "start transaction; SELECT 1", "-- a\nEND;"] {
            assert!(refused(text).contains("begins or ends a transaction itself (line "), "{text}");
        }
        assert_eq!(refused("SAVEPOINT a; SELECT 1; ROLLBACK TO a; RELEASE a"), "");
        let body = "CREATE TRIGGER t AFTER INSERT ON a BEGIN DELETE FROM b; END; SELECT 'BEGIN;'";
        assert_eq!(refused(body), "");
    }

    #[test]
    fn outside_of_a_transaction_each_that_begins_ends() {
        assert_eq!(refused("-- no-transaction\nBEGIN; SELECT 1; COMMIT;\nBEGIN; END;"), "");
        for (text, why) in [
            ("-- no-transaction\nBEGIN;\nSELECT 1;", "(line 2) and does not end it"),
            ("-- no-transaction\nBEGIN;\nBEGIN;", "in a transaction (line 3)"),
            ("-- no-transaction\nCOMMIT;", "that it did not begin (line 2)"),
        ] {
            assert!(refused(text).contains(why), "{}", refused(text));
        }
    }
}
