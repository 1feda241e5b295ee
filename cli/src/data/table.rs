//! The tables that are copied: which, with which columns, and in which order.

use std::collections::BTreeSet;

/// A table of one of the two databases.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(super) struct Table {
    pub(super) name: String,
    pub(super) columns: Vec<Column>,
}

#[derive(Debug, Clone, PartialEq, Eq)]
pub(super) struct Column {
    pub(super) name: String,
    /// The type, as the database names it.
    pub(super) kind: String,
    /// Whether the database computes its values.
    pub(super) is_generated: bool,
}

/// A foreign key: its name, its table, and the table that it refers to.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(super) struct ForeignKey {
    pub(super) name: String,
    pub(super) table: String,
    pub(super) refers_to: String,
    /// Whether a transaction may check it in the end.
    pub(super) is_deferrable: bool,
}

/// What is copied of a table.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(super) struct Part {
    pub(super) table: String,
    pub(super) columns: Vec<String>,
}

/// The framework's table of durable work.
pub(super) const WORK: &str = "monolift_work";
/// The framework's tables that a migration fills.
const FRAMEWORK: [&str; 2] = ["monolift_migrations", "monolift_tables"];

/// The framework's tables of events, of which one without the others would lose some.
const EVENTS: [&str; 2] = ["monolift_events", "monolift_inbox"];

/// The table of a module's migrations.
pub(super) fn history_of(module: &str) -> String {
    monolift_data::History::of(module, &[]).table
}

/// The tables to copy of a module, with their columns: those of its migrations, or the `named` ones; and its durable
/// work.
pub(super) fn choose(
    module: &str,
    named: &[String],
    source: &[Table],
    target: &[Table],
) -> Result<Vec<Part>, String> {
    if let Some(table) = source.iter().find(|table| EVENTS.contains(&table.name.as_str())) {
        return Err(format!(
            "the source has the table {}, and events are not copied yet: copy the module before it publishes \
             events or listens to some",
            table.name
        ));
    }
    let own = history_of(module);
    let names: BTreeSet<&str> = if named.is_empty() {
        let is_own = |name: &&str| *name != own && *name != WORK && !FRAMEWORK.contains(name);
        let all = target.iter().map(|table| table.name.as_str()).filter(is_own);
        if let Some(other) = all.clone().find(|name| name.ends_with("_migrations")) {
            return Err(format!(
                "the target has tables of others, with the history `{other}`: give a database or a schema of its own, \
                 or name the module's tables by --table"
            ));
        }
        all.collect()
    } else {
        named.iter().map(String::as_str).collect()
    };
    if names.is_empty() {
        return Err(format!(
            "the module `{module}` has no migrations with tables: name its tables by --table"
        ));
    }
    let with_work = source.iter().any(|table| table.name == WORK);
    let work = with_work.then_some(WORK).filter(|work| !names.contains(work));
    names.into_iter().chain(work).map(|name| part(name, source, target)).collect()
}

/// The columns of a table that are copied: all of the source that are not generated.
fn part(name: &str, source: &[Table], target: &[Table]) -> Result<Part, String> {
    let find = |tables: &[Table], hint: &str| {
        let table = tables.iter().find(|table| table.name == name).cloned();
        table.ok_or_else(|| format!("{hint} has no table `{name}`"))
    };
    let source = find(source, "the source").map_err(|what| {
        format!(
            "{what}: apply the module's migrations there, or name the tables to copy by --table"
        )
    })?;
    let target = find(target, "the target").map_err(|what| {
        format!("{what}: a migration of the module has to create it, or create it by hand")
    })?;
    let mut columns = Vec::new();
    for column in source.columns.iter().filter(|column| !column.is_generated) {
        let place = format!("the column `{}` of `{name}`", column.name);
        let Some(same) = target.columns.iter().find(|other| other.name == column.name) else {
            return Err(format!("{place} is not in the target, so its values would be lost"));
        };
        if same.is_generated {
            continue;
        }
        if same.kind != column.kind {
            return Err(format!(
                "{place} has the type {} in the source and {} in the target",
                column.kind, same.kind
            ));
        }
        columns.push(column.name.clone());
    }
    if columns.is_empty() {
        return Err(format!("the table `{name}` has no columns to copy"));
    }
    Ok(Part { table: name.to_owned(), columns })
}

/// Sorts tables so that each comes after those that it refers to. The foreign keys that are returned close a circle:
/// they cannot hold while rows are copied.
pub(super) fn sort(parts: &mut Vec<Part>, keys: &[ForeignKey]) -> Vec<ForeignKey> {
    let mut left = std::mem::take(parts);
    let names: BTreeSet<String> = left.iter().map(|part| part.table.clone()).collect();
    let between = |key: &&ForeignKey| {
        key.table != key.refers_to && names.contains(&key.table) && names.contains(&key.refers_to)
    };
    let keys: Vec<&ForeignKey> = keys.iter().filter(between).collect();
    let mut circular = Vec::new();
    while !left.is_empty() {
        let is_left = |table: &str| left.iter().any(|part| part.table == table);
        let open = |table: &str| {
            keys.iter().filter(|key| key.table == table && is_left(&key.refers_to)).count()
        };
        let (at, _) = left
            .iter()
            .enumerate()
            .min_by_key(|(_, part)| open(&part.table))
            .expect("a table is left");
        let table = &left[at].table;
        let closing = keys.iter().filter(|key| key.table == *table && is_left(&key.refers_to));
        circular.extend(closing.map(|key| ForeignKey::clone(key)));
        parts.push(left.remove(at));
    }
    circular
}

