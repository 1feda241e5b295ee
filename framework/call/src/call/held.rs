//! What a call holds of things that a module has few of, such as the connections of its pool.
//!
//! A call that holds one while it waits for another, or for another module, can lock its module out:
//! as many callers as there are connections each hold one, and each waits for one more. So a call's
//! holdings are known while it is polled, and both are found when they happen, not when they lock.
//!
//! This file does not know what is held: that is said by who registers it ([`Scarce`]).
//!
//! A call that holds nothing costs two swaps of a thread's cell for each poll. That cell needs no
//! destructor, so an access to it is an instruction or two. What a call holds is allocated when it holds
//! something for the first time, and is in a cell of its own.

use super::{CallError, CallErrorKind, Callee, RetryAdvice};
use std::{
    cell::Cell,
    collections::BTreeSet,
    fmt,
    future::{Future, poll_fn},
    pin::pin,
    sync::{
        Arc, Mutex, MutexGuard, OnceLock, PoisonError,
        atomic::{AtomicBool, Ordering::Relaxed},
    },
};
use tracing::{Dispatch, Span, span::Id};

/// Each warning is given once. After this many different ones, no more are given.
const MOST_WARNINGS: usize = 1_000;

thread_local! {
    /// The call that this thread is polling.
    static CURRENT: Current = const {
        Current { callee: Cell::new(None), span: Cell::new(0), holds: Cell::new(false) }
    };
    /// What that call holds.
    static HOLDINGS: Cell<Option<Arc<Holdings>>> = const { Cell::new(None) };
}

/// The part of [`Polled`] that needs no destructor. Each field is a cell, since what is written as two words and
/// read as one waits for the writing.
struct Current {
    callee: Cell<Option<&'static Callee>>,
    /// Its span, if it is recorded; else 0.
    span: Cell<u64>,
    /// Whether there is something in `HOLDINGS`.
    holds: Cell<bool>,
}

/// The call that a thread is polling. Without either there is none.
#[derive(Debug, Default)]
pub struct Polled {
    callee: Option<&'static Callee>,
    span: u64,
    holdings: Option<Arc<Holdings>>,
}

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

/// Exchanges the call that this thread polls for another one. The result is the one before.
fn swap(mut polled: Polled) -> Polled {
    polled.exchange();
    polled
}

fn swap_holdings(holdings: Option<Arc<Holdings>>) -> Option<Arc<Holdings>> {
    // A thread that ends has none.
    HOLDINGS.try_with(|cell| cell.replace(holdings)).unwrap_or_default()
}

/// Whether a call is polled now.
pub(super) fn is_in_a_call() -> bool {
    current_callee().is_some()
}

/// The method whose call is polled now, if there is one.
#[inline]
pub fn current_callee() -> Option<&'static Callee> {
    CURRENT.with(|current| current.callee.get())
}

/// The span of the call that is polled now, if it is recorded.
#[inline]
pub fn current_span() -> Option<u64> {
    Some(CURRENT.with(|current| current.span.get())).filter(|&span| span != 0)
}

/// The work or the start of a module that is polled now, if there is one and no call.
pub fn current_duty() -> Option<Arc<Duty>> {
    if is_in_a_call() {
        return None;
    }
    match &current_holdings()?.by {
        Holder::Work(duty) => Some(Arc::clone(duty)),
        Holder::Call(_) => None,
    }
}

fn current_holdings() -> Option<Arc<Holdings>> {
    if !CURRENT.with(|current| current.holds.get()) {
        return None;
    }
    let holdings = swap_holdings(None);
    swap_holdings(holdings.clone());
    holdings
}

