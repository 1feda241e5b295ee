//! `#[monolift::interface]`: parses and checks a trait, then expands it.

mod attributes;
mod auth;
mod expand;
mod local;
mod parse;

pub(crate) use attributes::docs;

use crate::errors::Errors;
use proc_macro2::TokenStream;
use quote::quote;
use syn::ItemTrait;

pub(crate) fn interface(arguments: TokenStream, item: TokenStream) -> TokenStream {
    interface_of(arguments, item, &local::listed(), auth::is_stated())
}

/// The same, where Cargo.toml lists these methods as `local`, and says whether all routed methods state who may call them.
pub(crate) fn interface_of(
    arguments: TokenStream,
    item: TokenStream,
    listed: &[String],
    stated: bool,
) -> TokenStream {
    let mut errors = Errors::default();
    let Some(mut item) = errors.keep(syn::parse2::<ItemTrait>(item.clone())) else {
        let errors = errors.finish();
        return quote!(#errors #item);
    };
    let interface = parse::read(arguments, &mut item, listed, &mut errors);
    if let Some(interface) = interface.as_ref().filter(|_| stated) {
        auth::check(interface, &mut errors);
    }
    // The trait is emitted even if it has mistakes. Otherwise every use of its name would be a
    // second error.
    let expanded_trait = expand::the_trait(&item);
    match (errors.finish(), interface) {
        // The front end of an application needs the trait's types only.
        (None, Some(_)) if !cfg!(any(feature = "client", test)) => expanded_trait,
        (None, Some(interface)) => {
            let rest = expand::the_rest(&item, &interface, stated);
            quote!(#expanded_trait #rest)
        }
        (errors, _) => {
            let client = quote::format_ident!("{}Client", item.ident);
            let vis = &item.vis;
            quote!(#expanded_trait #[doc(hidden)] #[allow(dead_code)] #vis struct #client; #errors)
        }
    }
}
