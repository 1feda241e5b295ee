//! `#[monolift::interface]`: parses and checks a trait, then expands it.

mod attributes;
mod expand;
mod local;
mod parse;

pub(crate) use attributes::docs;

use crate::errors::Errors;
use proc_macro2::TokenStream;
use quote::quote;
use syn::ItemTrait;

pub(crate) fn interface(arguments: TokenStream, item: TokenStream) -> TokenStream {
    interface_of(arguments, item, &local::listed())
}

/// The same, where Cargo.toml lists these methods as `local`.
pub(crate) fn interface_of(
    arguments: TokenStream,
    item: TokenStream,
    listed: &[String],
) -> TokenStream {
    let mut errors = Errors::default();
    let Some(mut item) = errors.keep(syn::parse2::<ItemTrait>(item.clone())) else {
        let errors = errors.finish();
        return quote!(#errors #item);
    };
    let interface = parse::read(arguments, &mut item, listed, &mut errors);
    // The trait is emitted even if it has mistakes. Otherwise every use of its name would be a
    // second error.
    let expanded_trait = expand::the_trait(&item);
    match (errors.finish(), interface) {
        // The front end of an application needs the trait's types only.
        (None, Some(_)) if !cfg!(any(feature = "client", test)) => expanded_trait,
        (None, Some(interface)) => {
            let rest = expand::the_rest(&item, &interface);
            quote!(#expanded_trait #rest)
        }
        (errors, _) => {
            let client = quote::format_ident!("{}Client", item.ident);
            let vis = &item.vis;
            quote!(#expanded_trait #[doc(hidden)] #[allow(dead_code)] #vis struct #client; #errors)
        }
    }
}
