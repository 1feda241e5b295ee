//! The serving side: one listener for all that a process serves.
//!
//! It accepts, limits, checks who calls, and hands each call to its interface. It knows modules by
//! their descriptors only.

mod connection;
mod directory;
mod listener;

pub(crate) use directory::undeclared;
pub use directory::{CallerCheck, Directory};
pub use listener::{Limits, Server};

use crate::{
    call::{CallError, Context, panic_text},
    interface::InterfaceDescriptor,
    wire::{Answer, Incoming, encode_error},
};
use futures_util::{FutureExt, future::BoxFuture};
use std::panic::AssertUnwindSafe;

/// An interface that is served here.
pub trait Handler: Send + Sync + 'static {
    /// What it offers.
    fn descriptor(&self) -> &'static InterfaceDescriptor;

    /// Answers a call of method number `method`.
    fn handle(&self, method: usize, incoming: Incoming) -> BoxFuture<'static, Answer>;
}

/// Answers a call, whatever its method or the reading of its arguments do: tarpc would never answer
/// a handler that panicked.
pub(crate) async fn answer_guarded<H: Handler + ?Sized>(
    handler: &H,
    method: usize,
    context: Context,
    incoming: Incoming,
) -> Answer {
    let answering = context.scope(async { handler.handle(method, incoming).await });
    let answered = AssertUnwindSafe(answering).catch_unwind().await;
    answered.unwrap_or_else(|panic| {
        let call = handler.descriptor().methods[method].callee.to_string();
        encode_error(&CallError::panicked(call, panic_text(&*panic)))
    })
}
