//! Statements of migrations that break the release before them.
//!
//! While processes are restarted one by one, and after a roll-back, code of the release before runs on the newest
//! tables. This reads the files alone: it knows no database, and not which migrations are applied.

use monolift_data::sql::{Statement, Word, statements};
use std::collections::HashSet;

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
    let mut defaults = HashSet::new();
    for (file, text) in files.iter().enumerate() {
        // The release before does not know a table that this file makes.
        let mut new_tables = HashSet::new();
        for statement in statements(text) {
            let mut reader = Reader { words: &statement.words };
            let found = reader.statement(&mut new_tables, &mut defaults);
            if !is_accepted(&statement) {
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

/// A name as the database compares it.
fn folded(name: Word<'_>) -> Option<String> {
    match name {
        Word::Plain(name) => Some(name.to_lowercase()),
        Word::Quoted(name) => Some(name.to_owned()),
        Word::Text | Word::Sign(_) => None,
    }
}

/// Columns that have a default: one that the release before leaves out is not NULL.
type Defaults = HashSet<(String, String)>;

/// What is left of a statement.
#[derive(Clone, Copy)]
struct Reader<'a> {
    words: &'a [Word<'a>],
}

impl Reader<'_> {
    fn statement(
        &mut self,
        new_tables: &mut HashSet<String>,
        defaults: &mut Defaults,
    ) -> Vec<String> {
        if self.take("CREATE") {
            while ["GLOBAL", "LOCAL", "TEMP", "TEMPORARY", "UNLOGGED"]
                .iter()
                .any(|word| self.take(word))
            {}
            if self.take("TABLE") {
                self.take_all(&["IF", "NOT", "EXISTS"]);
                let Some(table) = self.name() else { return Vec::new() };
                self.columns(&table, defaults);
                new_tables.insert(table);
            }
            return Vec::new();
        }
        if self.take("DROP") {
            self.take("MATERIALIZED");
            let kinds = ["TABLE", "VIEW", "SCHEMA", "TYPE", "DOMAIN", "SEQUENCE", "FUNCTION"];
            let Some(kind) = kinds.iter().find(|kind| self.take(kind)) else { return Vec::new() };
            self.take_all(&["IF", "EXISTS"]);
            let name = self.name().unwrap_or_default();
            let is_new = new_tables.contains(&name);
            let what = format!("drops the {} {name}", kind.to_lowercase());
            return if is_new { Vec::new() } else { vec![what] };
        }
        if !self.take("ALTER") {
            return Vec::new();
        }
        if self.take("TABLE") {
            self.take_all(&["IF", "EXISTS"]);
            self.take("ONLY");
            let Some(table) = self.name() else { return Vec::new() };
            self.take_sign('*');
            let is_new = new_tables.contains(&table);
            let actions = self.split();
            let found =
                actions.into_iter().filter_map(|mut action| action.action(&table, defaults));
            let found: Vec<String> = found.collect();
            return if is_new { Vec::new() } else { found };
        }
        self.take("MATERIALIZED");
        if ["VIEW", "TYPE", "SCHEMA", "SEQUENCE", "FUNCTION"].iter().any(|kind| self.take(kind)) {
            let name = self.name().unwrap_or_default();
            let renames = self.take("RENAME") && !self.take("CONSTRAINT");
            return if renames {
                vec![format!("renames {name}, or a part of it")]
            } else {
                Vec::new()
            };
        }
        Vec::new()
    }

    /// One action of ALTER TABLE.
    fn action(&mut self, table: &str, defaults: &mut Defaults) -> Option<String> {
        if self.take("RENAME") {
            if self.take("CONSTRAINT") {
                return None;
            }
            if self.take("TO") {
                return Some(format!("renames the table {table}"));
            }
            self.take("COLUMN");
            return Some(format!("renames the column {} of {table}", self.name()?));
        }
        if self.take("DROP") {
            if self.take("CONSTRAINT") {
                return None;
            }
            self.take("COLUMN");
            self.take_all(&["IF", "EXISTS"]);
            return Some(format!("drops the column {} of {table}", self.name()?));
        }
        if self.take("ADD") {
            let is_constraint = ["CONSTRAINT", "CHECK", "UNIQUE", "PRIMARY", "FOREIGN", "EXCLUDE"];
            if is_constraint.iter().any(|word| self.take(word)) {
                return None;
            }
            self.take("COLUMN");
            self.take_all(&["IF", "NOT", "EXISTS"]);
            let column = self.name()?;
            if self.has_default() {
                defaults.insert((table.to_owned(), column));
                return None;
            }
            let needs = self.has(&["NOT", "NULL"]) || self.has(&["PRIMARY", "KEY"]);
            return needs.then(|| {
                format!("adds the column {column} of {table}, NOT NULL without a default")
            });
        }
        if self.take("ALTER") {
            self.take("COLUMN");
            let column = self.name()?;
            if self.has(&["SET", "DEFAULT"]) {
                defaults.insert((table.to_owned(), column));
                return None;
            }
            let key = (table.to_owned(), column);
            if self.has(&["DROP", "DEFAULT"]) {
                defaults.remove(&key);
                return None;
            }
            let (table, column) = &key;
            if self.has(&["SET", "NOT", "NULL"]) {
                let has_default = defaults.contains(&key);
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

    /// The columns of CREATE TABLE that have a default.
    fn columns(&mut self, table: &str, defaults: &mut Defaults) {
        let Some(open) = self.words.iter().position(|word| *word == Word::Sign('(')) else {
            return;
        };
        let inner = Reader { words: &self.words[open + 1..] };
        for mut column in inner.split() {
            if let Some(name) = column.name()
                && column.has_default()
            {
                defaults.insert((table.to_owned(), name));
            }
        }
    }

    /// Whether a column has a value where a statement gives none.
    fn has_default(&self) -> bool {
        let makes = |word: &Word<'_>| {
            let serial = ["DEFAULT", "GENERATED", "SERIAL", "BIGSERIAL", "SMALLSERIAL"];
            serial.iter().any(|keyword| word.is(keyword))
        };
        self.words.iter().any(makes)
    }

    /// What commas separate, outside of parentheses, until one closes that was not opened here.
    fn split(&self) -> Vec<Self> {
        let (mut parts, mut depth, mut begin) = (Vec::new(), 0_usize, 0);
        for (at, word) in self.words.iter().enumerate() {
            match word {
                Word::Sign('(') => depth += 1,
                Word::Sign(')') if depth == 0 => {
                    parts.push(Self { words: &self.words[begin..at] });
                    return parts;
                }
                Word::Sign(')') => depth -= 1,
                Word::Sign(',') if depth == 0 => {
                    parts.push(Self { words: &self.words[begin..at] });
                    begin = at + 1;
                }
                _ => {}
            }
        }
        parts.push(Self { words: &self.words[begin..] });
        parts
    }

    fn take(&mut self, keyword: &str) -> bool {
        self.take_all(&[keyword])
    }

    fn take_all(&mut self, keywords: &[&str]) -> bool {
        let are = self.words.len() >= keywords.len()
            && self.words.iter().zip(keywords).all(|(word, keyword)| word.is(keyword));
        if are {
            self.words = &self.words[keywords.len()..];
        }
        are
    }

    fn take_sign(&mut self, sign: char) -> bool {
        let is = self.words.first() == Some(&Word::Sign(sign));
        if is {
            self.words = &self.words[1..];
        }
        is
    }

    fn has(&self, keywords: &[&str]) -> bool {
        self.words
            .windows(keywords.len())
            .any(|words| words.iter().zip(keywords).all(|(word, keyword)| word.is(keyword)))
    }

    /// A name, the last part of it: `orders` of `shop.orders`.
    fn name(&mut self) -> Option<String> {
        loop {
            let (first, rest) = self.words.split_first()?;
            self.words = rest;
            let name = folded(*first)?;
            if !self.take_sign('.') {
                return Some(name);
            }
        }
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
    }
}
