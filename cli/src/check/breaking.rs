//! Statements of migrations that break the release before them.
//!
//! While processes are restarted one by one, and after a roll-back, code of the release before runs on the newest
//! tables. This reads the files alone: it knows no database, and not which migrations are applied.

use super::{
    known::{Known, is_named_by_the_server},
    reader::Reader,
};
use monolift_data::sql::{Statement, Word, statements};
use std::collections::BTreeMap;

/// How a comment begins that accepts a statement.
const ACCEPTED: &str = "monolift: breaks nothing, because ";

/// A statement that breaks the release before.
#[derive(Debug, PartialEq, Eq)]
pub(super) struct Breaking {
    /// Its place in the list of files.
    pub(super) file: usize,
    /// The line of its first word, from 1.
    pub(super) line: usize,
    /// What it does.
    pub(super) what: String,
}

/// What the files of one module do, in their order.
pub(super) fn breaking(files: &[String]) -> Vec<Breaking> {
    let mut all = Vec::new();
    let mut known = Known::default();
    for (file, text) in files.iter().enumerate() {
        // The release before does not know what this file makes.
        known.new_tables.clear();
        known.new_uniques.clear();
        let statements = statements(text);
        for (at, statement) in statements.iter().enumerate() {
            let after = &statements[at + 1..];
            let found = Reader { words: &statement.words }.statement(&mut known, after);
            if !is_accepted(statement) {
                let line = statement.line;
                all.extend(found.into_iter().map(|what| Breaking { file, line, what }));
            }
        }
    }
    all
}

/// A reason is part of it.
fn is_accepted(statement: &Statement<'_>) -> bool {
    let accepts = |comment: &&str| {
        comment.strip_prefix(ACCEPTED).is_some_and(|reason| !reason.trim().is_empty())
    };
    statement.comments.iter().any(accepts)
}

/// How a part of a table begins that is no column.
const CONSTRAINTS: [&str; 6] = ["CONSTRAINT", "CHECK", "UNIQUE", "PRIMARY", "FOREIGN", "EXCLUDE"];

