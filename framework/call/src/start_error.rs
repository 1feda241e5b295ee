//! Why a process does not start.

use crate::call::chain;
use std::{error::Error, fmt};

/// One reason why a process does not start.
#[derive(Debug)]
pub struct StartError {
    module: String,
    field: String,
    message: String,
    source: Option<Box<dyn Error + Send + Sync>>,
}

impl StartError {
    /// A reason in words.
    pub fn new(message: impl Into<String>) -> Self {
        Self { module: String::new(), field: String::new(), message: message.into(), source: None }
    }

    /// The same, about a module and, unless it is empty, one of its fields.
    #[must_use]
    pub fn of(mut self, module: &str, field: &str) -> Self {
        self.module = module.to_owned();
        self.field = field.to_owned();
        self
    }

    /// The same, with what caused it.
    #[must_use]
    pub fn because(mut self, source: impl Into<Box<dyn Error + Send + Sync>>) -> Self {
        self.source = Some(source.into());
        self
    }

    /// The module that it is about, when it is about one.
    pub fn module(&self) -> Option<&str> {
        (!self.module.is_empty()).then_some(self.module.as_str())
    }
}

impl fmt::Display for StartError {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        if !self.module.is_empty() {
            write!(f, "module `{}`: ", self.module)?;
        }
        if !self.field.is_empty() {
            write!(f, "field `{}`: ", self.field)?;
        }
        f.write_str(&self.message)
    }
}

impl Error for StartError {
    fn source(&self) -> Option<&(dyn Error + 'static)> {
        self.source.as_deref().map(|source| source as _)
    }
}

/// All the reasons that were found.
pub struct StartErrors(pub Vec<StartError>);

impl fmt::Debug for StartErrors {
    /// As for a reader: a `main` that returns it prints this.
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        fmt::Display::fmt(self, f)
    }
}

impl fmt::Display for StartErrors {
    /// Each with its causes: it is the last thing that the program says.
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        for (at, error) in self.0.iter().enumerate() {
            if at > 0 {
                f.write_str("\n")?;
            }
            f.write_str(&chain(error))?;
        }
        Ok(())
    }
}

impl Error for StartErrors {}

impl From<StartError> for StartErrors {
    fn from(error: StartError) -> Self {
        Self(vec![error])
    }
}
