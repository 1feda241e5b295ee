//! Calls made for a while, each timed from when it was due, and what they cost those who answer.
//!
//! The benchmark and `cargo monolift compare` both measure with this: [`drive`] makes the calls of a
//! [`Caller`] as a [`Plan`] says, [`http::Pool`] is a caller's way to a server in HTTP, and
//! [`Spread`] is what several rounds come to. [`Random`] is chance that is the same again from a seed.

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
