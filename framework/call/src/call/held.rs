//! What a call holds of things that a module has few of, such as the connections of its pool.
//!
//! A call that holds one while it waits for another, or for another module, can lock its module out:
//! as many callers as there are connections each hold one, and each waits for one more. So a call's
//! holdings are known while it is polled, and both are found when they happen, not when they lock.
//!
//! This file does not know what is held: that is said by who registers it ([`Scarce`]).

use super::{
    CallError, CallErrorKind, Callee, RetryAdvice,
    polled::{Polled, current_holdings, current_span, swap},
};
use std::{
    collections::BTreeSet,
    fmt,
    sync::{
        Arc, Mutex, MutexGuard, OnceLock, PoisonError,
        atomic::{AtomicBool, Ordering::Relaxed},
    },
};
use tracing::{Dispatch, Span, span::Id};

/// Each warning is given once. After this many different ones, no more are given.
const MOST_WARNINGS: usize = 1_000;

/// What one call holds.
#[derive(Debug)]
pub struct Holdings {
    by: Holder,
    /// What it holds now, the latest last.
    held: Mutex<Vec<&'static Scarce>>,
    /// Whether the call fails that breaks the rule.
    strict: AtomicBool,
    broken: Mutex<Option<String>>,
    /// How its calls to other modules went; only for durable work, which is held back by that.
    calls: Option<Mutex<Calls>>,
    /// What a recorded call is polled in while it has held something; see [`STATEMENTS`].
    span: OnceLock<Span>,
}

/// The target of the span in which a recorded call is polled that holds something. A database's driver logs statements on
/// threads of its own, and takes the span there: so a subscriber knows whose statement it is told of.
pub const STATEMENTS: &str = "monolift::statements";

/// The call that holds something.
#[derive(Debug, Clone)]
enum Holder {
    Call(&'static Callee),
    Work(Arc<Duty>),
}

/// What a module does and no client calls.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Duty {
    /// The module.
    pub module: String,
    /// The kind of durable work; `None` for the start of the module.
    pub kind: Option<String>,
}

impl fmt::Display for Duty {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match &self.kind {
            Some(kind) => write!(f, "the work `{kind}` of `{}`", self.module),
            None => write!(f, "the start of `{}`", self.module),
        }
    }
}

impl fmt::Display for Holder {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::Call(callee) => callee.fmt(f),
            Self::Work(duty) => duty.fmt(f),
        }
    }
}

#[derive(Debug, Default)]
struct Calls {
    /// The module whose answer is waited for.
    pending: Option<&'static str>,
    failed: Option<&'static str>,
}

/// Something that a module has few of.
#[derive(Debug)]
pub struct Scarce {
    /// What is held, such as `an open transaction`.
    pub held: &'static str,
    /// What is asked for, such as `another database connection`.
    pub another: &'static str,
    /// What to do instead of asking for another one.
    pub instead: &'static str,
    /// What to do before a call.
    pub before_a_call: &'static str,
}

