//! `#[derive(InterfaceError)]`: statuses, the variant that holds a `CallError`, and `?`.

use crate::errors::Errors;
use proc_macro2::TokenStream;
use quote::quote;
use syn::{Data, DeriveInput, Fields, Ident, Type, Variant};

/// The default status: the request was understood, and the module refused it.
const UNPROCESSABLE: u16 = 422;

pub(crate) fn interface_error(input: TokenStream) -> TokenStream {
    let mut errors = Errors::default();
    let Some(input) = errors.keep(syn::parse2::<DeriveInput>(input)) else {
        return errors.finish().unwrap_or_default();
    };
    let expanded = expand(&input, &mut errors);
    // With the implementation, so that its absence gives no further errors where the type is used.
    let errors = errors.finish();
    quote!(#errors #expanded)
}

fn expand(input: &DeriveInput, errors: &mut Errors) -> Option<TokenStream> {
    let name = &input.ident;
    let Data::Enum(item) = &input.data else {
        errors.at(name, "the error of an interface is an enum: a variant for each way to fail");
        return None;
    };
    if !input.generics.params.is_empty() {
        errors.at(&input.generics, "the error of an interface has no generic parameters");
    }
    let call = call_variant(name, item.variants.iter(), errors);
    let mut responses = Vec::new();
    let mut arms = Vec::new();
    for variant in &item.variants {
        let status = status(variant, errors);
        let ident = &variant.ident;
        if call == Some(ident) {
            if status.is_some() {
                errors.at(variant, "a `CallError` has a status of its own: take `#[status]` off");
            }
            continue;
        }
        let status = status.unwrap_or(UNPROCESSABLE);
        let code = kebab(&ident.to_string());
        let docs = crate::interface::docs(&variant.attrs);
        let at = responses.len();
        responses.push(quote! {
            ::monolift::call::ErrorResponse { status: #status, code: #code, docs: #docs }
        });
        arms.push(quote!(Self::#ident { .. } => Self::RESPONSES[#at],));
    }
    let call = call?;
    Some(quote! {
        impl ::monolift::InterfaceError for #name {
            const RESPONSES: &'static [::monolift::call::ErrorResponse] = &[#(#responses),*];

            fn call_error(&self) -> ::core::option::Option<&::monolift::CallError> {
                match self {
                    Self::#call(error) => ::core::option::Option::Some(error),
                    #[allow(unreachable_patterns)]
                    _ => ::core::option::Option::None,
                }
            }

            fn response(&self) -> ::monolift::call::ErrorResponse {
                match self {
                    #(#arms)*
                    Self::#call(error) => ::monolift::call::ErrorResponse::of(error),
                }
            }
        }

        impl<__Cause: ::core::convert::Into<::monolift::CallError>> ::core::convert::From<__Cause>
            for #name {
            #[track_caller]
            fn from(error: __Cause) -> Self {
                Self::#call(error.into())
            }
        }
    })
}

/// Finds the one variant that holds a `CallError`.
fn call_variant<'a>(
    name: &Ident,
    variants: impl Iterator<Item = &'a Variant>,
    errors: &mut Errors,
) -> Option<&'a Ident> {
    let mut found: Option<&Variant> = None;
    for variant in variants {
        let Fields::Unnamed(fields) = &variant.fields else { continue };
        let holds = |ty: &Type| match ty {
            Type::Path(path) => path.path.segments.last().is_some_and(|s| s.ident == "CallError"),
            _ => false,
        };
        let [field] = fields.unnamed.iter().collect::<Vec<_>>()[..] else { continue };
        if !holds(&field.ty) {
            continue;
        }
        if let Some(from) = field.attrs.iter().find(|attribute| attribute.path().is_ident("from")) {
            errors.at(from, "`InterfaceError` implements this `From` already: take `#[from]` off");
            return None;
        }
        if let Some(first) = found {
            errors.at(variant, format!("`{}` holds a `CallError` already", first.ident));
            return None;
        }
        found = Some(variant);
    }
    if found.is_none() {
        errors.at(
            name,
            "any call may one day cross a network, and this error cannot say so: add a variant \
             `#[error(transparent)] Call(CallError)`",
        );
    }
    found.map(|variant| &variant.ident)
}

fn status(variant: &Variant, errors: &mut Errors) -> Option<u16> {
    let attribute = variant.attrs.iter().find(|attribute| attribute.path().is_ident("status"))?;
    let literal = errors.keep(attribute.parse_args::<syn::LitInt>())?;
    let status = errors.keep(literal.base10_parse::<u16>())?;
    if !(400..=599).contains(&status) {
        errors.at(&literal, "an error's status is between 400 and 599");
        return None;
    }
    Some(status)
}

/// `UnknownProduct` to `unknown-product`.
pub(crate) fn kebab(name: &str) -> String {
    let mut out = String::new();
    for (at, character) in name.char_indices() {
        if character.is_uppercase() && at > 0 {
            out.push('-');
        }
        out.extend(character.to_lowercase());
    }
    out
}
