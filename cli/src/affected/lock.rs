//! What a Cargo.lock resolves: packages, and what each depends on.

use std::collections::{BTreeMap, BTreeSet};
use toml::{Table, Value};

/// The packages of a Cargo.lock. A package is named `serde 1.0.228`; one of the workspace by its name alone.
#[derive(Debug, Default, PartialEq, Eq)]
pub(super) struct Lock {
    packages: BTreeMap<String, Entry>,
}

#[derive(Debug, PartialEq, Eq)]
struct Entry {
    source: Option<String>,
    checksum: Option<String>,
    dependencies: BTreeSet<String>,
}

impl Lock {
    /// Reads it; `None` if it cannot be read.
    pub(super) fn read(text: &str) -> Option<Self> {
        let lock: Table = toml::from_str(text).ok()?;
        let listed: Vec<&Table> =
            lock.get("package")?.as_array()?.iter().filter_map(Value::as_table).collect();
        let text = |table: &Table, key: &str| table.get(key)?.as_str().map(str::to_owned);
        let id = |table: &Table| {
            let (name, version) = (text(table, "name")?, text(table, "version")?);
            Some(if table.contains_key("source") { format!("{name} {version}") } else { name })
        };
        let mut by_name: BTreeMap<String, Vec<(String, String)>> = BTreeMap::new();
        for table in &listed {
            let version = text(table, "version")?;
            by_name.entry(text(table, "name")?).or_default().push((version, id(table)?));
        }
        // `name`, `name version` or `name version (source)`: as much as tells packages apart.
        let resolve = |dependency: &str| {
            let mut words = dependency.split(' ');
            let found = by_name.get(words.next()?)?;
            let version = words.next();
            let one =
                found.iter().find(|(known, _)| version.is_none_or(|version| version == known));
            one.map(|(_, id)| id.clone())
        };
        let mut packages = BTreeMap::new();
        for table in &listed {
            let listed = table.get("dependencies").and_then(Value::as_array);
            let names = listed.into_iter().flatten().filter_map(Value::as_str);
            let dependencies = names.map(resolve).collect::<Option<BTreeSet<String>>>()?;
            let (source, checksum) = (text(table, "source"), text(table, "checksum"));
            packages.insert(id(table)?, Entry { source, checksum, dependencies });
        }
        Some(Self { packages })
    }

    /// What a package depends on, for whatever purpose.
    pub(super) fn dependencies(&self, package: &str) -> impl Iterator<Item = &str> {
        let entry = self.packages.get(package);
        entry.into_iter().flat_map(|entry| entry.dependencies.iter().map(String::as_str))
    }

    /// All versions of a package.
    pub(super) fn versions<'a>(&'a self, name: &'a str) -> impl Iterator<Item = &'a str> {
        let is_one = move |package: &&String| name_of(package) == name;
        self.packages.keys().filter(is_one).map(String::as_str)
    }

    /// The packages that are not what they were, and those whose dependencies are others. What is gone has changed the
    /// dependencies of what needed it.
    pub(super) fn changed_from(&self, before: &Self) -> Vec<String> {
        let differs =
            |(package, entry): &(&String, &Entry)| before.packages.get(*package) != Some(*entry);
        self.packages.iter().filter(differs).map(|(package, _)| package.clone()).collect()
    }
}

/// The name in `serde 1.0.228`.
pub(super) fn name_of(package: &str) -> &str {
    package.split(' ').next().unwrap_or(package)
}

#[cfg(test)]
mod tests {
    use super::*;

    const LOCK: &str = r#"
version = 4
[[package]]
name = "rand"
version = "0.8.1"
source = "registry+x"
checksum = "01"
[[package]]
name = "rand"
version = "0.9.1"
source = "registry+x"
checksum = "02"
dependencies = ["cfg-if"]
[[package]]
name = "cfg-if"
version = "1.0.0"
source = "registry+x"
checksum = "03"
[[package]]
name = "stock"
version = "0.1.0"
dependencies = ["rand 0.9.1"]
"#;

    #[test]
    fn a_lock_is_compared_by_what_it_resolves() {
        let lock = |text: &str| Lock::read(text).unwrap();
        let before = lock(LOCK);
        assert_eq!(before.dependencies("stock").collect::<Vec<_>>(), ["rand 0.9.1"]);
        assert_eq!(before.versions("rand").count(), 2);
        assert!(before.changed_from(&before).is_empty());
        let newer = lock(&LOCK.replace("1.0.0", "1.0.1"));
        assert_eq!(newer.changed_from(&before), ["cfg-if 1.0.1", "rand 0.9.1"]);
        // One version less: the other needs no number any more, and is what it was.
        let first = LOCK.find("[[package]]").unwrap();
        let second = first + LOCK[first + 1..].find("[[package]]").unwrap() + 1;
        let single =
            format!("{}{}", &LOCK[..first], &LOCK[second..]).replace("rand 0.9.1\"", "rand\"");
        assert!(lock(&single).changed_from(&before).is_empty());
        assert_eq!(Lock::read("[[package]]\nname = \"x\"\n"), None);
    }
}
