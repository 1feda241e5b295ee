//! Every whole-system test. Most of them run in each mode that a call can take.

#![allow(unreachable_pub, reason = "interfaces are public, also where a test declares one")]

mod bounds;
mod cancellation;
mod concurrency;
mod deadlines;
mod errors;
mod lifecycle;
mod macros;
mod panics;
mod shapes;
mod support;
mod ui;
mod versions;
mod wire;
