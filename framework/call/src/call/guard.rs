//! The guard around every call, whichever way it goes: its deadline, its context, its panics.
//!
//! It costs a call that answers at its first poll a look at the context and an addition. The timer is
//! armed only when the first poll was not ready.

use super::{
    CallError, CallErrorKind, Callee, Context, InterfaceError, Trace,
    clock::{self, CallSettings, Moment, Start, clamp},
    counter::{Counter, Ending},
    held::{self, Holdings},
    meter::Caller,
    record::{CallRecord, Outcome, next_span},
    report::panic_text,
};

use std::{
    future::Future,
    panic::{AssertUnwindSafe, catch_unwind},
    pin::Pin,
    sync::Arc,
    task::{Poll, ready},
};
use tokio::time::{Instant, Sleep, sleep_until};
use tracing::Span;

/// Guards `call`, which is one call of `callee`.
///
/// It begins when it is first polled, and ends by the deadline of the call around it; with none
/// around it this is the edge, and the deadline starts there, as `settings` say. Then `call` is
/// dropped: its work stops where it awaits.
#[inline]
pub fn guard<'a, F, T, E>(
    callee: &'static Callee,
    settings: &'a CallSettings,
    side: Side,
    call: F,
) -> Guarded<'a, F>
where
    F: Future<Output = Result<T, E>> + Unpin,
    E: InterfaceError,
{
    Guarded { callee, settings, side, call: Some(call), course: None, holdings: None }
}

/// Which side of a call is guarded.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Side {
    /// Where the module runs.
    Module,
    /// Where the call goes out to another process.
    Caller,
}

/// A call under guard; see [`guard`].
#[derive(Debug)]
#[must_use = "a call does nothing unless it is awaited"]
pub struct Guarded<'a, F> {
    callee: &'static Callee,
    settings: &'a CallSettings,
    side: Side,
    /// `None` once it has ended, or is not to go on.
    call: Option<F>,
    /// `None` until it is first polled.
    course: Option<Begun>,
    /// What it holds of what its module has few of; `None` until it holds something.
    holdings: Option<Arc<Holdings>>,
}

/// A call that has begun.
#[derive(Debug)]
struct Begun {
    /// `None` in a call that is not timed; see [`Counter`].
    began: Option<Moment>,
    counter: &'static Counter,
    /// The call's span and that of the call around it, if it is recorded; else 0.
    span: u64,
    parent: u64,
    deadline: Instant,
    timer: Option<Pin<Box<Sleep>>>,
    rare: Option<Box<Rare>>,
}

/// What few calls need: those at the edge, those with a deadline of their own, and those whose trace
/// is recorded.
#[derive(Debug)]
struct Rare {
    /// The context that it runs in.
    inner: Context,
    complain: Option<Instant>,
    /// To make a span and throw it away costs as much as a hundred calls: no other call has one.
    span: Span,
}

impl Rare {
    #[cold]
    fn of(callee: &Callee, settings: &CallSettings, side: Side) -> Self {
        let now = clock::now();
        let own = callee.deadline;
        let (inner, complain) = match Context::current() {
            Some(context) => {
                let by = own.map_or(context.deadline, |own| now + clamp(own));
                (context.with_deadline(by), None)
            }
            None => {
                let Start { deadline, complain } = settings.starting(now, own);
                (Context::starting(deadline), complain)
            }
        };
        let span = if inner.trace.sampled { span(callee, inner.trace, side) } else { Span::none() };
        Self { inner, complain, span }
    }
}

fn span(callee: &Callee, trace: Trace, side: Side) -> Span {
    let (module, method, trace) = (callee.module, callee.method, tracing::field::display(trace));
    match side {
        Side::Module => tracing::info_span!("call", module, method, trace),
        Side::Caller => tracing::info_span!("remote call", module, method, trace),
    }
}

