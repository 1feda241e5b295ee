//! Collects all mistakes in one input, so that they are reported together.

use proc_macro2::{Span, TokenStream};
use quote::ToTokens;
use std::fmt::Display;

/// Collects mistakes. Dropping it without [`Errors::finish`] panics, because the mistakes would be
/// lost.
#[derive(Default)]
pub(crate) struct Errors {
    all: Option<syn::Error>,
    read: bool,
}

impl Errors {
    /// Adds a mistake at `tokens`.
    pub(crate) fn at(&mut self, tokens: impl ToTokens, message: impl Display) {
        self.push(syn::Error::new_spanned(tokens, message));
    }

    /// Adds a mistake at `span`.
    pub(crate) fn at_span(&mut self, span: Span, message: impl Display) {
        self.push(syn::Error::new(span, message));
    }

    /// Adds the error of a parser.
    pub(crate) fn push(&mut self, error: syn::Error) {
        match &mut self.all {
            Some(all) => all.combine(error),
            None => self.all = Some(error),
        }
    }

    /// Returns a parser's result, or keeps its error.
    pub(crate) fn keep<T>(&mut self, result: syn::Result<T>) -> Option<T> {
        result.map_err(|error| self.push(error)).ok()
    }

    /// All mistakes as `compile_error!`s, or `None` if there are none.
    pub(crate) fn finish(mut self) -> Option<TokenStream> {
        self.read = true;
        self.all.take().map(|error| error.into_compile_error())
    }
}

impl Drop for Errors {
    fn drop(&mut self) {
        if !std::thread::panicking() {
            assert!(self.read, "the mistakes of an input were collected and never told");
        }
    }
}
