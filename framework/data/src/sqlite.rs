//! SQLite, with the feature `sqlite`: its driver, and what has to be done with a file before it is opened.

mod private;

use crate::{
    Backend, Location, ModuleDatabase, OpenError,
    driver::{compiled_here, driver},
};
use sqlx::{Pool, Sqlite, sqlite::SqliteConnectOptions};
use std::{fs::File, path::Path, str::FromStr};

impl ModuleDatabase for Sqlite {
    fn backend(_: &Pool<Self>) -> Backend {
        Backend::Sqlite
    }

    fn speaks(backend: Backend) -> bool {
        backend == Backend::Sqlite
    }

    compiled_here!();
}

driver!(Sqlite);

/// Prepares the database's file. A file in the data directory stays locked for other processes until the answer is
/// dropped.
pub(super) async fn prepare(
    location: &Location,
    backend: Backend,
) -> Result<Option<File>, OpenError> {
    match location {
        Location::File(file) => lock_beside(file).await.map(Some),
        // A shared one is on a server.
        Location::Url(url) | Location::Shared { url, .. } => {
            keep_url_private(url, backend).await?;
            Ok(None)
        }
    }
}

/// Waits for the right to prepare `file`: processes that start at once take turns.
async fn lock_beside(file: &Path) -> Result<File, OpenError> {
    let (file, lock_file) = (file.to_owned(), file.with_extension("lock"));
    let shown = file.display().to_string();
    let locking = tokio::task::spawn_blocking(move || {
        if let Some(folder) = lock_file.parent() {
            private::folder(folder)?;
        }
        private::file(&lock_file)?;
        let lock = File::options().write(true).open(&lock_file)?;
        lock.lock()?;
        private::database(&file)?;
        Ok::<_, std::io::Error>(lock)
    });
    let failed = |error| OpenError::from_source(format!("{shown} cannot be prepared"), error);
    locking.await.map_err(std::io::Error::other).and_then(|lock| lock).map_err(failed)
}

/// Keeps a SQLite file that the settings name to the user of this process.
async fn keep_url_private(url: &str, backend: Backend) -> Result<(), OpenError> {
    let options = (backend == Backend::Sqlite).then(|| SqliteConnectOptions::from_str(url));
    // What is wrong with it is said when it is opened, and one that is in memory has no file.
    let Some(Ok(options)) = options else { return Ok(()) };
    let file = options.get_filename().to_path_buf();
    let in_memory = url.contains(":memory:") || url.contains("mode=memory");
    let makes = url.contains("mode=rwc");
    let keeping = tokio::task::spawn_blocking(move || {
        let is_file = !in_memory && (makes || file.exists());
        if is_file { private::database(&file) } else { Ok(()) }
    });
    let kept = keeping.await.map_err(std::io::Error::other).and_then(|kept| kept);
    kept.map_err(|error| OpenError::from_source("the database's file cannot be prepared", error))
}
