//! One process: put together, run, and stopped.
//!
//! `process!`, `service!` and `host!` are a few lines over [`App`], which an existing program can
//! use as well.

#[cfg(feature = "observe")]
mod admin;
#[cfg(not(feature = "observe"))]
#[path = "no_admin.rs"]
mod admin;
#[cfg(all(feature = "observe", feature = "data"))]
mod attended;
#[cfg(all(feature = "observe", feature = "data"))]
mod attended_events;
#[cfg(feature = "data")]
mod attended_subjects;
mod build;
mod check;
pub mod development;
#[cfg(feature = "data")]
mod events;
#[cfg(feature = "data")]
#[allow(unreachable_pub, reason = "an interface is public")]
mod feeds;
#[cfg(not(feature = "data"))]
#[path = "no_feeds.rs"]
mod feeds;
#[cfg(all(feature = "data", feature = "observe"))]
mod figures;
#[cfg(feature = "http")]
mod http;
#[cfg(not(feature = "http"))]
#[path = "no_http.rs"]
mod http;
#[cfg(feature = "identity")]
mod identity;
#[cfg(not(feature = "identity"))]
#[path = "no_identity.rs"]
mod identity;
mod in_force;
pub mod launcher;
mod linked;
mod listen;
#[cfg(feature = "observe")]
mod log;
#[cfg(not(feature = "observe"))]
#[path = "no_log.rs"]
mod log;
#[cfg(feature = "data")]
mod migrate;
#[cfg(not(feature = "data"))]
#[path = "no_migrate.rs"]
mod migrate;
mod open;
#[cfg(feature = "observe")]
mod operate;
#[cfg(not(feature = "observe"))]
#[path = "no_operate.rs"]
mod operate;
#[cfg(feature = "otlp")]
mod otlp;
#[cfg(not(feature = "otlp"))]
#[path = "no_otlp.rs"]
mod otlp;
mod peers;
mod rights;
mod run;
mod running;
mod sharing;
mod statements;
#[cfg(feature = "trim")]
mod trim;
#[cfg(feature = "data")]
mod work;

pub use build::{App, FAKES, Started};
pub use in_force::ASK;
pub(crate) use linked::ThisProcess;
pub use linked::{Linked, LocalCall, Program};
pub use rights::Right;
pub use run::main;
pub use running::RunningApp;
