//! Database files are readable only by the user of the process.
//!
//! A file that is there is changed by its name. To open a SQLite file and to close it again would end
//! the locks that SQLite holds on it in this process.

use std::{
    fs::{self, DirBuilder, OpenOptions, Permissions},
    io::{ErrorKind, Result},
    os::unix::fs::{DirBuilderExt, OpenOptionsExt, PermissionsExt},
    path::{Path, PathBuf},
};

const FILE: u32 = 0o600;
const FOLDER: u32 = 0o700;

/// Makes a folder, and those above it, if there are none. One that is there is left as it is: who made
/// it has said who may look into it.
pub(super) fn folder(folder: &Path) -> Result<()> {
    DirBuilder::new().recursive(true).mode(FOLDER).create(folder)
}

/// Makes a file if there is none.
pub(super) fn file(file: &Path) -> Result<()> {
    match OpenOptions::new().create_new(true).write(true).mode(FILE).open(file) {
        Err(error) if error.kind() == ErrorKind::AlreadyExists => keep(file),
        made => made.map(drop),
    }
}

/// Makes a SQLite file if there is none, before SQLite does, which would make it for all to read. The
/// files beside it are made by SQLite as this one is; those that are there are changed.
pub(super) fn database(database: &Path) -> Result<()> {
    file(database)?;
    for ending in ["-wal", "-shm", "-journal"] {
        let mut beside = database.as_os_str().to_owned();
        beside.push(ending);
        match keep(&PathBuf::from(beside)) {
            Err(error) if error.kind() == ErrorKind::NotFound => {}
            kept => kept?,
        }
    }
    Ok(())
}

/// Keeps a file that is there to its user. One of another user is theirs to change.
fn keep(file: &Path) -> Result<()> {
    if fs::metadata(file)?.permissions().mode() & 0o077 == 0 {
        return Ok(());
    }
    match fs::set_permissions(file, Permissions::from_mode(FILE)) {
        Err(error) if error.kind() == ErrorKind::PermissionDenied => Ok(()),
        changed => changed,
    }
}
