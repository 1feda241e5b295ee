//! The guard around every call, whichever way it goes: its deadline, its context, its panics.
//!
//! It costs a call that answers at its first poll two reads: of the context and of the clock. The
//! timer is armed only when the first poll was not ready.

use super::{
    CallError, CallErrorKind, Callee, Context, Counts, InterfaceError, Trace,
    clock::{CallSettings, clamp},
    report::panic_text,
};

use std::{
    future::Future,
    panic::{AssertUnwindSafe, catch_unwind},
    pin::Pin,
    task::{Poll, ready},
};
use tokio::time::{Instant, Sleep, sleep_until};

/// Guards `call`, which is one call of `callee`.
///
/// It ends by the deadline of the call around it; with none around it this is the edge, and the
/// deadline starts here, as `settings` say. Then `call` is dropped: its work stops where it awaits.
pub fn guard<F, T, E>(
    callee: &'static Callee,
    settings: &CallSettings,
    side: Side,
    call: F,
) -> Guarded<F>
where
    F: Future<Output = Result<T, E>> + Unpin,
    E: InterfaceError,
{
    let now = Instant::now();
    let own = callee.deadline;
    let around = Context::look(|context| context.deadline);
    let (deadline, complain, inner) = match (around, own) {
        (Some(deadline), None) => (deadline, None, None),
        (Some(deadline), Some(own)) => {
            let deadline = deadline.min(now + clamp(own));
            (deadline, None, Context::current().map(|context| context.with_deadline(deadline)))
        }
        (None, own) => {
            let start = settings.starting(now, own);
            let context =
                Context { deadline: start.deadline, trace: Trace::start(), baggage: None };
            (start.deadline, start.complain, Some(context))
        }
    };
    Guarded {
        call: (now < deadline).then_some(call),
        inner,
        deadline,
        complain,
        timer: None,
        ended: Ended { callee, side, done: false },
    }
}

/// Which side of a call is guarded.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Side {
    /// Where the module runs. This side counts the call.
    Module,
    /// Where the call goes out to another process.
    Caller,
}

/// A call under guard; see [`guard`].
#[derive(Debug)]
#[must_use = "a call does nothing unless it is awaited"]
pub struct Guarded<F> {
    /// `None` once the deadline has passed, which is when the module's work is dropped.
    call: Option<F>,
    /// The context to run in, when it is not the one around.
    inner: Option<Context>,
    deadline: Instant,
    complain: Option<Instant>,
    timer: Option<Pin<Box<Sleep>>>,
    ended: Ended,
}

impl<F, T, E> Future for Guarded<F>
where
    F: Future<Output = Result<T, E>> + Unpin,
    E: InterfaceError,
{
    type Output = Result<T, E>;

    fn poll(self: Pin<&mut Self>, cx: &mut std::task::Context<'_>) -> Poll<Self::Output> {
        let this = self.get_mut();
        let Some(call) = &mut this.call else {
            return Poll::Ready(this.ended.with_error(overdue()));
        };
        let once = || catch_unwind(AssertUnwindSafe(|| Pin::new(call).poll(cx)));
        let polled = match &this.inner {
            None => once(),
            Some(context) => context.clone().enter(once),
        };
        match polled {
            Ok(Poll::Ready(answer)) => Poll::Ready(this.ended.with(answer)),
            Ok(Poll::Pending) => {
                ready!(this.poll_timer(cx));
                this.drop_call();
                Poll::Ready(this.ended.with_error(overdue()))
            }
            Err(panic) => {
                this.drop_call();
                let call = this.ended.callee.to_string();
                Poll::Ready(this.ended.with_error(CallError::panicked(call, panic_text(&*panic))))
            }
        }
    }
}

impl<F> Drop for Guarded<F> {
    /// A call that was not finished is dropped here because its caller goes away.
    fn drop(&mut self) {
        if !self.ended.done {
            self.drop_call();
        }
    }
}

impl<F> Guarded<F> {
    /// Drops the call before it is finished. What the module then leaves behind may panic, which has
    /// been said by the panic hook and is no business of the caller's.
    fn drop_call(&mut self) {
        let call = self.call.take();
        let _ = catch_unwind(AssertUnwindSafe(|| drop(call)));
    }

    /// Ready when the deadline has passed. On the way there it may complain, once.
    fn poll_timer(&mut self, cx: &mut std::task::Context<'_>) -> Poll<()> {
        loop {
            let next = self.complain.map_or(self.deadline, |complain| complain.min(self.deadline));
            let timer = self.timer.get_or_insert_with(|| Box::pin(sleep_until(next)));
            ready!(timer.as_mut().poll(cx));
            if Instant::now() >= self.deadline {
                return Poll::Ready(());
            }
            if self.complain.take().is_some() {
                tracing::warn!(
                    call = %self.ended.callee,
                    "this call has run past the default deadline, which is only observed"
                );
            }
            timer.as_mut().reset(self.deadline);
        }
    }
}

fn overdue() -> CallError {
    CallError::new(CallErrorKind::DeadlineExceeded, "the deadline passed")
}

/// Counts how the call ended, also when it is dropped half-way.
#[derive(Debug)]
struct Ended {
    callee: &'static Callee,
    side: Side,
    done: bool,
}

impl Ended {
    fn with<T, E: InterfaceError>(&mut self, answer: Result<T, E>) -> Result<T, E> {
        let error = answer.as_ref().err().and_then(InterfaceError::call_error);
        let Some(error) = error else {
            self.count(&self.callee.counts.answered);
            return answer;
        };
        // Which of the calls on the way notices first is chance; every caller hears of its own.
        if error.kind() == CallErrorKind::DeadlineExceeded {
            return self.with_error(overdue());
        }
        // The first guard around an error says which call it was.
        if error.call().is_empty() {
            let error = error.clone();
            return self.with_error(error);
        }
        self.count(&self.callee.counts.failed);
        answer
    }

    fn with_error<T, E: InterfaceError>(&mut self, error: CallError) -> Result<T, E> {
        self.count(&self.callee.counts.failed);
        tracing::debug!(call = %self.callee, %error, "call failed");
        Err(E::from(error.during(self.callee.to_string())))
    }

    fn count(&mut self, which: &std::sync::atomic::AtomicU64) {
        self.done = true;
        if self.side == Side::Module {
            Counts::count(which);
        }
    }
}

impl Drop for Ended {
    fn drop(&mut self) {
        if !self.done {
            self.count(&self.callee.counts.dropped);
        }
    }
}