/// Held by the call that was polled when it was made, until it is dropped.
#[derive(Debug)]
pub struct Hold(Option<(Arc<Holdings>, &'static Scarce)>);

impl Drop for Hold {
    fn drop(&mut self) {
        if let Some((holdings, scarce)) = &self.0 {
            holdings.release(scarce);
        }
    }
}

impl Hold {
    /// Takes it off the call that holds it, for as long as another call has what is held.
    pub(super) fn lend(&self) -> Lending {
        if let Some((holdings, scarce)) = &self.0 {
            holdings.release(scarce);
        }
        Lending(self.0.clone())
    }
}

/// Takes the only thing off the call that is polled now, for as long as another call has it: what is lent is that, though
/// it does not say so. A call that holds several things keeps them.
pub(super) fn lend_the_one() -> Lending {
    let polled = swap(Polled::default());
    let lent = polled.holdings.as_ref().and_then(|holdings| {
        let mut held = holdings.held();
        let the_one = if held.len() == 1 { held.pop() } else { None };
        Some((Arc::clone(holdings), the_one?))
    });
    swap(polled);
    Lending(lent)
}

/// What another call has, until this is dropped.
#[derive(Debug)]
pub(super) struct Lending(Option<(Arc<Holdings>, &'static Scarce)>);

impl Lending {
    /// Whether the call that lends it fails if it breaks the rule.
    pub(super) fn is_strict(&self) -> bool {
        self.0.as_ref().is_some_and(|(holdings, _)| holdings.strict.load(Relaxed))
    }
}

impl Drop for Lending {
    fn drop(&mut self) {
        if let Some((holdings, scarce)) = &self.0 {
            holdings.held().push(scarce);
        }
    }
}

/// Has the call that is polled now hold something. With `strict` it fails if it breaks the rule.
pub fn hold(scarce: &'static Scarce, strict: bool) -> Hold {
    let mut polled = swap(Polled::default());
    if let (None, Some(callee)) = (&polled.holdings, polled.callee) {
        polled.holdings = Some(Arc::new(Holdings::of_call(callee)));
    }
    let hold = polled.holdings.clone();
    swap(polled);
    Hold(hold.map(|holdings| {
        holdings.held().push(scarce);
        holdings.strict.fetch_or(strict, Relaxed);
        if current_span().is_some() {
            holdings.begin_span();
        }
        (holdings, scarce)
    }))
}

/// The call that is polled now fails if it breaks the rule.
pub fn insist() {
    let polled = swap(Polled::default());
    if let Some(holdings) = &polled.holdings {
        holdings.strict.store(true, Relaxed);
    }
    swap(polled);
}

/// The call that is polled now asks for another of what it may hold. An error is what the caller is
/// told, where the rule is strict.
#[inline]
pub fn ask() -> Result<(), String> {
    // The call stays the current one, for the line of the log.
    current_holdings().map_or(Ok(()), |holdings| holdings.ask())
}

/// Enters or leaves the span of what is held, if it has one.
#[inline]
pub(super) fn step(holdings: Option<&Arc<Holdings>>, step: fn(&Dispatch, &Id)) {
    if let Some(span) = holdings.and_then(|holdings| holdings.span.get()) {
        span.with_subscriber(|(id, subscriber)| step(subscriber, id));
    }
}

impl Holdings {
    fn of_call(callee: &'static Callee) -> Self {
        Self::of(Holder::Call(callee))
    }

    /// Where its calls go is noted.
    pub(super) fn of_duty(duty: Duty) -> Self {
        let calls = Some(Mutex::default());
        Self { calls, ..Self::of(Holder::Work(Arc::new(duty))) }
    }

    /// Those of a task that the same work spawns.
    pub(super) fn branch(&self) -> Self {
        Self::of(self.by.clone())
    }

    /// The work that holds it.
    pub(super) fn duty(&self) -> Option<&Arc<Duty>> {
        match &self.by {
            Holder::Work(duty) => Some(duty),
            Holder::Call(_) => None,
        }
    }

    /// The module whose call failed last, or had not ended.
    pub(super) fn failed_call(&self) -> Option<&'static str> {
        let calls = self.calls.as_ref()?.lock().unwrap_or_else(PoisonError::into_inner);
        calls.pending.or(calls.failed)
    }

    fn of(by: Holder) -> Self {
        Self {
            by,
            held: Mutex::default(),
            strict: AtomicBool::new(false),
            broken: Mutex::default(),
            calls: None,
            span: OnceLock::new(),
        }
    }

    /// From here on the call is polled in a span, if a subscriber wants it. The end of the poll leaves it.
    fn begin_span(self: &Arc<Self>) {
        if self.span.get().is_some() {
            return;
        }
        let span = tracing::debug_span!(target: STATEMENTS, parent: None, "call");
        if !span.is_disabled() && self.span.set(span).is_ok() {
            step(Some(self), Dispatch::enter);
        }
    }

    fn held(&self) -> MutexGuard<'_, Vec<&'static Scarce>> {
        self.held.lock().unwrap_or_else(PoisonError::into_inner)
    }

    /// It no longer holds the latest of this kind.
    fn release(&self, scarce: &'static Scarce) {
        let mut held = self.held();
        if let Some(at) = held.iter().rposition(|held| std::ptr::eq(*held, scarce)) {
            held.remove(at);
        }
    }

    /// The latest of what it holds now.
    fn latest(&self) -> Option<&'static Scarce> {
        self.held().last().copied()
    }

    pub(super) fn broken(&self) -> Option<String> {
        self.broken.lock().unwrap_or_else(PoisonError::into_inner).clone()
    }

    fn ask(&self) -> Result<(), String> {
        let Some(Scarce { held, another, instead, .. }) = self.latest() else { return Ok(()) };
        self.break_rule("another", || {
            format!(
                "{} asks for {another} while it holds {held}: as many callers at once as there are \
                 connections would wait for each other; {instead}",
                self.by
            )
        })
    }

    pub(super) fn begin(&self, callee: &Callee) -> Result<(), CallError> {
        if let Some(calls) = &self.calls {
            let mut calls = calls.lock().unwrap_or_else(PoisonError::into_inner);
            // One that ended by its deadline has not been told of.
            calls.failed = calls.pending.replace(callee.module).or(calls.failed);
        }
        let Some(Scarce { held, before_a_call, .. }) = self.latest() else { return Ok(()) };
        let told = self.break_rule("call", || {
            format!(
                "{} calls {callee} while it holds {held}: callers would wait for its connection as \
                 long as that call takes, and can lock each other out; {before_a_call}",
                self.by
            )
        });
        told.map_err(broken_rule)
    }

    pub(super) fn end(&self, callee: &Callee, error: Option<&CallError>) {
        let Some(calls) = &self.calls else { return };
        let mut calls = calls.lock().unwrap_or_else(PoisonError::into_inner);
        calls.pending = None;
        if error.is_some_and(says_something_of_the_module) {
            calls.failed = Some(callee.module);
        }
    }

    #[cold]
    fn break_rule(&self, kind: &'static str, text: impl Fn() -> String) -> Result<(), String> {
        if self.strict.load(Relaxed) {
            let text = text();
            tracing::error!("{text}");
            let mut broken = self.broken.lock().unwrap_or_else(PoisonError::into_inner);
            broken.get_or_insert_with(|| text.clone());
            return Err(text);
        }
        if is_new(self.by.to_string(), kind) {
            let text = text();
            tracing::warn!("{text} (this is said once)");
        }
        Ok(())
    }
}

/// The error of a call that has broken the rule.
pub(super) fn broken_rule(text: String) -> CallError {
    CallError::new(CallErrorKind::Internal, text).with_retry_advice(RetryAdvice::Never)
}

/// Whether a module cannot be called, rather than that this call could not be made.
fn says_something_of_the_module(error: &CallError) -> bool {
    let own = matches!(
        error.kind(),
        CallErrorKind::BadArguments | CallErrorKind::BadAnswer | CallErrorKind::TooLarge
    );
    !own && error.retry_advice() != Some(RetryAdvice::Never)
}

/// Whether this has not been warned of.
fn is_new(by: String, kind: &'static str) -> bool {
    static WARNED: Mutex<BTreeSet<(String, &'static str)>> = Mutex::new(BTreeSet::new());
    let mut warned = WARNED.lock().unwrap_or_else(PoisonError::into_inner);
    warned.len() < MOST_WARNINGS && warned.insert((by, kind))
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::call::{Meter, captured};

    static SEAT: Scarce = Scarce {
        held: "a seat",
        another: "another seat",
        instead: "stand up",
        before_a_call: "stand up before",
    };

    static TABLE: Scarce = Scarce {
        held: "a table",
        another: "another table",
        instead: "stand up",
        before_a_call: "stand up before",
    };

    static BAR: Callee = Callee {
        module: "bar",
        interface: "Bar",
        method: "serve",
        deadline: None,
        rule: None,
        meter: Meter::new(),
    };

    /// What is logged while a guest's work of this kind does `work`.
    fn logged(kind: &str, work: impl FnOnce()) -> String {
        let call = || {
            let mut polled = Polled::work("guest", kind);
            polled.enter();
            work();
            polled.leave();
        };
        captured::logged(call).0
    }

    fn calls_the_bar() -> Result<(), CallError> {
        let polled = swap(Polled::default());
        let begun = polled.begins(&BAR);
        polled.ended(&BAR, None);
        swap(polled);
        begun
    }

    #[test]
    fn each_method_is_warned_of_once_for_each_kind() {
        let work = || {
            assert_eq!(ask(), Ok(()));
            let hold = hold(&SEAT, false);
            for _ in 0..3 {
                assert_eq!(ask(), Ok(()));
                assert_eq!(calls_the_bar(), Ok(()));
            }
            drop(hold);
            assert_eq!(ask(), Ok(()));
        };
        let said = logged("dine", work);
        assert_eq!(
            said.matches("the work `dine` of `guest` asks for another seat").count(),
            1,
            "{said}"
        );
        assert_eq!(said.matches("the work `dine` of `guest` calls bar.serve").count(), 1, "{said}");
        assert_eq!(said.lines().count(), 2, "{said}");
        assert_eq!(logged("dine", work), "");
        assert_eq!(logged("lunch", work).lines().count(), 2);
    }

    #[test]
    fn where_the_rule_is_strict_the_call_is_told_each_time() {
        logged("strict", || {
            let first = hold(&SEAT, true);
            let second = hold(&SEAT, true);
            drop(first);
            let told = ask().unwrap_err();
            assert!(told.contains("the work `strict` of `guest` asks for another seat"), "{told}");
            let told = calls_the_bar().unwrap_err();
            assert!(told.message().contains("stand up before"), "{told}");
            drop(second);
            assert_eq!(ask(), Ok(()));
            assert_eq!(calls_the_bar(), Ok(()));
        });
        // Outside of a call the rule does not apply.
        let _hold = hold(&SEAT, true);
        assert_eq!(ask(), Ok(()));
    }

    #[test]
    fn what_is_told_is_what_is_held_then() {
        logged("moves", || {
            let told = || ask().unwrap_err();
            let seat = hold(&SEAT, true);
            let table = hold(&TABLE, true);
            assert!(told().contains("while it holds a table"), "{}", told());
            drop(table);
            assert!(told().contains("while it holds a seat"), "{}", told());
            let table = hold(&TABLE, true);
            drop(seat);
            assert!(told().contains("while it holds a table"), "{}", told());
            drop(table);
            assert_eq!(ask(), Ok(()));
        });
    }

    #[test]
    fn what_is_lent_is_not_held_until_it_is_back() {
        logged("guest.lends", || {
            let seat = hold(&SEAT, true);
            let lending = seat.lend();
            assert!(lending.is_strict());
            assert_eq!(calls_the_bar(), Ok(()));
            // What else is held still counts.
            let table = hold(&TABLE, true);
            let told = calls_the_bar().unwrap_err();
            assert!(told.message().contains("while it holds a table"), "{told}");
            drop(table);
            drop(lending);
            let told = calls_the_bar().unwrap_err();
            assert!(told.message().contains("while it holds a seat"), "{told}");
            // Without a word about what it is, it is the one that is held.
            let lending = lend_the_one();
            assert_eq!(calls_the_bar(), Ok(()));
            drop(lending);
            let table = hold(&TABLE, true);
            let lending = lend_the_one();
            assert!(calls_the_bar().is_err());
            drop((lending, table, seat));
            assert!(!lend_the_one().is_strict());
            assert_eq!(calls_the_bar(), Ok(()));
        });
    }
}
