//! Decodes the arguments of a call and encodes its answer.

use super::Carried;
use crate::call::InterfaceError;
use serde::de::DeserializeOwned;
use std::future::Future;

/// The format of a call: an envelope between processes, or an HTTP request.
pub trait Protocol: 'static {
    /// The encoded call.
    type Input: Send + 'static;
    /// The encoded answer.
    type Output: Send + 'static;

    /// Decodes the arguments, makes the call and encodes the answer. `A` has one field for each
    /// argument.
    fn run<A, F, T, E>(
        input: Self::Input,
        call: impl FnOnce(A) -> F + Send,
    ) -> impl Future<Output = Self::Output> + Send
    where
        A: DeserializeOwned + Send,
        F: Future<Output = Result<T, E>> + Send,
        T: Carried,
        E: InterfaceError;

    /// The answer if the interface has no such method.
    fn unknown_method(input: Self::Input) -> Self::Output;
}
