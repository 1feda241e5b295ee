//! Where a module's migrations are.

use std::path::{Path, PathBuf};

/// The folder of a module's migrations: beside the manifest, or at the root of the workspace if the manifest is beside
/// a program.
pub(crate) fn of(manifest: &Path, module: &str) -> Option<PathBuf> {
    let beside = manifest.parent().unwrap_or(Path::new(""));
    let roots = [beside.join("migrations"), PathBuf::from("migrations")];
    roots.into_iter().map(|root| root.join(module)).find(|folder| folder.is_dir())
}
