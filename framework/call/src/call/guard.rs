//! The guard around every call, whichever way it goes: its deadline, its context, its panics.
//!
//! It costs a call that answers at its first poll a look at the context and an addition. The timer is
//! armed only when the first poll was not ready.

use super::{
    CallError, CallErrorKind, Callee, Context, InterfaceError, Trace, access,
    clock::{self, CallSettings, Moment, Start, clamp},
    counter::{Cells, Ending},
    held,
    meter::Caller,
    polled::{self, Polled},
    record::{self, CallRecord, Outcome, next_span},
    report::panic_text,
    rule::Rule,
};

use std::{
    future::Future,
    panic::{AssertUnwindSafe, catch_unwind},
    pin::Pin,
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
    Guarded { call: Some(call), course: Course::of(callee, settings, side) }
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
    /// `None` once it has ended, or is not to go on.
    call: Option<F>,
    course: Course<'a>,
}

/// All of a guarded call but the call itself.
#[derive(Debug)]
struct Course<'a> {
    callee: &'static Callee,
    settings: &'a CallSettings,
    side: Side,
    /// `None` until it is first polled.
    deadline: Option<Instant>,
    /// `None` in a call that is not timed; see [`Cells`].
    began: Option<Moment>,
    counted: Option<&'static Cells>,
    /// The call's span and that of the call around it, if it is recorded; else 0.
    span: u64,
    parent: u64,
    timer: Option<Pin<Box<Sleep>>>,
    rare: Option<Box<Rare>>,
    /// The call, and what it holds; while it is polled, the call around it.
    polled: Polled,
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
                let context = Context::starting(deadline).acting(&settings.acting);
                (context.beginning(settings.sampling.start()), complain)
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
        let Some(call) = &mut this.call else {
            return Poll::Ready(Err(this.end_with(overdue())));
        };
        if let Err(error) = this.course.enter() {
            return Poll::Ready(Err(this.end_with(*error)));
        }
        let once = || Pin::new(call).poll(cx);
        let caught = catch_unwind(AssertUnwindSafe(|| match this.course.rare.as_deref() {
            None => once(),
            Some(Rare { inner, span, .. }) => inner.clone().enter(|| span.in_scope(once)),
        }));
        let polled = match caught {
            Ok(polled) => polled,
            Err(panic) => {
                let error =
                    CallError::panicked(this.course.callee.to_string(), panic_text(&*panic));
                this.course.polled.ended(this.course.callee, Some(&error));
                this.course.polled.leave();
                this.drop_call();
                return Poll::Ready(Err(this.end_with(error)));
            }
        };
        if let Poll::Ready(answer) = &polled {
            let error = answer.as_ref().err().and_then(E::call_error);
            this.course.polled.ended(this.course.callee, error);
        }
        this.course.polled.leave();
        if let (Poll::Ready(_), Some(text)) = (&polled, this.course.polled.broken()) {
            return Poll::Ready(Err(this.end_with(held::broken_rule(text))));
        }
        match &polled {
            Poll::Ready(Ok(_)) => {
                this.ended(Outcome::Answered);
                polled
            }
            Poll::Ready(Err(_)) => polled.map_err(|error| this.end(error)),
            Poll::Pending if this.course.ends_itself() || crate::planted!("work-goes-on") => {
                Poll::Pending
            }
            Poll::Pending => {
                ready!(this.course.poll_timer(cx));
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
        if self.call.is_some() && self.course.deadline.is_some() {
            self.drop_call();
            self.ended(Outcome::Dropped);
        }
    }
}

impl<F> Guarded<'_, F> {
    /// Drops the call before it is finished. What the module then leaves behind may panic, which has
    /// been said by the panic hook and is no business of the caller's.
    #[cold]
    fn drop_call(&mut self) {
        let call = self.call.take();
        let _ = catch_unwind(AssertUnwindSafe(|| drop(call)));
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
        tracing::debug!(call = %self.course.callee, %error, "call failed");
        E::from(error.during(self.course.callee.to_string()))
    }

    /// The call has ended.
    #[inline]
    fn ended(&mut self, outcome: Outcome) {
        self.call = None;
        self.course.ended(outcome);
    }
}

impl<'a> Course<'a> {
    #[inline]
    fn of(callee: &'static Callee, settings: &'a CallSettings, side: Side) -> Self {
        Self {
            callee,
            settings,
            side,
            deadline: None,
            began: None,
            counted: None,
            span: 0,
            parent: 0,
            timer: None,
            rare: None,
            polled: Polled::call_of(callee),
        }
    }

