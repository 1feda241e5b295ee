//! A TOML file as a tree that remembers where each key stands. It knows nothing of manifests or of Cargo.

use std::collections::BTreeMap;
use std::fs;
use std::path::{Path, PathBuf};

use toml_edit::{ImDocument, Item, TableLike};

use crate::problem::Problem;

/// A file, its text and what it holds.
pub(crate) struct Document {
    pub(crate) file: PathBuf,
    pub(crate) root: Table,
    text: String,
}

/// The keys of a table, in the order of the file.
#[derive(Debug, Default)]
pub(crate) struct Table(pub(crate) Vec<Entry>);

/// A key and its value.
#[derive(Debug)]
pub(crate) struct Entry {
    pub(crate) key: String,
    pub(crate) value: Value,
    /// The bytes at which the key and its value begin. A table that is not written behind its key (a `[table]`)
    /// begins where its key does.
    key_at: usize,
    value_at: usize,
}

/// A value.
#[derive(Debug)]
pub(crate) enum Value {
    String(String),
    Integer(i64),
    Boolean(bool),
    Array(Vec<Value>),
    Table(Table),
    Float,
    Date,
}

impl Document {
    pub(crate) fn parse(text: &str, file: &Path) -> Result<Document, Problem> {
        let mut document =
            Document { file: file.to_owned(), root: Table::default(), text: text.to_owned() };
        match ImDocument::parse(text) {
            Ok(read) => document.root = Table::of(read.as_table()),
            Err(error) => {
                let at = error.span().map_or(0, |span| span.start);
                return Err(document.problem(
                    document.position(at),
                    without_values(&error.message().replace('\n', ", ")),
                ));
            }
        }
        Ok(document)
    }

    pub(crate) fn read(file: &Path) -> Result<Document, Problem> {
        match fs::read_to_string(file) {
            Ok(text) => Document::parse(&text, file),
            Err(error) => Err(Problem {
                file: file.to_owned(),
                line: 0,
                column: 0,
                message: format!("cannot be read: {error}"),
                help: None,
            }),
        }
    }

    /// Where a key stands.
    pub(crate) fn key_position(&self, entry: &Entry) -> (usize, usize) {
        self.position(entry.key_at)
    }

    /// Where a key's value begins.
    pub(crate) fn value_position(&self, entry: &Entry) -> (usize, usize) {
        self.position(entry.value_at)
    }

    pub(crate) fn problem(&self, (line, column): (usize, usize), message: String) -> Problem {
        Problem { file: self.file.clone(), line, column, message, help: None }
    }

    /// Line and column, both from 1, the column in characters.
    fn position(&self, at: usize) -> (usize, usize) {
        let mut at = at.min(self.text.len());
        while !self.text.is_char_boundary(at) {
            at -= 1;
        }
        let before = &self.text[..at];
        let line_start = before.rfind('\n').map_or(0, |newline| newline + 1);
        (before.matches('\n').count() + 1, before[line_start..].chars().count() + 1)
    }
}

/// The line of each key of a TOML text, by its dotted path. Empty when it is no TOML.
pub fn lines(text: &str) -> BTreeMap<String, usize> {
    positions(text, Path::new("")).unwrap_or_default()
}

/// The line of each key of a TOML text, by its dotted path, or why it is no TOML.
pub fn positions(text: &str, file: &Path) -> Result<BTreeMap<String, usize>, Problem> {
    fn collect(
        document: &Document,
        table: &Table,
        above: &str,
        lines: &mut BTreeMap<String, usize>,
    ) {
        for entry in &table.0 {
            let path =
                if above.is_empty() { entry.key.clone() } else { format!("{above}.{}", entry.key) };
            if let Value::Table(inner) = &entry.value {
                collect(document, inner, &path, lines);
            }
            lines.insert(path, document.key_position(entry).0);
        }
    }
    let mut lines = BTreeMap::new();
    let document = Document::parse(text, file)?;
    collect(&document, &document.root, "", &mut lines);
    Ok(lines)
}

/// A dotted key as messages show it. One with other letters than keys have may be a value in the wrong place.
pub fn shown_key(key: &str) -> &str {
    const LONGEST: usize = 64;
    let is_plain = |part: &str| {
        let fits = |byte: u8| byte.is_ascii_alphanumeric() || b"-_".contains(&byte);
        part.len() <= LONGEST && part.bytes().all(fits)
    };
    if key.split('.').all(is_plain) { key } else { "…" }
}

/// A message of the TOML reader, which names keys and the signs that it expects.
fn without_values(message: &str) -> String {
    let parts = message.split('`').enumerate();
    let shown = parts.map(|(at, part)| {
        let is_quoted = at % 2 == 1;
        if is_quoted && part.chars().count() > 1 { shown_key(part) } else { part }
    });
    shown.collect::<Vec<_>>().join("`")
}

impl Table {
    fn of(table: &dyn TableLike) -> Self {
        let entries = table.iter().map(|(key, item)| {
            let span = table.key(key).and_then(toml_edit::Key::span);
            let key_at = span.map_or(0, |span| span.start);
            let value_at = item.as_value().and_then(toml_edit::Value::span);
            Entry {
                key: key.to_owned(),
                value: Value::of_item(item),
                key_at,
                value_at: value_at.map_or(key_at, |span| span.start),
            }
        });
        Self(entries.collect())
    }

    pub(crate) fn get(&self, key: &str) -> Option<&Entry> {
        self.0.iter().find(|entry| entry.key == key)
    }

