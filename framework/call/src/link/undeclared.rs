//! The way to a module that this process does not declare to call: there is none.
//!
//! The other side would refuse its calls; so no connection is made for them.

use crate::{
    call::{CallError, CallErrorKind},
    carry::{Answer, Bounds, Carrier, Outgoing},
};
use futures_util::future::BoxFuture;

/// Refuses every call, and says why.
#[derive(Debug)]
pub struct Undeclared {
    process: String,
    bounds: Bounds,
}

impl Undeclared {
    /// For the calls of `process`.
    pub fn of(process: &str, bounds: Bounds) -> Self {
        Self { process: process.to_owned(), bounds }
    }
}

impl Carrier for Undeclared {
    fn bounds(&self) -> Bounds {
        self.bounds
    }

    fn carry<'a>(&'a self, call: Outgoing<'a>) -> BoxFuture<'a, Result<Answer, CallError>> {
        Box::pin(async move { Err(undeclared(&self.process, call.interface.module)) })
    }
}

/// What a process hears that calls a module it does not declare, on either side of the way.
pub fn undeclared(caller: &str, module: &str) -> CallError {
    CallError::new(
        CallErrorKind::Denied,
        format!(
            "the process `{caller}` may not call this: none of its modules depends on \
             `{module}-api`"
        ),
    )
}
