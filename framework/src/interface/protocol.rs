//! How the arguments of a call are read, and its answer written, when it arrives as data.

use super::Carried;
use crate::call::InterfaceError;
use serde::de::DeserializeOwned;
use std::future::Future;

/// A form that calls arrive in: an envelope between processes, or an HTTP request.
pub trait Protocol: 'static {
    /// What arrives.
    type Input: Send + 'static;
    /// What goes back.
    type Output: Send + 'static;

    /// Reads the arguments, makes the call, writes the answer. `A` has a field for each argument.
    fn run<A, F, T, E>(
        input: Self::Input,
        call: impl FnOnce(A) -> F + Send,
    ) -> impl Future<Output = Self::Output> + Send
    where
        A: DeserializeOwned + Send,
        F: Future<Output = Result<T, E>> + Send,
        T: Carried,
        E: InterfaceError;

    /// What goes back when there is no such method.
    fn unknown_method(input: Self::Input) -> Self::Output;
}
