//! What an operator changes is logged: one line that says who changed what, and when.
//!
//! These lines have the target `monolift::audit`. They are logged whatever the levels are, unless that target is switched off
//! by its name.

use super::{
    events::{EventsChange, EventsQuestion},
    work::WorkChange,
};

/// The target of the lines, as [`crate::log::LogControl`] knows it.
pub(crate) const TARGET: &str = "monolift::audit";

/// Parked work was changed, or was to be.
pub(crate) fn work(change: WorkChange, module: &str, what: &str, changed: u64, who: &str) {
    let action = change.action();
    tracing::info!(
        target: TARGET,
        of = module,
        "user.id" = who,
        "event.action" = action,
        what,
        changed,
        "an operator: {action} of {module}, {what}: {changed} changed"
    );
}

/// Events of a listener were changed, or were to be.
pub(crate) fn events(change: EventsChange, question: &EventsQuestion, module: &str, changed: u64) {
    let action = change.action();
    // A new build is the module's own, and what has changed is its number.
    let listener = question.listener.as_deref().unwrap_or(module);
    let what = question.id.as_deref().or(question.event.as_deref()).unwrap_or("all");
    tracing::info!(
        target: TARGET,
        of = module,
        listener,
        "user.id" = question.who.as_str(),
        "event.action" = action,
        what,
        changed,
        "an operator: {action} of {module} for {listener}, {what}: {changed} changed"
    );
}

/// Data of a subject was exported or erased. The subject is not named: the log would keep it.
pub(crate) fn subject(action: &str, module: &str, count: u64, who: &str) {
    if count == 0 {
        return;
    }
    tracing::info!(
        target: TARGET,
        of = module,
        "user.id" = who,
        "event.action" = action,
        count,
        "an operator: {action} of {module}: {count} events and pieces of work"
    );
}

/// What is logged was changed.
pub(crate) fn levels(levels: &str, who: &str) {
    tracing::info!(
        target: TARGET,
        levels,
        "user.id" = who,
        "event.action" = "log.level",
        "an operator: the log's levels are now {levels}"
    );
}

/// A method was called by hand. Its arguments are not logged: they can hold secrets.
pub(crate) fn call(method: &str, status: u16, trace: &str, who: &str) {
    tracing::info!(
        target: TARGET,
        what = method,
        "user.id" = who,
        "event.action" = "call",
        answered = status,
        trace,
        "an operator: a call of {method}, answered with {status}"
    );
}
