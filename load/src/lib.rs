//! A load generator that times calls and measures the cost of the processes that answer them.
//!
//! The benchmark and `cargo monolift compare` use it. [`drive`] makes the calls of a [`Caller`] as
//! a [`Plan`] says. [`http::Pool`] is an HTTP client for callers. [`Spread`] summarises several
//! rounds. [`Random`] gives random numbers that a seed repeats.

mod drive;
pub mod http;
mod machine;
pub mod processes;
mod progress;
mod random;
mod spread;
mod times;

pub use drive::{Caller, Load, Outcome, Plan, drive};
pub use machine::machine;
pub use progress::Progress;
pub use random::Random;
pub use spread::Spread;
pub use times::Times;
