//! One process: put together, run, and stopped.
//!
//! `process!`, `service!` and `host!` are a few lines over [`App`], which an existing program can
//! use as well.

mod build;
mod check;
pub mod launcher;
mod linked;
mod peers;
mod run;
mod running;

pub use build::App;
pub(crate) use linked::Place;
pub use linked::{Kind, Linked};
pub use run::main;
pub use running::RunningApp;