impl<F, T, E> Future for Guarded<'_, F>
where
    F: Future<Output = Result<T, E>> + Unpin,
    E: InterfaceError,
{
    type Output = Result<T, E>;

    #[inline]
    fn poll(self: Pin<&mut Self>, cx: &mut std::task::Context<'_>) -> Poll<Self::Output> {
        let this = self.get_mut();
        let begins = this.course.is_none();
        if begins && this.begin() {
            return Poll::Ready(Err(this.end_with(overdue())));
        }
        let Some(call) = &mut this.call else {
            return Poll::Ready(Err(this.end_with(overdue())));
        };
        let rare = this.course.as_ref().and_then(|course| course.rare.as_deref());
        // Written where it is, so that an answer is not moved through the unwinding.
        let mut polled = Poll::Pending;
        let once = || polled = Pin::new(call).poll(cx);
        let span = this.course.as_ref().map_or(0, |course| course.span);
        let around = held::enter(this.callee, span, this.holdings.take());
        if begins && let Err(error) = around.begins(this.callee) {
            held::leave(around);
            return Poll::Ready(Err(this.end_with(error)));
        }
        let caught = catch_unwind(AssertUnwindSafe(|| match rare {
            None => once(),
            Some(Rare { inner, span, .. }) => inner.clone().enter(|| span.in_scope(once)),
        }));
        if let Err(panic) = caught {
            let error = CallError::panicked(this.callee.to_string(), panic_text(&*panic));
            around.ended(this.callee, Some(&error));
            this.holdings = held::leave(around);
            this.drop_call();
            return Poll::Ready(Err(this.end_with(error)));
        }
        if let Poll::Ready(answer) = &polled {
            around.ended(this.callee, answer.as_ref().err().and_then(E::call_error));
        }
        this.holdings = held::leave(around);
        if let (Poll::Ready(_), Some(text)) = (&polled, held::broken(this.holdings.as_ref())) {
            return Poll::Ready(Err(this.end_with(held::broken_rule(text))));
        }
        match &polled {
            Poll::Ready(Ok(_)) => {
                this.ended(Outcome::Answered);
                polled
            }
            Poll::Ready(Err(_)) => polled.map_err(|error| this.end(error)),
            Poll::Pending if this.ends_itself() || crate::planted!("work-goes-on") => Poll::Pending,
            Poll::Pending => {
                ready!(this.poll_timer(cx));
                this.drop_call();
                Poll::Ready(Err(this.end_with(overdue())))
            }
        }
    }
}

impl<F> Drop for Guarded<'_, F> {
    /// A call that was not finished is dropped here because its caller goes away.
    #[inline]
    fn drop(&mut self) {
        if self.call.is_some() && self.course.is_some() {
            self.drop_call();
            self.ended(Outcome::Dropped);
        }
    }
}

