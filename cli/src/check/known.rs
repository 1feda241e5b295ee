//! What the statements of one module have made, as far as a later statement can break it.

use super::reader::Reader;
use monolift_data::sql::Statement;
use std::collections::{BTreeMap, HashMap, HashSet};

/// What the statements before have made.
#[derive(Default)]
pub(super) struct Known {
    /// Tables of this file.
    pub(super) new_tables: HashSet<String>,
    /// Unique indexes and constraints of this file.
    pub(super) new_uniques: HashSet<String>,
    /// Unique indexes and constraints by their names, which `ON CONFLICT` may need.
    pub(super) uniques: HashSet<String>,
    /// Columns of tables that have a default: one that the release before leaves out is not NULL.
    pub(super) defaults: HashSet<(String, String)>,
    /// The columns of tables whose CREATE TABLE was read, and whether each needs a value.
    pub(super) columns: HashMap<String, BTreeMap<String, bool>>,
}

/// PostgreSQL names a unique constraint without a name by its table.
pub(super) fn is_named_by_the_server(table: &str, constraint: &str) -> bool {
    let rest = constraint.strip_prefix(table).and_then(|rest| rest.strip_prefix('_'));
    rest.is_some_and(|rest| rest == "pkey" || rest.ends_with("_key"))
}

impl Known {
    pub(super) fn add_unique(&mut self, name: String) {
        self.new_uniques.insert(name.clone());
        self.uniques.insert(name);
    }

    /// Whether this drops one that the release before knows.
    pub(super) fn drops_unique(&mut self, name: &str) -> bool {
        self.uniques.remove(name) && !self.new_uniques.contains(name)
    }

    /// A column has another name from here on, or none.
    pub(super) fn rename(&mut self, table: &str, column: &str, to: Option<String>) {
        let Some(columns) = self.columns.get_mut(table) else { return };
        let needs = columns.remove(column).unwrap_or_default();
        columns.extend(to.map(|to| (to, needs)));
    }

    /// What it breaks to drop one, unless a later statement of the file makes it again.
    pub(super) fn dropped(
        &mut self,
        kind: &str,
        name: &str,
        after: &[Statement<'_>],
    ) -> Option<String> {
        let readers = || after.iter().map(|statement| Reader { words: &statement.words });
        match kind {
            "INDEX" => {
                let drops = self.drops_unique(name);
                let is_made_again = readers().any(|reader| reader.creates_again(kind, name));
                return (drops && !is_made_again)
                    .then(|| format!("drops the unique index {name}, which ON CONFLICT may need"));
            }
            "TABLE" if self.new_tables.contains(name) => return None,
            // SQLite changes a table by copying it to a new one that takes its name.
            "TABLE" => {
                if let Some(rebuilt) = readers().find_map(|reader| reader.renames_to(name))
                    && self.new_tables.contains(&rebuilt)
                    && let (Some(old), Some(new)) =
                        (self.columns.get(name), self.columns.get(&rebuilt))
                {
                    let lost = old.keys().filter(|column| !new.contains_key(*column));
                    let asks = new
                        .iter()
                        .filter(|(column, needs)| **needs && old.get(*column) != Some(&true));
                    let changes: Vec<String> =
                        lost.map(|column| format!("without {column}"))
                            .chain(asks.map(|(column, _)| {
                                format!("with {column} NOT NULL without a default")
                            }))
                            .collect();
                    let what = || format!("rebuilds the table {name} {}", changes.join(" and "));
                    return (!changes.is_empty()).then(what);
                }
            }
            "VIEW" | "FUNCTION" | "PROCEDURE"
                if readers().any(|reader| reader.creates_again(kind, name)) =>
            {
                return None;
            }
            _ => {}
        }
        Some(format!("drops the {} {name}", kind.to_lowercase()))
    }
}
