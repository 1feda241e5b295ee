//! A call that arrives encoded, answered by the module that its interface's link points at.

use crate::{
    call::{CallError, Context, panic_text},
    carry::{Answer, Incoming, encode_error},
    interface::InterfaceDescriptor,
};
use futures_util::future::BoxFuture;
use std::{
    future::Future,
    panic::{AssertUnwindSafe, catch_unwind},
    pin::Pin,
    sync::Arc,
    task::Poll,
};

/// An interface that is served here.
pub trait Handler: Send + Sync + 'static {
    /// What it offers.
    fn descriptor(&self) -> &'static InterfaceDescriptor;

    /// Answers a call of method number `method`.
    fn handle(&self, method: usize, incoming: Incoming) -> BoxFuture<'static, Answer>;
}

/// Answers a call, whatever its method or the reading of its arguments do.
pub fn answering<H: Handler + ?Sized>(
    handler: &Arc<H>,
    method: usize,
    context: Context,
    incoming: Incoming,
) -> Answering<H> {
    Answering { handler: Arc::clone(handler), method, context, state: State::Ahead(incoming) }
}

/// A call that is being answered. It can be moved between its polls.
pub struct Answering<H: ?Sized> {
    handler: Arc<H>,
    method: usize,
    context: Context,
    state: State,
}

enum State {
    Ahead(Incoming),
    Under(BoxFuture<'static, Answer>),
    Ended,
}

impl<H: Handler + ?Sized> Future for Answering<H> {
    type Output = Answer;

    fn poll(self: Pin<&mut Self>, cx: &mut std::task::Context<'_>) -> Poll<Answer> {
        let Self { handler, method, context, state } = self.get_mut();
        let mut polled = Poll::Pending;
        let poll = || {
            let mut work = match std::mem::replace(state, State::Ended) {
                State::Ahead(incoming) => handler.handle(*method, incoming),
                State::Under(work) => work,
                State::Ended => return,
            };
            polled = work.as_mut().poll(cx);
            if polled.is_pending() {
                *state = State::Under(work);
            }
        };
        let caught = catch_unwind(AssertUnwindSafe(|| context.clone().enter(poll)));
        if let Err(panic) = caught {
            let call = handler.descriptor().methods[*method].callee.to_string();
            return Poll::Ready(encode_error(&CallError::panicked(call, panic_text(&*panic))));
        }
        polled
    }
}
