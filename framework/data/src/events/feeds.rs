//! Where a process takes the events of each module from.

use super::offer::Feed;
use std::{
    collections::HashMap,
    sync::{Arc, Mutex, PoisonError},
};

/// The feeds of a process: those of its own modules, and those of other processes' modules that it listens to.
#[derive(Debug, Default)]
pub struct Feeds(Mutex<HashMap<String, Arc<dyn Feed>>>);

impl Feeds {
    /// Adds that of a module.
    pub fn add(&self, module: &str, feed: Arc<dyn Feed>) {
        self.0.lock().unwrap_or_else(PoisonError::into_inner).insert(module.to_owned(), feed);
    }

    /// That of a module.
    pub fn of(&self, module: &str) -> Option<Arc<dyn Feed>> {
        self.0.lock().unwrap_or_else(PoisonError::into_inner).get(module).cloned()
    }
}
