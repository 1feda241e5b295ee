//! The serving side: one listener for all that a process serves.
//!
//! It accepts, limits, checks who calls, and hands each call to its interface. It knows modules by
//! their descriptors only.

mod connection;
mod directory;
mod listener;

pub(crate) use directory::undeclared;
pub use directory::{CallerCheck, Directory, WebCheck};
pub use listener::{Limits, Server};

use crate::wire::Socket;
use crate::{
    call::{CallError, Context, panic_text},
    interface::InterfaceDescriptor,
    wire::{Answer, Incoming, encode_error},
};
use futures_util::{FutureExt, future::BoxFuture};
use std::panic::AssertUnwindSafe;
use tokio::sync::watch;

/// What goes on in HTTP on a connection whose hello says so: the routes of the modules' own.
pub trait Web: Send + Sync + 'static {
    /// Serves the connection, until it ends or has drained.
    fn serve(&self, socket: Socket, draining: watch::Receiver<bool>) -> BoxFuture<'static, ()>;
}

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