#[cfg(test)]
mod tests {
    use super::*;

    fn table(name: &str, columns: &[(&str, &str)]) -> Table {
        let column = |(name, kind): &(&str, &str)| Column {
            name: (*name).to_owned(),
            kind: kind.trim_end_matches('*').to_owned(),
            is_generated: kind.ends_with('*'),
        };
        Table { name: name.to_owned(), columns: columns.iter().map(column).collect() }
    }

    fn key(table: &str, refers_to: &str) -> ForeignKey {
        let name = format!("{table}_{refers_to}_fkey");
        ForeignKey {
            name,
            table: table.to_owned(),
            refers_to: refers_to.to_owned(),
            is_deferrable: false,
        }
    }

    const ID: &[(&str, &str)] = &[("id", "bigint")];

    #[test]
    fn a_module_s_tables_are_those_that_its_migrations_made() {
        let source = [table("orders", ID), table("lines", ID), table("users", ID), table(WORK, ID)];
        let mut target =
            vec![table("orders", ID), table("lines", ID), table("orders_migrations", ID)];
        target.extend(["monolift_migrations", "monolift_tables", WORK].map(|name| table(name, ID)));
        let names = |parts: Vec<Part>| -> Vec<String> {
            parts.into_iter().map(|part| part.table).collect()
        };
        let chosen = choose("orders", &[], &source, &target).unwrap();
        assert_eq!(names(chosen), ["lines", "orders", WORK]);
        let named = choose("orders", &["lines".to_owned()], &source, &target).unwrap();
        assert_eq!(names(named), ["lines", WORK]);

        let with_events = [source.as_slice(), &[table("monolift_events", ID)]].concat();
        let told = choose("orders", &[], &with_events, &target).unwrap_err();
        assert!(told.contains("events are not copied yet"), "{told}");

        target.push(table("stock_migrations", ID));
        let told = choose("orders", &[], &source, &target).unwrap_err();
        assert!(told.contains("stock_migrations") && told.contains("--table"), "{told}");
        let told = choose("orders", &["order".to_owned()], &source, &target).unwrap_err();
        assert!(told.contains("the source has no table `order`"), "{told}");
        let told = choose("orders", &["users".to_owned()], &source, &target).unwrap_err();
        assert!(told.contains("the target has no table `users`"), "{told}");
    }

    #[test]
    fn columns_fit_or_the_copy_is_refused() {
        let of = |source: &[(&str, &str)], target: &[(&str, &str)]| {
            let parts = choose(
                "notes",
                &["notes".to_owned()],
                &[table("notes", source)],
                &[table("notes", target)],
            );
            parts.map(|mut parts| parts.remove(0).columns)
        };
        let source = [("id", "bigint"), ("text", "text"), ("length", "bigint*")];
        // A new column has its default.
        let target = [("id", "bigint"), ("kind", "text"), ("text", "text"), ("length", "bigint*")];
        assert_eq!(of(&source, &target).unwrap(), ["id", "text"]);
        let told = of(&source, &[("id", "bigint")]).unwrap_err();
        assert!(told.contains("`text` of `notes` is not in the target"), "{told}");
        let told = of(&source, &[("id", "text"), ("text", "text")]).unwrap_err();
        assert!(told.contains("the type bigint in the source and text in the target"), "{told}");
    }

    #[test]
    fn tables_come_after_those_that_they_refer_to() {
        let parts = |names: &[&str]| -> Vec<Part> {
            let part = |name: &&str| Part { table: (*name).to_owned(), columns: Vec::new() };
            names.iter().map(part).collect()
        };
        let mut sorted = parts(&["comments", "articles", "follows", "users"]);
        let keys = [
            key("comments", "articles"),
            key("comments", "users"),
            key("articles", "users"),
            key("follows", "users"),
            key("users", "users"),
            key("users", "elsewhere"),
        ];
        assert!(sort(&mut sorted, &keys).is_empty());
        let names: Vec<&str> = sorted.iter().map(|part| part.table.as_str()).collect();
        assert_eq!(names, ["users", "articles", "comments", "follows"]);

        let mut circle = parts(&["a", "b", "c"]);
        let keys = [key("a", "b"), key("b", "a"), key("c", "a")];
        assert_eq!(sort(&mut circle, &keys), [key("a", "b")]);
        let names: Vec<&str> = circle.iter().map(|part| part.table.as_str()).collect();
        assert_eq!(names, ["a", "b", "c"]);
    }
}
