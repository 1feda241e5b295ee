//! A way that leads back into the same process: every call is encoded and decoded, and no socket
//! is touched. It shows in the monolith what would not survive a split.

use super::AnyLink;
use crate::{
    call::{CallError, Context},
    interface::InterfaceDescriptor,
    serve::answer_guarded,
    wire::{Answer, Bounds, Carrier, Incoming},
};
use bytes::Bytes;
use futures_util::future::BoxFuture;
use std::sync::Arc;

/// Carries calls to a module in this process as if it were elsewhere.
#[derive(Debug)]
pub struct Loopback {
    module: Arc<dyn AnyLink>,
    bounds: Bounds,
}

impl Loopback {
    /// To the module behind `link`.
    pub fn to(link: Arc<dyn AnyLink>, bounds: Bounds) -> Self {
        Self { module: link, bounds }
    }
}

impl Carrier for Loopback {
    fn bounds(&self) -> Bounds {
        self.bounds
    }

    fn carry(
        &self,
        _: &'static InterfaceDescriptor,
        method: usize,
        context: Context,
        payload: Bytes,
    ) -> BoxFuture<'_, Result<Answer, CallError>> {
        let incoming = Incoming { payload, bounds: self.bounds };
        Box::pin(async move { Ok(answer_guarded(&*self.module, method, context, incoming).await) })
    }
}
