//! Every mistake of one input, told at once.

use proc_macro2::{Span, TokenStream};
use quote::ToTokens;
use std::fmt::Display;

/// Collects mistakes. It must be looked at: dropping it unread would swallow them.
#[derive(Default)]
pub(crate) struct Errors {
    all: Option<syn::Error>,
    read: bool,
}

impl Errors {
    /// Adds a mistake that is about `tokens`.
    pub(crate) fn at(&mut self, tokens: impl ToTokens, message: impl Display) {
        self.push(syn::Error::new_spanned(tokens, message));
    }

    /// Adds a mistake that is about what stands at `span`.
    pub(crate) fn at_span(&mut self, span: Span, message: impl Display) {
        self.push(syn::Error::new(span, message));
    }

    /// Adds what a parser found.
    pub(crate) fn push(&mut self, error: syn::Error) {
        match &mut self.all {
            Some(all) => all.combine(error),
            None => self.all = Some(error),
        }
    }

    /// Keeps a parser's result, or its mistake.
    pub(crate) fn keep<T>(&mut self, result: syn::Result<T>) -> Option<T> {
        result.map_err(|error| self.push(error)).ok()
    }

    /// All of them as `compile_error!`s, or `None` when there were none.
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
