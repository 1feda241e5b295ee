//! Calls of methods that take their caller's transaction: to a module in this process, or not at all.

use super::{Interface, Link, not_running};
use crate::call::{CallError, CallErrorKind, Guarded, InterfaceError, RetryAdvice, Side, guard};
use std::{future::Future, sync::Arc};

impl<I: Interface + ?Sized> Link<I> {
    /// The module, for a call of the method number `local` among those that take their caller's transaction.
    pub fn here(&self, local: usize) -> Result<&Arc<I>, CallError> {
        // Behind a way that encodes calls within this process there is the module too.
        let looped = || self.shared.looped.get().and_then(Link::local);
        self.local().or_else(looped).ok_or_else(|| self.not_here(local))
    }

    /// Awaits a call of the method number `local` among those that take their caller's transaction.
    pub fn call_local<F, T, E>(&self, local: usize, call: F) -> Guarded<'_, F>
    where
        F: Future<Output = Result<T, E>> + Unpin + Send,
        T: Send,
        E: InterfaceError,
    {
        guard(&I::descriptor().local[local], &self.shared.settings, Side::Module, call)
    }

    #[cold]
    fn not_here(&self, local: usize) -> CallError {
        let interface = I::descriptor();
        let callee = &interface.local[local];
        if self.shared.target.get().is_none() {
            return not_running(interface).during(callee.to_string());
        }
        let (module, name, method) = (interface.module, interface.name, callee.method);
        let text = format!(
            "`{name}::{method}` takes its caller's transaction, and the module `{module}` does not run in this process: \
             place caller and module together"
        );
        let error = CallError::new(CallErrorKind::NotRunning, text);
        error.with_retry_advice(RetryAdvice::Never).during(callee.to_string())
    }
}
