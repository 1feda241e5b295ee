//! Which folders a workspace's `members` and `exclude` name, as Cargo reads them.

use std::fs;
use std::path::{Component, Path, PathBuf};

use crate::document::{Document, Table, Value};
use crate::problem::{Problem, Problems};

/// The `[workspace]` table of a Cargo.toml, read as far as membership goes.
pub(crate) struct Members<'a> {
    root: &'a Path,
    members: Vec<&'a str>,
    exclude: Vec<PathBuf>,
}

impl<'a> Members<'a> {
    pub(crate) fn new(root: &'a Path, workspace: &'a Table) -> Self {
        let exclude =
            workspace.strings("exclude").into_iter().map(|path| tidy(&root.join(path))).collect();
        Members { root, members: workspace.strings("members"), exclude }
    }

    /// The folders that `members` names, in the order of the file; what a pattern matches, by name.
    ///
    /// A pattern passes over folders without a package; a folder that is named must have one.
    pub(crate) fn folders(&self, document: &Document, problems: &mut Problems) -> Vec<PathBuf> {
        let mut folders = Vec::new();
        for member in &self.members {
            let is_pattern = member.contains(['*', '?', '[']);
            if member.contains("**") || member.contains('[') {
                let problem = document.problem(
                    self.position(document),
                    format!("cannot read the member pattern `{member}`"),
                );
                let help = "`*` and `?` within one folder's name are understood; name the folders, or use these";
                problems.push(Problem { help: Some(help.into()), ..problem });
                continue;
            }
            for folder in expand(self.root, member) {
                let has_package = folder.join("Cargo.toml").is_file();
                if is_pattern && (!has_package || self.excludes(&folder)) {
                    continue;
                }
                if has_package {
                    folders.push(folder);
                } else {
                    let message = format!("the workspace's member `{member}` has no Cargo.toml");
                    problems.push(document.problem(self.position(document), message));
                }
            }
        }
        folders
    }

    /// Whether `exclude` keeps a folder out that no member names outright.
    pub(crate) fn excludes(&self, folder: &Path) -> bool {
        let named =
            self.members.iter().any(|member| folder.starts_with(tidy(&self.root.join(member))));
        !named && self.exclude.iter().any(|excluded| folder.starts_with(excluded))
    }

    fn position(&self, document: &Document) -> (usize, usize) {
        let members =
            document.root.table("workspace").and_then(|workspace| workspace.get("members"));
        members
            .filter(|entry| matches!(entry.value, Value::Array(_)))
            .map_or((1, 1), |entry| document.key_position(entry))
    }
}

/// A path without `.` and `..`, by its text alone: links are not followed.
pub(crate) fn tidy(path: &Path) -> PathBuf {
    let mut tidy = PathBuf::new();
    for part in path.components() {
        match part {
            Component::CurDir => {}
            Component::ParentDir if tidy.file_name().is_some() => {
                tidy.pop();
            }
            part => tidy.push(part),
        }
    }
    tidy
}

fn expand(root: &Path, pattern: &str) -> Vec<PathBuf> {
    let mut found = vec![root.to_owned()];
    for segment in pattern.split('/').filter(|segment| !segment.is_empty()) {
        found = if segment.contains(['*', '?']) {
            found.iter().flat_map(|folder| matching(folder, segment)).collect()
        } else {
            found.iter().map(|folder| tidy(&folder.join(segment))).collect()
        };
    }
    found
}

fn matching(folder: &Path, pattern: &str) -> Vec<PathBuf> {
    let mut found: Vec<PathBuf> = fs::read_dir(folder)
        .into_iter()
        .flatten()
        .flatten()
        .filter(|entry| {
            entry.file_name().to_str().is_some_and(|name| fits(pattern.as_bytes(), name.as_bytes()))
        })
        .map(|entry| entry.path())
        .filter(|path| path.is_dir())
        .collect();
    found.sort();
    found
}

/// Whether a name fits a pattern of letters, `?` (one) and `*` (any number).
fn fits(pattern: &[u8], name: &[u8]) -> bool {
    match (pattern.split_first(), name.split_first()) {
        (None, None) => true,
        (Some((b'*', rest)), _) => {
            fits(rest, name) || name.split_first().is_some_and(|(_, left)| fits(pattern, left))
        }
        (Some((letter, rest)), Some((found, left))) => {
            (*letter == b'?' || letter == found) && fits(rest, left)
        }
        _ => false,
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn patterns() {
        let fits = |pattern: &str, name: &str| fits(pattern.as_bytes(), name.as_bytes());
        assert!(
            fits("*", "stock") && fits("*", "") && fits("s*k", "stock") && fits("st?ck", "stock")
        );
        assert!(fits("*-api", "stock-api") && fits("a*b*c", "aXbXbXc"));
        assert!(!fits("*-api", "stock") && !fits("s?", "s") && !fits("stock", "stocks"));
    }

    #[test]
    fn paths_are_tidied_by_text() {
        assert_eq!(tidy(Path::new("/a/./b/../c")), Path::new("/a/c"));
        assert_eq!(tidy(Path::new("../a")), Path::new("../a"));
    }
}
