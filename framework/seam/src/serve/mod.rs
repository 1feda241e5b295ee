//! The serving side: one listener for all that a process serves.
//!
//! It accepts, limits, checks who calls, and hands each call to its interface. It knows modules by
//! their descriptors only.

mod accept;
mod conduct;
mod connection;
mod directory;
mod gate;
mod greeting;
mod habit;
mod handshakes;
mod listener;

pub use accept::{Accepting, Acceptor};
pub use directory::{CallerCheck, Directory, WebCheck};
pub use gate::Queue;
pub use listener::{Limits, Server};

pub use crate::link::Handler;
pub(crate) use crate::link::answering;

use crate::wire::Socket;
use futures_util::future::BoxFuture;
use tokio::sync::watch;

/// What goes on in HTTP on a connection whose hello says so: the routes of the modules' own.
pub trait Web: Send + Sync + 'static {
    /// Serves the connection, until it ends or has drained.
    fn serve(&self, socket: Socket, draining: watch::Receiver<bool>) -> BoxFuture<'static, ()>;
}