    /// Begins a poll, and with the first one the call.
    #[inline]
    fn enter(&mut self) -> Result<(), Box<CallError>> {
        let begins = self.deadline.is_none();
        if begins {
            self.begin()?;
        }
        self.polled.enter();
        if begins && let Err(error) = self.polled.begins(self.callee) {
            self.polled.leave();
            return Err(Box::new(error));
        }
        Ok(())
    }

    /// An error if it is too late, or the method's rule does not let the call through.
    #[inline]
    fn begin(&mut self) -> Result<(), Box<CallError>> {
        let rule = self.callee.rule.filter(|_| self.side == Side::Module);
        let around = Context::look(|context| Around::of(context, rule));
        let deadline = match (&around, self.callee.deadline) {
            (Some(Around { deadline, sampled: false, .. }), None) => *deadline,
            _ => {
                let rare = Box::new(Rare::of(self.callee, self.settings, self.side));
                self.rare.insert(rare).inner.deadline
            }
        };
        self.deadline = Some(deadline);
        if let Some(root) = around.and_then(|around| around.root) {
            self.span = next_span();
            self.parent = polled::current_span().unwrap_or(root);
            self.polled.record_as(self.span);
        }
        let caller = Caller::now(around.is_some_and(|around| around.of_a_peer));
        self.counted = self.callee.meter.cells(caller, self.side);
        let timed = self.side == Side::Caller || self.counted.is_some_and(Cells::times_this);
        let late = if timed {
            let (began, late) = clock::begin(deadline);
            self.began = Some(began);
            late
        } else {
            clock::is_known_past(deadline)
        };
        if late {
            return Err(Box::new(overdue()));
        }
        match (rule, around) {
            (None, _) | (_, Some(Around { admits: true, .. })) => Ok(()),
            _ => self.admit(),
        }
    }

    /// Asks the method's rule, in the context that the call runs in.
    #[cold]
    fn admit(&self) -> Result<(), Box<CallError>> {
        let ask = |context: Option<&Context>| access::admit(self.callee, self.settings, context);
        let admitted = match &self.rare {
            Some(rare) => ask(Some(&rare.inner)),
            None => Context::look(|context| ask(Some(context))).unwrap_or_else(|| ask(None)),
        };
        admitted.map_err(Box::new)
    }

    /// Whoever carries a call to another process watches its deadline: one timer does for all calls
    /// of a connection.
    fn ends_itself(&self) -> bool {
        self.side == Side::Caller && self.rare.as_ref().is_none_or(|rare| rare.complain.is_none())
    }

    /// Ready when the deadline has passed. On the way there it may complain, once.
    fn poll_timer(&mut self, cx: &mut std::task::Context<'_>) -> Poll<()> {
        let Some(deadline) = self.deadline else { return Poll::Ready(()) };
        // A call that waits is timed all the same: from here on.
        self.began.get_or_insert_with(Moment::now);
        loop {
            let complain = self.rare.as_ref().and_then(|rare| rare.complain);
            let next = complain.map_or(deadline, |complain| complain.min(deadline));
            let timer = self.timer.get_or_insert_with(|| Box::pin(sleep_until(next)));
            ready!(timer.as_mut().poll(cx));
            if Instant::now() >= deadline {
                return Poll::Ready(());
            }
            if self.rare.as_mut().and_then(|rare| rare.complain.take()).is_some() {
                tracing::warn!(
                    call = %self.callee,
                    "this call has run past the default deadline, which is only observed"
                );
            }
            timer.as_mut().reset(deadline);
        }
    }

    /// Counts and records how the call ended.
    #[inline]
    fn ended(&mut self, outcome: Outcome) {
        if self.deadline.is_none() {
            return;
        }
        let nanos = self.began.map(Moment::nanos);
        if let Some(cells) = self.counted {
            cells.count(Ending::from(outcome), nanos);
        }
        let Self { callee, span, parent, side, began, .. } = *self;
        if span != 0 {
            record::call(
                began,
                CallRecord { callee, span, parent, side, began: 0, nanos, outcome },
            );
        }
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
    /// Whether the method's rule lets it through. One that does not may still be only observed.
    admits: bool,
}

impl Around {
    #[inline]
    fn of(context: &Context, rule: Option<&'static Rule>) -> Self {
        Self {
            deadline: context.deadline,
            sampled: context.trace.sampled,
            of_a_peer: context.origin.peer != 0,
            root: context.recording().map(|recording| recording.root()),
            admits: rule.is_none_or(|rule| context.satisfies(rule)),
        }
    }
}

pub fn overdue() -> CallError {
    CallError::new(CallErrorKind::DeadlineExceeded, "the deadline passed")
}