/// Has the call that is polled now hold something. With `strict` it fails if it breaks the rule.
pub fn hold(scarce: &'static Scarce, strict: bool) -> Hold {
    let mut polled = swap(Polled::default());
    if let (None, Some(callee)) = (&polled.holdings, polled.callee) {
        polled.holdings = Some(Arc::new(Holdings::of(Holder::Call(callee))));
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
fn step(holdings: Option<&Arc<Holdings>>, step: fn(&Dispatch, &Id)) {
    if let Some(span) = holdings.and_then(|holdings| holdings.span.get()) {
        span.with_subscriber(|(id, subscriber)| step(subscriber, id));
    }
}

impl Polled {
    /// A call of `callee` that is not recorded.
    #[inline]
    pub(super) fn call_of(callee: &'static Callee) -> Self {
        Self { callee: Some(callee), span: 0, holdings: None }
    }

    /// It is recorded, with this span.
    #[inline]
    pub fn record_as(&mut self, span: u64) {
        self.span = span;
    }

    /// This thread polls the call from here on. Until [`Self::leave`] this is the call around it.
    #[inline]
    pub(super) fn enter(&mut self) {
        step(self.holdings.as_ref(), Dispatch::enter);
        self.exchange();
    }

    /// The poll is over. From here on this is the call itself, with what it holds.
    #[inline]
    pub(super) fn leave(&mut self) {
        self.exchange();
        step(self.holdings.as_ref(), Dispatch::exit);
    }

    #[inline]
    fn exchange(&mut self) {
        let holds = self.holdings.is_some();
        let held = CURRENT.with(|current| {
            self.callee = current.callee.replace(self.callee);
            self.span = current.span.replace(self.span);
            current.holds.replace(holds)
        });
        if held || holds {
            self.holdings = swap_holdings(self.holdings.take());
        }
    }

    /// It calls `callee`, of another module.
    #[inline]
    pub(super) fn begins(&self, callee: &Callee) -> Result<(), CallError> {
        self.holdings.as_ref().map_or(Ok(()), |holdings| holdings.begin(callee))
    }

    /// That call is over.
    #[inline]
    pub(super) fn ended(&self, callee: &Callee, error: Option<&CallError>) {
        if let Some(holdings) = &self.holdings {
            holdings.end(callee, error);
        }
    }

    /// A call for durable work, which no client makes. Where its calls go is noted.
    pub fn work(module: &str, kind: &str) -> Self {
        Self::duty(Duty { module: module.to_owned(), kind: Some(kind.to_owned()) })
    }

    /// The start of a module.
    pub fn start_of(module: &str) -> Self {
        Self::duty(Duty { module: module.to_owned(), kind: None })
    }

    fn duty(duty: Duty) -> Self {
        let calls = Some(Mutex::default());
        let holdings = Holdings { calls, ..Holdings::of(Holder::Work(Arc::new(duty))) };
        Self { callee: None, span: 0, holdings: Some(Arc::new(holdings)) }
    }

    /// For a task that the call spawns, which holds things of its own.
    pub(super) fn branch() -> Self {
        let polled = swap(Self::default());
        let work = polled.holdings.as_ref().filter(|_| polled.callee.is_none());
        let holdings = work.map(|holdings| Arc::new(Holdings::of(holdings.by.clone())));
        let branch = Self { callee: polled.callee, span: polled.span, holdings };
        swap(polled);
        branch
    }

    /// Does `work` as this call.
    pub async fn follow<F: Future>(&mut self, work: F) -> F::Output {
        let mut work = pin!(work);
        poll_fn(|cx| {
            let _within = Within::enter(self);
            work.as_mut().poll(cx)
        })
        .await
    }

    /// The rule that it has broken, where that is an error.
    #[inline]
    pub fn broken(&self) -> Option<String> {
        self.holdings.as_ref().and_then(|holdings| holdings.broken())
    }

    /// The module whose call failed last, or had not ended.
    pub fn failed_call(&self) -> Option<&'static str> {
        let calls = self.holdings.as_ref()?.calls.as_ref()?;
        let calls = calls.lock().unwrap_or_else(PoisonError::into_inner);
        calls.pending.or(calls.failed)
    }
}

impl Holdings {
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

    fn broken(&self) -> Option<String> {
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

    fn begin(&self, callee: &Callee) -> Result<(), CallError> {
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

    fn end(&self, callee: &Callee, error: Option<&CallError>) {
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

/// One poll, which may panic.
struct Within<'a>(&'a mut Polled);

impl<'a> Within<'a> {
    fn enter(polled: &'a mut Polled) -> Self {
        polled.enter();
        Self(polled)
    }
}

impl Drop for Within<'_> {
    fn drop(&mut self) {
        self.0.leave();
    }
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

    #[tokio::test]
    async fn a_poll_that_panics_leaves_nothing_behind() {
        use futures_util::FutureExt;
        fn make() {
            panic!("a scene");
        }
        let mut polled = Polled::work("guest", "panic");
        let work = polled.follow(async {
            let _hold = hold(&SEAT, true);
            make();
        });
        assert!(std::panic::AssertUnwindSafe(work).catch_unwind().await.is_err());
        assert!(swap(Polled::default()).holdings.is_none());
    }

    #[test]
    fn what_is_polled_is_known() {
        assert!(current_callee().is_none() && current_duty().is_none());
        let mut work = Polled::work("guest", "dine");
        work.enter();
        let duty = current_duty().unwrap();
        assert_eq!((duty.module.as_str(), duty.kind.as_deref()), ("guest", Some("dine")));
        // To look changes nothing, and a call within it is what is polled then.
        assert!(current_duty().is_some());
        let mut call = Polled::call_of(&BAR);
        call.enter();
        assert!(current_duty().is_none());
        assert_eq!(current_callee().unwrap().to_string(), "bar.serve");
        call.leave();
        assert!(current_duty().is_some());
        work.leave();
        assert!(current_callee().is_none() && current_duty().is_none());
    }
}
