//! `#[monolift::event]`: a struct or an enum as a type of event.

use crate::{errors::Errors, interface_error::kebab};
use monolift_manifest::quantity;
use proc_macro2::TokenStream;
use quote::{quote, quote_spanned};
use std::time::Duration;
use syn::{DeriveInput, Expr, LitInt, LitStr, Path, meta::ParseNestedMeta, spanned::Spanned};

/// `key = order, subject = user, version = 2, upcast = from_v1, keep = "7d", payload = "1d", name = "order-placed", module = "orders"`.
#[derive(Default)]
struct Arguments {
    key: Option<Expr>,
    subject: Option<Expr>,
    name: Option<String>,
    version: Option<u32>,
    upcast: Option<Path>,
    keep_ms: Option<u64>,
    payload_ms: Option<u64>,
    module: Option<String>,
}

pub(crate) fn event(arguments: TokenStream, item: TokenStream) -> TokenStream {
    let mut errors = Errors::default();
    let Some(input) = errors.keep(syn::parse2::<DeriveInput>(item.clone())) else {
        let errors = errors.finish();
        return quote!(#item #errors);
    };
    let package = std::env::var("CARGO_PKG_NAME").unwrap_or_default();
    let expanded = read(arguments, &mut errors)
        .and_then(|arguments| expand(&arguments, &input, &package, &mut errors));
    // With the type, so that its absence gives no further errors where it is used.
    let errors = errors.finish();
    quote!(#item #expanded #errors)
}

fn read(arguments: TokenStream, errors: &mut Errors) -> Option<Arguments> {
    let mut read = Arguments::default();
    let parser = syn::meta::parser(|meta| {
        let name = meta.path.get_ident().map(ToString::to_string).unwrap_or_default();
        match name.as_str() {
            "key" => read.key = Some(meta.value()?.parse()?),
            "subject" => read.subject = Some(meta.value()?.parse()?),
            "name" => read.name = Some(meta.value()?.parse::<LitStr>()?.value()),
            "module" => read.module = Some(meta.value()?.parse::<LitStr>()?.value()),
            "upcast" => read.upcast = Some(meta.value()?.parse()?),
            "version" => {
                let number = meta.value()?.parse::<LitInt>()?;
                let version: u32 = number.base10_parse()?;
                if version == 0 {
                    return Err(syn::Error::new(number.span(), "versions begin with 1"));
                }
                read.version = Some(version);
            }
            "keep" => read.keep_ms = Some(kept_ms(&meta)?),
            "payload" => read.payload_ms = Some(kept_ms(&meta)?),
            _ => {
                return Err(meta.error(
                    "unknown argument: an event takes `key = field`, `subject = field`, `name = \"…\"`, `version = 2`, \
                     `upcast = function`, `keep = \"7d\"`, `payload = \"1d\"` and `module = \"…\"`",
                ));
            }
        }
        Ok(())
    });
    errors.keep(syn::parse::Parser::parse2(parser, arguments))?;
    Some(read)
}

/// How long an event, or its payload, is kept.
fn kept_ms(meta: &ParseNestedMeta<'_>) -> syn::Result<u64> {
    let text = meta.value()?.parse::<LitStr>()?;
    let kept = kept(&text.value()).ok_or_else(|| {
        let name = meta.path.get_ident().map(ToString::to_string).unwrap_or_default();
        let expected = format!(
            "expected up to 36500 days, or up to 24 hours: `{name} = \"7d\"` or `{name} = \"12h\"`"
        );
        syn::Error::new(text.span(), expected)
    })?;
    Ok(u64::try_from(kept.as_millis()).unwrap_or(u64::MAX))
}

/// Days, or a duration as settings have it.
fn kept(text: &str) -> Option<Duration> {
    let Some(days) = text.strip_suffix('d') else { return quantity::duration(text).ok() };
    let days = days.parse::<u64>().ok().filter(|days| *days <= 36_500)?;
    Some(Duration::from_secs(days * 24 * 60 * 60))
}

fn expand(
    arguments: &Arguments,
    input: &DeriveInput,
    package: &str,
    errors: &mut Errors,
) -> Option<TokenStream> {
    let ident = &input.ident;
    if !input.generics.params.is_empty() {
        errors.at(&input.generics, "an event has no generic parameters: it is read by its name");
        return None;
    }
    let stated = arguments.module.clone();
    let Some(module) = stated.or_else(|| package.strip_suffix("-api").map(str::to_owned)) else {
        errors.at(
            ident,
            format!(
                "the package `{package}` is no api package, so this event belongs to no module: move it \
                 into a package `{package}-api`, or write `#[monolift::event(module = \"…\")]`"
            ),
        );
        return None;
    };
    let name = arguments.name.clone().unwrap_or_else(|| kebab(&ident.to_string()));
    let version = arguments.version.map(|version| quote!(const VERSION: u32 = #version;));
    let keep = arguments.keep_ms.map(|keep| {
        quote!(const KEEP: ::core::time::Duration = ::core::time::Duration::from_millis(#keep);)
    });
    let payload = arguments.payload_ms.map(|payload| {
        quote! {
            const PAYLOAD: ::core::option::Option<::core::time::Duration> =
                ::core::option::Option::Some(::core::time::Duration::from_millis(#payload));
        }
    });
    let key = arguments.key.as_ref().map(|key| {
        quote_spanned! {key.span()=>
            fn key(&self) -> ::core::option::Option<::std::string::String> {
                ::monolift::event::key_of(&self.#key)
            }
        }
    });
    let subject = arguments.subject.as_ref().map(|subject| {
        quote_spanned! {subject.span()=>
            fn subject(&self) -> ::core::option::Option<::std::string::String> {
                ::monolift::event::subject_of(&self.#subject)
            }
        }
    });
    // Names that a function of the author's does not have.
    let upcast = arguments.upcast.as_ref().map(|upcast| {
        quote_spanned! {upcast.span()=>
            fn upcast(
                __version: u32,
                __old: &str,
            ) -> ::core::result::Result<Self, ::std::string::String> {
                #upcast(__version, __old).map_err(|error| ::std::string::ToString::to_string(&error))
            }
        }
    });
    Some(quote! {
        impl ::monolift::Event for #ident {
            const MODULE: &'static str = #module;
            const NAME: &'static str = #name;
            #version
            #keep
            #payload
            #key
            #subject
            #upcast
        }
    })
}
