//! The call that a thread is polling, and what that call holds.
//!
//! It costs two swaps of a thread's cell for each poll. That cell needs no destructor, so an access to it is an instruction or
//! two. What a call holds ([`Holdings`]) is allocated when it holds something for the first time, and is in a cell of its own.

use super::{
    CallError, Callee,
    held::{Duty, Holdings, step},
};
use std::{
    cell::Cell,
    future::{Future, poll_fn},
    pin::pin,
    sync::Arc,
};
use tracing::Dispatch;

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
    pub(super) callee: Option<&'static Callee>,
    span: u64,
    pub(super) holdings: Option<Arc<Holdings>>,
}

/// Exchanges the call that this thread polls for another one. The result is the one before.
pub(super) fn swap(mut polled: Polled) -> Polled {
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
    current_holdings()?.duty().cloned()
}

pub(super) fn current_holdings() -> Option<Arc<Holdings>> {
    if !CURRENT.with(|current| current.holds.get()) {
        return None;
    }
    let holdings = swap_holdings(None);
    swap_holdings(holdings.clone());
    holdings
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
        Self { callee: None, span: 0, holdings: Some(Arc::new(Holdings::of_duty(duty))) }
    }

    /// For a task that the call spawns, which holds things of its own.
    pub(super) fn branch() -> Self {
        let polled = swap(Self::default());
        let duty = polled.holdings.as_ref().filter(|_| polled.callee.is_none());
        let holdings = duty.map(|holdings| Arc::new(holdings.branch()));
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
        self.holdings.as_ref()?.failed_call()
    }
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
    use crate::call::{
        Meter,
        held::{Scarce, hold},
    };

    static SEAT: Scarce = Scarce {
        held: "a seat",
        another: "another seat",
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