impl Reader<'_> {
    fn statement(&mut self, known: &mut Known, after: &[Statement<'_>]) -> Vec<String> {
        if self.take("CREATE") {
            self.create(known);
            return Vec::new();
        }
        if self.take("DROP") {
            return self.drop(known, after);
        }
        if !self.take("ALTER") {
            return Vec::new();
        }
        if self.take("TABLE") {
            self.take_all(&["IF", "EXISTS"]);
            self.take("ONLY");
            let Some(table) = self.name() else { return Vec::new() };
            self.take_sign('*');
            let is_new = known.new_tables.contains(&table);
            let actions = self.split();
            let found = actions.into_iter().filter_map(|mut action| action.action(&table, known));
            let found: Vec<String> = found.collect();
            return if is_new { Vec::new() } else { found };
        }
        self.take("MATERIALIZED");
        let kinds = ["VIEW", "TYPE", "DOMAIN", "SCHEMA", "SEQUENCE", "FUNCTION", "PROCEDURE"];
        if !kinds.iter().any(|kind| self.take(kind)) {
            return Vec::new();
        }
        let name = self.name().unwrap_or_default();
        // A function has its arguments between.
        let renames = self.has(&["RENAME"]) && !self.has(&["RENAME", "CONSTRAINT"]);
        if renames { vec![format!("renames {name}, or a part of it")] } else { Vec::new() }
    }

    fn create(&mut self, known: &mut Known) {
        while ["GLOBAL", "LOCAL", "TEMP", "TEMPORARY", "UNLOGGED"]
            .iter()
            .any(|word| self.take(word))
        {}
        if self.take_all(&["UNIQUE", "INDEX"]) {
            self.take("CONCURRENTLY");
            self.take_all(&["IF", "NOT", "EXISTS"]);
            if let Some(index) = self.name().filter(|index| index != "on") {
                known.add_unique(index);
            }
        } else if self.take("TABLE") {
            // One that may exist may be known to the release before.
            let is_new = !self.take_all(&["IF", "NOT", "EXISTS"]);
            let Some(table) = self.name() else { return };
            self.columns(&table, known);
            if is_new {
                known.new_tables.insert(table);
            }
        }
    }

    fn drop(&mut self, known: &mut Known, after: &[Statement<'_>]) -> Vec<String> {
        self.take("MATERIALIZED");
        let kinds = [
            "TABLE",
            "VIEW",
            "SCHEMA",
            "TYPE",
            "DOMAIN",
            "SEQUENCE",
            "FUNCTION",
            "PROCEDURE",
            "INDEX",
        ];
        let Some(kind) = kinds.iter().find(|kind| self.take(kind)) else { return Vec::new() };
        self.take("CONCURRENTLY");
        self.take_all(&["IF", "EXISTS"]);
        let names = self.split().into_iter().filter_map(|mut part| part.name());
        names.filter_map(|name| known.dropped(kind, &name, after)).collect()
    }

    /// One action of ALTER TABLE.
    fn action(&mut self, table: &str, known: &mut Known) -> Option<String> {
        if self.take("RENAME") {
            if self.take("CONSTRAINT") {
                return None;
            }
            if self.take("TO") {
                let columns = known.columns.remove(table);
                known.columns.extend(self.name().zip(columns));
                return Some(format!("renames the table {table}"));
            }
            self.take("COLUMN");
            let column = self.name()?;
            known.rename(table, &column, self.take("TO").then(|| self.name()).flatten());
            return Some(format!("renames the column {column} of {table}"));
        }
        if self.take("DROP") {
            if self.take("CONSTRAINT") {
                self.take_all(&["IF", "EXISTS"]);
                let name = self.name()?;
                let drops = known.drops_unique(&name) || is_named_by_the_server(table, &name);
                return drops.then(|| {
                    format!(
                        "drops the unique constraint {name} of {table}, which ON CONFLICT may need"
                    )
                });
            }
            self.take("COLUMN");
            self.take_all(&["IF", "EXISTS"]);
            let column = self.name()?;
            known.rename(table, &column, None);
            return Some(format!("drops the column {column} of {table}"));
        }
        if self.take("ADD") {
            if let Some(constraint) = self.unique_constraint() {
                known.add_unique(constraint);
                return None;
            }
            if CONSTRAINTS.iter().any(|word| self.take(word)) {
                return None;
            }
            self.take("COLUMN");
            self.take_all(&["IF", "NOT", "EXISTS"]);
            let column = self.name()?;
            if let Some(columns) = known.columns.get_mut(table) {
                columns.insert(column.clone(), self.needs_a_value());
            }
            if self.has_default() {
                known.defaults.insert((table.to_owned(), column));
                return None;
            }
            return self.needs_a_value().then(|| {
                format!("adds the column {column} of {table}, NOT NULL without a default")
            });
        }
        if self.take("ALTER") {
            self.take("COLUMN");
            let column = self.name()?;
            if self.has(&["SET", "DEFAULT"]) {
                known.defaults.insert((table.to_owned(), column));
                return None;
            }
            let key = (table.to_owned(), column);
            if self.has(&["DROP", "DEFAULT"]) {
                known.defaults.remove(&key);
                return None;
            }
            let (table, column) = &key;
            if self.has(&["SET", "NOT", "NULL"]) {
                let has_default = known.defaults.contains(&key);
                return (!has_default).then(|| {
                    format!("makes the column {column} of {table} NOT NULL, without a default")
                });
            }
            let types = self.take("TYPE") || self.take_all(&["SET", "DATA", "TYPE"]);
            return types.then(|| format!("changes the type of the column {column} of {table}"));
        }
        self.take_all(&["SET", "SCHEMA"])
            .then(|| format!("moves the table {table} to another schema"))
    }

    /// The columns of CREATE TABLE, which of them have a default, and its unique constraints.
    fn columns(&mut self, table: &str, known: &mut Known) {
        let Some(open) = self.words.iter().position(|word| *word == Word::Sign('(')) else {
            return;
        };
        let inner = Reader { words: &self.words[open + 1..] };
        let mut columns = BTreeMap::new();
        for mut column in inner.split() {
            if let Some(constraint) = column.unique_constraint() {
                known.add_unique(constraint);
                continue;
            }
            let is_column = !column.words.first().is_some_and(|word| {
                CONSTRAINTS.iter().chain(&["LIKE"]).any(|constraint| word.is(constraint))
            });
            let Some(name) = column.name().filter(|_| is_column) else { continue };
            if column.has_default() {
                known.defaults.insert((table.to_owned(), name.clone()));
            }
            columns.insert(name, column.needs_a_value());
        }
        known.columns.insert(table.to_owned(), columns);
    }

    /// The name of `CONSTRAINT name UNIQUE (…)`, or of a primary key.
    fn unique_constraint(&self) -> Option<String> {
        let mut rest = *self;
        let name = rest.take("CONSTRAINT").then(|| rest.name()).flatten()?;
        (rest.take("UNIQUE") || rest.take("PRIMARY")).then_some(name)
    }

    /// Whether a statement that gives the column no value fails.
    fn needs_a_value(&self) -> bool {
        let is_required = self.has(&["NOT", "NULL"]) || self.has(&["PRIMARY", "KEY"]);
        is_required && !self.has_default()
    }

    /// Whether a column has a value where a statement gives none.
    fn has_default(&self) -> bool {
        let makes = |(at, word): (usize, &Word<'_>)| {
            // `ON DELETE SET DEFAULT` gives none.
            let is_action = at > 0 && self.words[at - 1].is("SET");
            let serial = ["DEFAULT", "GENERATED", "SERIAL", "BIGSERIAL", "SMALLSERIAL"];
            serial.iter().any(|keyword| word.is(keyword)) && !is_action
        };
        self.words.iter().enumerate().any(makes)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn of(files: &[&str]) -> Vec<(usize, usize, String)> {
        let files: Vec<String> = files.iter().map(|&file| file.to_owned()).collect();
        breaking(&files).into_iter().map(|one| (one.file, one.line, one.what)).collect()
    }

    fn whats(text: &str) -> Vec<String> {
        of(&[text]).into_iter().map(|(_, _, what)| what).collect()
    }

    #[test]
    fn statements_that_break() {
        for (text, what) in [
            ("DROP TABLE IF EXISTS shop.\"Orders\" CASCADE", "drops the table Orders"),
            ("drop materialized view sums", "drops the view sums"),
            (
                "ALTER TABLE ONLY orders DROP COLUMN IF EXISTS note",
                "drops the column note of orders",
            ),
            ("ALTER TABLE orders DROP note", "drops the column note of orders"),
            ("ALTER TABLE orders RENAME note TO remark", "renames the column note of orders"),
            ("ALTER TABLE orders RENAME TO sales", "renames the table orders"),
            (
                "ALTER TABLE orders ADD CHECK (a > 0), ADD COLUMN kind TEXT NOT NULL",
                "adds the column kind of orders, NOT NULL without a default",
            ),
            (
                "ALTER TABLE orders ALTER COLUMN kind SET NOT NULL",
                "makes the column kind of orders NOT NULL, without a default",
            ),
            (
                "ALTER TABLE orders ALTER kind SET DATA TYPE TEXT USING kind::TEXT",
                "changes the type of the column kind of orders",
            ),
            ("ALTER TABLE orders SET SCHEMA other", "moves the table orders to another schema"),
            ("ALTER TYPE state RENAME VALUE 'a' TO 'b'", "renames state, or a part of it"),
            ("ALTER DOMAIN email RENAME TO address", "renames email, or a part of it"),
            ("ALTER FUNCTION f(BIGINT, TEXT) RENAME TO g", "renames f, or a part of it"),
            ("DROP PROCEDURE settle(BIGINT, TEXT)", "drops the procedure settle"),
            ("CREATE TABLE new (id BIGINT); DROP TABLE new, old", "drops the table old"),
            (
                "CREATE TABLE IF NOT EXISTS orders (id BIGINT); ALTER TABLE orders DROP COLUMN id",
                "drops the column id of orders",
            ),
            (
                "ALTER TABLE orders ADD kind BIGINT NOT NULL REFERENCES kinds ON DELETE SET DEFAULT",
                "adds the column kind of orders, NOT NULL without a default",
            ),
            (
                "ALTER TABLE orders DROP CONSTRAINT IF EXISTS orders_number_key",
                "drops the unique constraint orders_number_key of orders, which ON CONFLICT may need",
            ),
        ] {
            assert_eq!(whats(text), [what], "{text}");
        }
    }

    #[test]
    fn statements_that_break_nothing() {
        for text in [
            "CREATE TABLE a (id BIGINT NOT NULL); ALTER TABLE a ADD COLUMN b TEXT NOT NULL; DROP TABLE a",
            "ALTER TABLE orders ADD COLUMN note TEXT, ADD COLUMN kind BIGINT NOT NULL DEFAULT 0",
            "ALTER TABLE orders ADD COLUMN id BIGINT NOT NULL GENERATED ALWAYS AS IDENTITY",
            "ALTER TABLE orders ALTER kind SET DEFAULT 0, ALTER kind SET NOT NULL",
            "ALTER TABLE orders ALTER kind DROP NOT NULL, DROP CONSTRAINT c, RENAME CONSTRAINT d TO e",
            "DROP INDEX orders_note; CREATE INDEX CONCURRENTLY orders_note ON orders (note)",
            "INSERT INTO orders VALUES ('DROP TABLE orders;'); -- DROP TABLE orders;",
            "SELECT $$; DROP TABLE orders; $$ /* ; DROP TABLE orders; */",
        ] {
            assert_eq!(whats(text), [""; 0], "{text}");
        }
    }

    #[test]
    fn each_of_several_is_told() {
        assert_eq!(whats("DROP TABLE a, b"), ["drops the table a", "drops the table b"]);
    }

    #[test]
    fn what_is_made_again_in_the_same_file_is_not_dropped() {
        for text in [
            "DROP VIEW sums; CREATE VIEW sums AS SELECT 1",
            "DROP FUNCTION f(BIGINT); CREATE OR REPLACE FUNCTION f(a TEXT) RETURNS TEXT AS $$ $$",
        ] {
            assert_eq!(whats(text), [""; 0], "{text}");
        }
        let first = "CREATE TABLE orders (id BIGINT NOT NULL, note TEXT, CHECK (id > 0))";
        let rebuilt = |columns| {
            format!(
                "CREATE TABLE copy ({columns}); INSERT INTO copy SELECT * FROM orders; DROP TABLE orders; \
                 ALTER TABLE copy RENAME TO orders"
            )
        };
        let text = rebuilt("id BIGINT NOT NULL, note TEXT");
        assert!(of(&[first, &text]).is_empty());
        let found = of(&[first, &rebuilt("id BIGINT NOT NULL")]);
        assert_eq!(found[0].2, "rebuilds the table orders without note");
        let found = of(&[first, &rebuilt("id BIGINT NOT NULL, note TEXT NOT NULL")]);
        assert_eq!(found[0].2, "rebuilds the table orders with note NOT NULL without a default");
        assert_eq!(of(&["", &text])[0].2, "drops the table orders", "its columns are unknown");
    }

    #[test]
    fn on_conflict_needs_what_is_unique() {
        let first = "CREATE TABLE orders (id BIGINT, CONSTRAINT one UNIQUE (id)); \
                     CREATE UNIQUE INDEX orders_id ON orders (id)";
        let index = of(&[first, "DROP INDEX orders_id"]);
        assert_eq!(index[0].2, "drops the unique index orders_id, which ON CONFLICT may need");
        let constraint = of(&[first, "ALTER TABLE orders DROP CONSTRAINT one"]);
        let what = "drops the unique constraint one of orders, which ON CONFLICT may need";
        assert_eq!(constraint[0].2, what);
        let again = "DROP INDEX orders_id; CREATE UNIQUE INDEX orders_id ON orders (id)";
        assert!(of(&[first, again]).is_empty());
        assert!(whats(&format!("{first}; DROP INDEX orders_id")).is_empty());
    }

    #[test]
    fn a_default_of_an_earlier_file_counts_until_it_is_dropped() {
        let first = "CREATE TABLE orders (id BIGINT, kind BIGINT DEFAULT 0, CHECK (id IN (1, 2)))";
        let second = "ALTER TABLE orders ALTER kind SET NOT NULL;";
        assert!(of(&[first, second]).is_empty());
        let dropped = "ALTER TABLE orders ALTER kind DROP DEFAULT;\nALTER TABLE orders ALTER kind SET NOT NULL";
        assert_eq!(of(&[first, dropped])[0].1, 2);
    }

    #[test]
    fn a_comment_with_a_reason_accepts_its_statement_alone() {
        let text = "-- monolift: breaks nothing, because no release reads it\nDROP TABLE a;\n\
                    DROP TABLE b; -- monolift: breaks nothing, because it is empty\nDROP TABLE c;\n\
                    -- monolift: breaks nothing, because \nDROP TABLE d;";
        assert_eq!(whats(text), ["drops the table c", "drops the table d"]);
        // It would be a part of the text that is applied.
        let block = "/* monolift: breaks nothing, because no release reads it */ DROP TABLE a";
        assert_eq!(whats(block), ["drops the table a"]);
    }
}
