//! A way that leads back into the same process: every call is encoded and decoded, and no socket
//! is touched. It shows in the monolith what would not survive a split.

use super::{Links, answering};
use crate::{
    call::{CallError, CallErrorKind, overdue},
    carry::{Answer, Bounds, Carrier, Incoming, Outgoing},
};
use futures_util::future::BoxFuture;
use std::sync::Arc;
use tokio::time::timeout_at;

/// Carries calls to the modules of this process as if they were elsewhere.
#[derive(Debug)]
pub struct Loopback {
    served: Arc<Links>,
    bounds: Bounds,
}

impl Loopback {
    /// To the modules that `served` is bound to.
    pub fn to(served: Arc<Links>, bounds: Bounds) -> Self {
        Self { served, bounds }
    }
}

impl Carrier for Loopback {
    fn bounds(&self) -> Bounds {
        self.bounds
    }

    /// Finds the module and the method by their names, as a peer that was built apart would.
    fn carry<'a>(&'a self, call: Outgoing<'a>) -> BoxFuture<'a, Result<Answer, CallError>> {
        Box::pin(async move {
            let Outgoing { interface, method, .. } = call;
            let called = &interface.methods[method];
            let module = self.served.local(interface.module, interface.name);
            let found = module.and_then(|module| {
                let mut methods = module.descriptor().methods.iter();
                Some((methods.position(|method| method.name() == called.name())?, module))
            });
            let Some((method, module)) = found else {
                return Err(CallError::new(CallErrorKind::UnknownMethod, "no such method here"));
            };
            let unknown = called.unknown_to(&module.descriptor().methods[method]);
            let payload = call.payload_for(&unknown, self.bounds)?;
            let Outgoing { context, timed, .. } = call;
            let incoming = Incoming { payload, bounds: self.bounds, timed };
            let deadline = context.deadline();
            let answering = answering(&module, method, context, incoming);
            timeout_at(deadline, answering).await.map_err(|_| overdue())
        })
    }
}
