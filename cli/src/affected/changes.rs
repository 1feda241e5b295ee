//! What git says has changed, and how files were before.

use std::{
    error::Error,
    path::{Path, PathBuf},
    process::Command,
};

/// What has changed in the work tree since a revision.
#[derive(Debug)]
pub(super) struct Changes {
    /// The root of the workspace.
    root: PathBuf,
    revision: String,
    /// From the root of the workspace, with `/` between parts. What is outside of it begins with `../`.
    pub(super) files: Vec<String>,
}

impl Changes {
    /// Committed or not, and with files that git does not know yet. A file that was renamed is two: one that is gone, and
    /// one that is new.
    pub(super) fn since(root: &Path, revision: &str) -> Result<Self, Box<dyn Error>> {
        if revision.starts_with('-') {
            return Err(format!("`{revision}` is no revision").into());
        }
        let prefix = git(root, &["rev-parse", "--show-prefix"])?.trim_end().to_owned();
        let top = PathBuf::from(git(root, &["rev-parse", "--show-toplevel"])?.trim_end());
        let changed = git(&top, &["diff", "--no-renames", "--name-only", "-z", revision, "--"])?;
        let unknown = git(&top, &["ls-files", "--others", "--exclude-standard", "-z"])?;
        let names = changed.split('\0').chain(unknown.split('\0')).filter(|name| !name.is_empty());
        let mut files: Vec<String> = names
            .map(|name| match name.strip_prefix(prefix.as_str()) {
                Some(within) => within.to_owned(),
                None => format!("../{name}"),
            })
            .collect();
        files.sort();
        files.dedup();
        Ok(Self { root: root.to_owned(), revision: revision.to_owned(), files })
    }

    /// A file as it was at the revision, if it was there.
    pub(super) fn before(&self, file: &str) -> Option<String> {
        git(&self.root, &["show", &format!("{}:./{file}", self.revision)]).ok()
    }

    /// A file as it is, if it is there.
    pub(super) fn now(&self, file: &str) -> Option<String> {
        std::fs::read_to_string(self.root.join(file)).ok()
    }
}

fn git(folder: &Path, arguments: &[&str]) -> Result<String, Box<dyn Error>> {
    let output = Command::new("git").arg("-C").arg(folder).args(arguments).output();
    let output = output.map_err(|error| format!("git cannot be started: {error}"))?;
    if !output.status.success() {
        let said = String::from_utf8_lossy(&output.stderr);
        return Err(format!("git {}: {}", arguments[0], said.trim()).into());
    }
    Ok(String::from_utf8_lossy(&output.stdout).into_owned())
}
