//! Why a module's database could not be opened.

use std::{error::Error, fmt};

/// Why a module's database could not be opened.
#[derive(Debug)]
pub struct OpenError {
    message: String,
    source: Option<Box<dyn Error + Send + Sync>>,
}

impl OpenError {
    pub(super) fn new(message: impl Into<String>) -> Self {
        Self { message: message.into(), source: None }
    }

    pub(super) fn from_source(
        message: impl Into<String>,
        source: impl Error + Send + Sync + 'static,
    ) -> Self {
        Self { message: message.into(), source: Some(Box::new(source)) }
    }
}

impl fmt::Display for OpenError {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(&self.message)
    }
}

impl Error for OpenError {
    fn source(&self) -> Option<&(dyn Error + 'static)> {
        self.source.as_deref().map(|source| source as _)
    }
}