    pub(crate) fn table(&self, key: &str) -> Option<&Table> {
        match self.get(key) {
            Some(Entry { value: Value::Table(table), .. }) => Some(table),
            _ => None,
        }
    }

    pub(crate) fn string(&self, key: &str) -> Option<&str> {
        match self.get(key) {
            Some(Entry { value: Value::String(text), .. }) => Some(text),
            _ => None,
        }
    }

    pub(crate) fn boolean(&self, key: &str) -> Option<bool> {
        match self.get(key) {
            Some(Entry { value: Value::Boolean(value), .. }) => Some(*value),
            _ => None,
        }
    }

    /// The strings of an array; empty if there is none.
    pub(crate) fn strings(&self, key: &str) -> Vec<&str> {
        let values = match self.get(key) {
            Some(Entry { value: Value::Array(values), .. }) => values.as_slice(),
            _ => &[],
        };
        values
            .iter()
            .filter_map(
                |value| {
                    if let Value::String(text) = value { Some(text.as_str()) } else { None }
                },
            )
            .collect()
    }
}

impl Value {
    fn of_item(item: &Item) -> Self {
        match item {
            Item::None => Value::Table(Table::default()),
            Item::Value(value) => Value::of(value),
            Item::Table(table) => Value::Table(Table::of(table)),
            Item::ArrayOfTables(tables) => {
                Value::Array(tables.iter().map(|table| Value::Table(Table::of(table))).collect())
            }
        }
    }

    fn of(value: &toml_edit::Value) -> Self {
        match value {
            toml_edit::Value::String(text) => Value::String(text.value().clone()),
            toml_edit::Value::Integer(number) => Value::Integer(*number.value()),
            toml_edit::Value::Boolean(value) => Value::Boolean(*value.value()),
            toml_edit::Value::Float(_) => Value::Float,
            toml_edit::Value::Datetime(_) => Value::Date,
            toml_edit::Value::Array(values) => Value::Array(values.iter().map(Value::of).collect()),
            toml_edit::Value::InlineTable(table) => Value::Table(Table::of(table)),
        }
    }

    /// What it is, with its article, for "…, found an integer".
    pub(crate) fn kind(&self) -> &'static str {
        match self {
            Value::String(_) => "a string",
            Value::Integer(_) => "an integer",
            Value::Boolean(_) => "a boolean",
            Value::Array(_) => "an array",
            Value::Table(_) => "a table",
            Value::Float => "a float",
            Value::Date => "a date",
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn parse(text: &str) -> Result<Document, Problem> {
        Document::parse(text, Path::new("a.toml"))
    }

    #[test]
    fn keys_and_values_know_where_they_stand() {
        let document =
            parse("a = 1\n[b]\n\"é\" =\t\"x\"\nd = 1979-05-27\n[c.d]\ne.f = [1.5, true, \"s\"]\n")
                .expect("valid");
        let (a, b) = (document.root.get("a").expect("a"), document.root.get("b").expect("b"));
        assert_eq!((document.key_position(a), document.value_position(a)), ((1, 1), (1, 5)));
        assert_eq!((document.key_position(b), document.value_position(b)), ((2, 2), (2, 2)));
        let inner = document.root.table("b").expect("a table").get("é").expect("é");
        assert_eq!(
            (document.key_position(inner), document.value_position(inner)),
            ((3, 1), (3, 7))
        );
        let kinds: Vec<_> = document
            .root
            .table("b")
            .expect("a table")
            .0
            .iter()
            .map(|entry| entry.value.kind())
            .collect();
        assert_eq!(kinds, ["a string", "a date"]);
        let nested = document
            .root
            .table("c")
            .and_then(|c| c.table("d"))
            .and_then(|d| d.table("e"))
            .expect("dotted");
        assert_eq!(nested.strings("f"), ["s"]);
    }

    #[test]
    fn a_value_is_found_wherever_it_is_written() {
        let text = "a.b  =  \"=\"\n\"c = d\" = { e =1, f.g = [\n 2 ] }\n[[h]]\ni = 3\n";
        let document = parse(text).expect("valid");
        let place = |table: &Table, key: &str| {
            let entry = table.get(key).expect("a key");
            (document.key_position(entry), document.value_position(entry))
        };
        let (root, c) = (&document.root, document.root.table("c = d").expect("a table"));
        assert_eq!(place(root, "a"), ((1, 1), (1, 1)));
        assert_eq!(place(root.table("a").expect("a"), "b"), ((1, 3), (1, 9)));
        assert_eq!(place(root, "c = d"), ((2, 1), (2, 11)));
        assert_eq!(place(c, "e"), ((2, 13), (2, 16)));
        assert_eq!(place(c.table("f").expect("f"), "g"), ((2, 21), (2, 25)));
        assert_eq!(place(root, "h"), ((4, 3), (4, 3)));
        let Some(Entry { value: Value::Array(all), .. }) = root.get("h") else { panic!("no h") };
        let [Value::Table(one)] = &all[..] else { panic!("not one table") };
        assert_eq!(place(one, "i"), ((5, 1), (5, 5)));
    }

    #[test]
    fn a_syntax_error_has_its_place() {
        let message = |text: &str| parse(text).err().expect("invalid").to_string();
        assert_eq!(message("a = 1\na = 2\n"), "a.toml:2:1: duplicate key `a` in document root");
        assert_eq!(message("a = [\n1,\n"), "a.toml:3:1: invalid array, expected `]`");
        assert_eq!(message("é = 1"), "a.toml:1:1: invalid key");
        assert_eq!(parse("").map(|document| document.root.0.len()).ok(), Some(0));
    }
}
