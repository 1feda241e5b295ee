//! Reading what a person wrote: sources of Rust as text, and files of TOML.

use std::{
    error::Error,
    fs,
    path::{Path, PathBuf},
};
use toml::Table;

/// The files of a package, without those of packages within it.
pub(crate) fn files_of_rust(folder: &Path) -> Vec<PathBuf> {
    let mut entries: Vec<PathBuf> =
        fs::read_dir(folder).into_iter().flatten().flatten().map(|entry| entry.path()).collect();
    entries.sort();
    let mut files = Vec::new();
    for path in entries {
        if path.extension().is_some_and(|kind| kind == "rs") {
            files.push(path);
        } else if path.is_dir() && !path.join("Cargo.toml").exists() && !path.ends_with("target") {
            files.extend(files_of_rust(&path));
        }
    }
    files
}

/// The text without the lines that are comments.
pub(crate) fn without_comments(text: &str) -> String {
    let is_code = |line: &&str| !line.trim_start().starts_with("//");
    text.lines().filter(is_code).flat_map(|line| [line, "\n"]).collect()
}

/// A file of TOML.
pub(crate) fn table(file: &Path) -> Result<Table, Box<dyn Error>> {
    let text = fs::read_to_string(file)
        .map_err(|error| format!("{} cannot be read: {error}", file.display()))?;
    toml::from_str(&text).map_err(|error| format!("{}: {error}", file.display()).into())
}
