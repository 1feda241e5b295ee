//! `#[every_mode]`: runs one test body in each mode of calls.

use crate::errors::Errors;
use proc_macro2::TokenStream;
use quote::{format_ident, quote};
use syn::{ItemFn, spanned::Spanned};

/// ```text
/// #[every_mode]
/// async fn levels(mode: Mode) { … }
/// ```
/// becomes a module `levels` with the tests `in_process`, `encoded` and `over_a_connection`.
pub(crate) fn every_mode(arguments: TokenStream, item: TokenStream) -> TokenStream {
    let mut errors = Errors::default();
    let Some(item) = errors.keep(syn::parse2::<ItemFn>(item)) else {
        return errors.finish().unwrap_or_default();
    };
    if !arguments.is_empty() {
        errors.at(arguments, "`every_mode` takes no arguments");
    }
    if item.sig.asyncness.is_none() || item.sig.inputs.len() != 1 {
        errors.at_span(
            item.sig.span(),
            "write `async fn name(mode: Mode)`: the body builds its modules in the mode it is given",
        );
    }
    if let Some(errors) = errors.finish() {
        return errors;
    }
    let name = &item.sig.ident;
    let attributes = &item.attrs;
    let tests = ["InProcess", "Encoded", "OverAConnection"].map(|mode| {
        let test = format_ident!(
            "{}",
            match mode {
                "InProcess" => "in_process",
                "Encoded" => "encoded",
                _ => "over_a_connection",
            }
        );
        let mode = format_ident!("{mode}");
        quote! {
            #[::core::prelude::v1::test]
            #(#attributes)*
            fn #test() {
                ::monolift::testing::run(super::#name(::monolift::testing::Mode::#mode));
            }
        }
    });
    let mut body = item.clone();
    body.attrs.clear();
    quote! {
        #body

        mod #name {
            #(#tests)*
        }
    }
}
