//! Which modules have a database, and of which kind. The manifest does not say, because settings do.

use crate::{
    migrations,
    sources::{files_of_rust, without_comments},
};
use monolift_manifest::{Package, Workspace};
use std::{fs, path::Path};

/// Where a module keeps its rows.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum Kind {
    /// A server of PostgreSQL.
    Postgres,
    /// A file in a volume.
    Sqlite,
}

/// The kind of a module's database. It has one if it has migrations, or if its sources name a type that needs one. It is
/// SQLite if the person says so, or if the type can be no other.
pub(super) fn kind(
    manifest: &Path,
    workspace: &Workspace,
    module: &str,
    package: Option<&str>,
    sqlite: &[String],
) -> Option<Kind> {
    let package: Option<&Package> = package.and_then(|package| workspace.package(package));
    let names = |types: &[&str]| {
        let sources = package.map(|package| files_of_rust(&package.directory.join("src")));
        let texts = sources.into_iter().flatten().filter_map(|file| fs::read_to_string(file).ok());
        texts
            .map(|text| without_comments(&text))
            .any(|text| types.iter().any(|one| has_type(&text, one)))
    };
    if sqlite.iter().any(|one| one == module) || names(&["Db<Sqlite>"]) {
        return Some(Kind::Sqlite);
    }
    let has_migrations = migrations::of(manifest, module).is_some()
        || workspace.root.join("migrations").join(module).is_dir();
    (has_migrations || names(&["Db", "Db<Any>", "Db<Postgres>", "Work", "Events"]))
        .then_some(Kind::Postgres)
}

/// Whether the text has a field of a type: `db: Db,`.
fn has_type(text: &str, name: &str) -> bool {
    text.match_indices(name).any(|(at, _)| {
        let before = text[..at].trim_end();
        let after = text[at + name.len()..].chars().next();
        before.ends_with(':')
            && !before.ends_with("::")
            && !after.is_some_and(|c| c.is_alphanumeric() || c == '_')
    })
}

#[cfg(test)]
mod unit {
    use super::*;

    #[test]
    fn a_field_is_told_from_other_words() {
        assert!(
            has_type("struct S {\n db: Db,\n}", "Db") && has_type("db: Db<Sqlite>,", "Db<Sqlite>")
        );
        assert!(!has_type("use monolift::Db;", "Db") && !has_type("db: DbSettings,", "Db"));
    }
}
