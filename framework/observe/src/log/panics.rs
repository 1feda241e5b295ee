//! A panic as a line. Rust's own message has several lines, and none of them is JSON.

use crate::call::panic_text;
use std::{
    backtrace::{Backtrace, BacktraceStatus},
    panic,
};

/// The target of these lines.
const TARGET: &str = "monolift::panic";

/// Has every panic of this program logged as an error, in place of the message that Rust prints. With
/// `RUST_BACKTRACE=1` the line has a backtrace. Where the log does not take it, Rust's message is printed.
pub fn log_panics() {
    let usual = panic::take_hook();
    panic::set_hook(Box::new(move |panic| {
        if !tracing::enabled!(target: TARGET, tracing::Level::ERROR) {
            return usual(panic);
        }
        let backtrace = Backtrace::capture();
        let backtrace = (backtrace.status() == BacktraceStatus::Captured).then_some(backtrace);
        let text = panic_text(panic.payload());
        let thread = std::thread::current();
        tracing::error!(
            target: TARGET,
            error = text,
            "error.type" = "panic",
            "error.stack_trace" = backtrace.map(tracing::field::display),
            "log.origin.file.name" = panic.location().map(|at| at.file()),
            "log.origin.file.line" = panic.location().map(|at| at.line()),
            thread = thread.name(),
            "a panic: {text}"
        );
    }));
}
