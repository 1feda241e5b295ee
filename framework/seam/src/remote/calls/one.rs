//! One call on a connection, as its caller awaits it.

use super::list::{Ending, Entered, List, Terms};
use std::{
    future::Future,
    pin::Pin,
    task::{Context, Poll},
};

/// A list of calls that callers and the connection's task share.
pub(super) trait Shared {
    /// What is sent for a call.
    type Request;
    /// What is sent back.
    type Answer;

    /// Makes one step, alone.
    fn step<R>(&self, step: impl FnOnce(&mut List<Self::Request, Self::Answer>) -> R) -> R;

    /// Has the connection's task look at the list. Not to be called within a step.
    fn wake_task(&self);
}

/// One call. It enters the list when it is first polled, and leaves it when it is dropped.
pub(super) struct OneCall<'a, S: Shared> {
    shared: &'a S,
    terms: Terms,
    course: CallPhase<S::Request>,
}

enum CallPhase<Q> {
    Ahead(Q),
    Entered(u64),
    Ended,
}

impl<'a, S: Shared> OneCall<'a, S> {
    pub(super) fn new(shared: &'a S, request: S::Request, terms: Terms) -> Self {
        Self { shared, terms, course: CallPhase::Ahead(request) }
    }
}

/// No field of it is pinned.
impl<S: Shared> Unpin for OneCall<'_, S> {}

impl<S: Shared> Future for OneCall<'_, S> {
    type Output = Ending<S::Answer>;

    fn poll(self: Pin<&mut Self>, cx: &mut Context<'_>) -> Poll<Self::Output> {
        let Self { shared, terms, course } = self.get_mut();
        if let CallPhase::Entered(id) = *course {
            let polled = shared.step(|list| list.poll(id, cx.waker()));
            if polled.is_ready() {
                *course = CallPhase::Ended;
            }
            return polled;
        }
        let CallPhase::Ahead(request) = std::mem::replace(course, CallPhase::Ended) else {
            return Poll::Ready(Ending::Lost);
        };
        let caller = cx.waker().clone();
        match shared.step(|list| list.enter(request, *terms, caller)) {
            Ok(Entered { id, wake }) => {
                *course = CallPhase::Entered(id);
                if wake {
                    shared.wake_task();
                }
                Poll::Pending
            }
            Err(ending) => Poll::Ready(ending),
        }
    }
}

impl<S: Shared> Drop for OneCall<'_, S> {
    /// The caller goes away. The other side is told to stop, where it has the call.
    fn drop(&mut self) {
        let CallPhase::Entered(id) = self.course else { return };
        let (wake, request) = self.shared.step(|list| list.abandon(id));
        // A long payload takes a while to free, which is why it did not happen in the step.
        drop(request);
        if wake {
            self.shared.wake_task();
        }
    }
}
