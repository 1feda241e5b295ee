//! A temporary folder for one test's databases and sockets. It is removed after the test.

use std::{
    path::{Path, PathBuf},
    sync::atomic::{AtomicUsize, Ordering},
};

#[derive(Debug)]
pub(super) struct Folder(PathBuf);

impl Folder {
    pub(super) fn new() -> Self {
        static COUNT: AtomicUsize = AtomicUsize::new(0);
        let number = COUNT.fetch_add(1, Ordering::Relaxed);
        // The name is short because a Unix socket's path is limited to about a hundred bytes.
        let folder = std::env::temp_dir().join(format!("ml-{}-{number}", std::process::id()));
        std::fs::create_dir_all(&folder).expect("a test needs a folder to write to");
        Self(folder)
    }

    pub(super) fn path(&self) -> &Path {
        &self.0
    }
}

impl Drop for Folder {
    fn drop(&mut self) {
        // If the removal fails, the rest stays in the temporary folder and does no harm.
        let _ = std::fs::remove_dir_all(&self.0);
    }
}
