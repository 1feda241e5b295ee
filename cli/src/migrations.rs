//! Where a module's migrations are.

use std::{
    fs,
    path::{Path, PathBuf},
};

/// The folder of a module's migrations: beside the manifest, or at the root of the workspace if the manifest is beside
/// a program.
pub(crate) fn of(manifest: &Path, module: &str) -> Option<PathBuf> {
    let beside = manifest.parent().unwrap_or(Path::new(""));
    let roots = [beside.join("migrations"), PathBuf::from("migrations")];
    roots.into_iter().map(|root| root.join(module)).find(|folder| folder.is_dir())
}

/// The files of a module's migrations in their order, each with its text.
pub(crate) fn files(folder: &Path) -> Result<Vec<(PathBuf, String)>, String> {
    let unreadable = |error| format!("{} cannot be read: {error}", folder.display());
    let listed = fs::read_dir(folder).and_then(|entries| entries.collect::<Result<Vec<_>, _>>());
    let mut paths: Vec<PathBuf> =
        listed.map_err(unreadable)?.into_iter().map(|entry| entry.path()).collect();
    paths.retain(|path| path.extension().is_some_and(|extension| extension == "sql"));
    paths.sort();
    let read = |path: PathBuf| {
        let text = fs::read_to_string(&path).map_err(unreadable)?;
        Ok((path, text))
    };
    paths.into_iter().map(read).collect()
}
