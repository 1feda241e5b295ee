//! Settings: what can be told to a program when it starts.
//!
//! Three layers, each over the one before: defaults in code, a file, the environment. Each module
//! has a section that no other module reads.

mod error;
mod found;
mod overlay;
mod reader;
mod settings;

pub use error::{SettingsError, SettingsErrors};
pub use monolift_call::Secret;
pub use overlay::overlay;
pub use settings::{Setting, Settings};

use std::{ops::Deref, sync::Arc};

/// A module's own settings, injected: `config: Config<OrdersConfig>`.
///
/// They are the section of `settings.toml` that is named like the module, and the environment's
/// variables `<APP>_<MODULE>__<KEY>`. Give the type `#[serde(default)]` for its defaults.
#[derive(Debug)]
pub struct Config<T>(Arc<T>);

impl<T> Config<T> {
    /// Settings made by hand, as for a test.
    pub fn new(settings: T) -> Self {
        Self(Arc::new(settings))
    }
}

impl<T> Clone for Config<T> {
    fn clone(&self) -> Self {
        Self(Arc::clone(&self.0))
    }
}

impl<T> Deref for Config<T> {
    type Target = T;

    fn deref(&self) -> &T {
        &self.0
    }
}