impl<F> Guarded<'_, F> {
    /// Says whether it is too late.
    #[inline]
    fn begin(&mut self) -> bool {
        let around = Context::look(Around::of);
        let (deadline, rare) = match (&around, self.callee.deadline) {
            (Some(Around { deadline, sampled: false, .. }), None) => (*deadline, None),
            _ => {
                let rare = Box::new(Rare::of(self.callee, self.settings, self.side));
                (rare.inner.deadline, Some(rare))
            }
        };
        let (span, parent) = match around.and_then(|around| around.root) {
            Some(root) => (next_span(), held::current_span().unwrap_or(root)),
            None => (0, 0),
        };
        let caller = match held::current_callee() {
            Some(callee) => Caller::Module(callee.module),
            None if around.is_some_and(|around| around.of_a_peer) => Caller::Process,
            None => Caller::Edge,
        };
        let counter = self.callee.meter.of(caller, self.side);
        let timed = span != 0 || self.side == Side::Caller || counter.times_this();
        let (began, overdue) = if timed {
            let (began, overdue) = clock::begin(deadline);
            (Some(began), overdue)
        } else {
            (None, clock::is_known_past(deadline))
        };
        self.course = Some(Begun { began, counter, span, parent, deadline, timer: None, rare });
        overdue
    }

    /// Whoever carries a call to another process watches its deadline: one timer does for all calls
    /// of a connection.
    fn ends_itself(&self) -> bool {
        let rare = self.course.as_ref().and_then(|course| course.rare.as_ref());
        self.side == Side::Caller && rare.is_none_or(|rare| rare.complain.is_none())
    }

    /// Drops the call before it is finished. What the module then leaves behind may panic, which has
    /// been said by the panic hook and is no business of the caller's.
    fn drop_call(&mut self) {
        let call = self.call.take();
        let _ = catch_unwind(AssertUnwindSafe(|| drop(call)));
    }

    /// Ready when the deadline has passed. On the way there it may complain, once.
    fn poll_timer(&mut self, cx: &mut std::task::Context<'_>) -> Poll<()> {
        let Some(Begun { began, deadline, timer, rare, .. }) = &mut self.course else {
            return Poll::Ready(());
        };
        // A call that waits is timed all the same: from here on.
        began.get_or_insert_with(Moment::now);
        loop {
            let complain = rare.as_ref().and_then(|rare| rare.complain);
            let next = complain.map_or(*deadline, |complain| complain.min(*deadline));
            let timer = timer.get_or_insert_with(|| Box::pin(sleep_until(next)));
            ready!(timer.as_mut().poll(cx));
            if Instant::now() >= *deadline {
                return Poll::Ready(());
            }
            if rare.as_mut().and_then(|rare| rare.complain.take()).is_some() {
                tracing::warn!(
                    call = %self.callee,
                    "this call has run past the default deadline, which is only observed"
                );
            }
            timer.as_mut().reset(*deadline);
        }
    }

    /// The error that the call ends with, where the module gave this one.
    #[cold]
    fn end<E: InterfaceError>(&mut self, error: E) -> E {
        let Some(known) = error.call_error() else {
            self.ended(Outcome::Declared);
            return error;
        };
        // Which of the calls on the way notices first is chance; every caller hears of its own.
        if known.kind() == CallErrorKind::DeadlineExceeded {
            return self.end_with(overdue());
        }
        // The first guard around an error says which call it was.
        if known.call().is_empty() {
            let known = known.clone();
            return self.end_with(known);
        }
        let kind = known.kind();
        self.ended(Outcome::Failed(kind));
        error
    }

    #[cold]
    fn end_with<E: InterfaceError>(&mut self, error: CallError) -> E {
        self.ended(Outcome::Failed(error.kind()));
        tracing::debug!(call = %self.callee, %error, "call failed");
        E::from(error.during(self.callee.to_string()))
    }

    /// Counts and records how the call ended, which it has.
    #[inline]
    fn ended(&mut self, outcome: Outcome) {
        self.call = None;
        let Some(Begun { began, counter, span, .. }) = &self.course else { return };
        let nanos = began.map(Moment::nanos);
        counter.count(Ending::from(outcome), nanos);
        if *span != 0 {
            self.record(outcome, nanos.unwrap_or_default());
        }
    }

    /// A call that is dropped together with its request is part of no context by then, and not recorded.
    fn record(&self, outcome: Outcome, nanos: u64) {
        let Some(Begun { began: Some(began), span, parent, .. }) = &self.course else { return };
        let (began, span, parent) = (*began, *span, *parent);
        let (callee, side) = (self.callee, self.side);
        let record = CallRecord { callee, span, parent, side, began: 0, nanos, outcome };
        Context::look(|context| {
            if let Some(recording) = context.recording() {
                recording.call(began, record);
            }
        });
    }
}

/// What a call needs to know of the context around it.
#[derive(Debug, Clone, Copy)]
struct Around {
    deadline: Instant,
    sampled: bool,
    /// Whether another process made the call.
    of_a_peer: bool,
    /// The span of what the request does itself, if it is recorded.
    root: Option<u64>,
}

impl Around {
    #[inline]
    fn of(context: &Context) -> Self {
        Self {
            deadline: context.deadline,
            sampled: context.trace.sampled,
            of_a_peer: context.origin.peer != 0,
            root: context.recording().map(|recording| recording.root()),
        }
    }
}

pub fn overdue() -> CallError {
    CallError::new(CallErrorKind::DeadlineExceeded, "the deadline passed")
}
