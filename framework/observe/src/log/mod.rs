//! The log: each event of `tracing` is one line, for people or for machines.
//!
//! A line that is logged during a call has the call's module and method and its trace. Its author does nothing for
//! that: the line is completed where it is logged, from the call that the thread is polling.
//!
//! A program of `process!` or `service!` installs a log by [`install`]. A host has a subscriber of its own, and can add
//! a [`LogLayer`] to it:
//!
//! ```
//! use monolift_observe::log::{self, LogLayer, Service};
//! use tracing_subscriber::{EnvFilter, Registry, layer::SubscriberExt};
//!
//! let log = Registry::default()
//!     .with(EnvFilter::new("info"))
//!     .with(log::ecs_layer(Service::new("shop", "web")));
//! # drop(log);
//! ```
//!
//! | file | holds |
//! |---|---|
//! | `layer` | the layer of `tracing-subscriber`: from an event to a written line |
//! | `line` | what one line says, whatever its shape |
//! | `lines` | the latest lines, in memory |
//! | `fields` | the values of an event's or a span's fields |
//! | `text` | a line for people |
//! | `ecs` | a line in the Elastic Common Schema |
//! | `time` | times and durations as text |
//! | `control` | levels that change while the program runs |
//! | `levels` | the same, as processes tell each other |
//! | `panics` | a panic as a line |

mod control;
mod ecs;
mod fields;
mod layer;
#[allow(missing_docs, reason = "the names of plain data say it")]
mod levels;
mod line;
#[allow(missing_docs, reason = "the names of plain data say it")]
mod lines;
mod panics;
#[cfg(test)]
mod tests;
mod text;
pub(crate) mod time;

pub use control::{LogControl, WrongLevels};
pub use layer::{LogLayer, ecs_layer, text_layer};
pub use levels::{LevelsAnswer, LevelsOf, WantedLevels};
pub use lines::{LogAnswer, LogFilter, LogLine, LogLines};
pub use panics::log_panics;

use crate::statements::Statements;
use monolift_manifest::LogLevels;
use std::sync::Arc;
use tracing_subscriber::{Layer, layer::SubscriberExt, util::SubscriberInitExt};

/// Who logs.
#[derive(Debug, Clone, Default)]
pub struct Service {
    /// The application.
    pub app: String,
    /// The process of the manifest.
    pub process: String,
    /// The modules that run in the process. A line of a module's own crate has the module's name outside of calls too.
    pub modules: Vec<String>,
}

impl Service {
    /// A process of an application, without modules.
    pub fn new(app: impl Into<String>, process: impl Into<String>) -> Self {
        Self { app: app.into(), process: process.into(), modules: Vec::new() }
    }

    /// The same, in which these modules run.
    #[must_use]
    pub fn with_modules(mut self, modules: impl IntoIterator<Item = impl Into<String>>) -> Self {
        self.modules.extend(modules.into_iter().map(Into::into));
        self
    }
}

/// How a line looks.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Shape {
    /// For people.
    Text {
        /// Whether its parts are in colour.
        colours: bool,
    },
    /// For machines: an object of the Elastic Common Schema.
    Ecs,
}

/// Installs the log of a program: lines of this shape on standard error. `RUST_LOG` says what is logged; without it
/// `levels` do.
///
/// Does nothing, and returns `None`, if the program has installed a subscriber before.
pub fn install(shape: Shape, service: Service, levels: LogLevels) -> Option<LogControl> {
    let (filter, control, complaint) = LogControl::starting(levels);
    let layer = LogLayer::new(shape, service).remembered_in(Arc::clone(control.lines()));
    // Each has a filter of its own: what is recorded does not depend on what is logged.
    let log = tracing_subscriber::registry().with(layer.with_filter(filter));
    log.with(Statements::layer()).try_init().ok()?;
    if let Some(complaint) = complaint {
        tracing::warn!("RUST_LOG cannot be read, and is ignored: {complaint}");
    }
    Some(control)
}
