//! `#[auth(…)]`: who may call a method. Each attribute is a way in, and any one of them is enough.

use super::parse::Interface;
use crate::errors::Errors;
use monolift_manifest::nearest;
use proc_macro2::TokenStream;
use quote::quote;
use std::path::PathBuf;
use syn::{Attribute, Ident, LitStr, Token, parse::ParseStream, spanned::Spanned};

const WORDS: [&str; 5] = ["public", "user", "service", "role", "scope"];
const HELP: &str = "write `#[auth(public)]`, `#[auth(user)]`, `#[auth(role = \"staff\")]`, \
                    `#[auth(scope = \"orders:write\")]` or `#[auth(service)]`";

/// What one attribute says.
#[derive(Clone)]
pub(super) enum Grant {
    Public,
    Service,
    User { roles: Vec<LitStr>, scopes: Vec<LitStr> },
}

/// Reads one attribute.
pub(super) fn read(attribute: &Attribute) -> syn::Result<Grant> {
    let whole = || syn::Error::new(attribute.span(), format!("who may call it: {HELP}"));
    if attribute.meta.require_list().is_err() {
        return Err(whole());
    }
    attribute.parse_args_with(|input: ParseStream<'_>| {
        if input.is_empty() {
            return Err(whole());
        }
        let (mut alone, mut roles, mut scopes) = (None, Vec::new(), Vec::new());
        while !input.is_empty() {
            let word: Ident = input.parse()?;
            let named = |input: ParseStream<'_>| {
                input.parse::<Token![=]>()?;
                let name: LitStr = input.parse()?;
                match name.value() {
                    text if text.is_empty() || text.contains(char::is_whitespace) => {
                        Err(syn::Error::new(name.span(), "a name without spaces is expected"))
                    }
                    _ => Ok(name),
                }
            };
            match word.to_string().as_str() {
                "role" => roles.push(named(input)?),
                "scope" => scopes.push(named(input)?),
                "public" | "user" | "service" => {
                    if alone.replace(word.clone()).is_some() {
                        return Err(several(&word));
                    }
                }
                unknown => {
                    let near = nearest(unknown, WORDS)
                        .map_or_else(|| HELP.to_owned(), |near| format!("did you mean `{near}`?"));
                    return Err(syn::Error::new(word.span(), format!("`{unknown}`: {near}")));
                }
            }
            if !input.is_empty() {
                input.parse::<Token![,]>()?;
            }
        }
        match alone {
            Some(word) if word != "user" && !(roles.is_empty() && scopes.is_empty()) => {
                Err(several(&word))
            }
            Some(word) if word == "public" => Ok(Grant::Public),
            Some(word) if word == "service" => Ok(Grant::Service),
            _ => Ok(Grant::User { roles, scopes }),
        }
    })
}

fn several(word: &Ident) -> syn::Error {
    let text = format!("`{word}` stands alone: for one more way in write one more `#[auth(…)]`");
    syn::Error::new(word.span(), text)
}

/// Takes the attributes of a trait off it, which hold for its methods without one of their own, and the module's own routes.
pub(super) fn take(attributes: &mut Vec<Attribute>, errors: &mut Errors) -> Vec<Grant> {
    let (own, rest) = attributes.drain(..).partition(|one| one.path().is_ident("auth"));
    *attributes = rest;
    let own: Vec<Attribute> = own;
    own.iter().filter_map(|attribute| errors.keep(read(attribute))).collect()
}

/// Whether the package says that each of its routed methods states who may call it.
pub(super) fn is_stated() -> bool {
    let directory = PathBuf::from(std::env::var_os("CARGO_MANIFEST_DIR").unwrap_or_default());
    monolift_manifest::states_auth(&directory)
}

/// Refuses a routed method that does not say who may call it, and such own routes, where all have to.
pub(super) fn check(interface: &Interface, errors: &mut Errors) {
    if let Some(routes) = interface.routes.as_ref().filter(|routes| routes.auth.is_empty()) {
        let text = "the module's own routes do not say who may ask for them, as all routes of this package do (`auth = \
                    true` in its Cargo.toml): write `routes = \"/…\", auth(user)`, or `public`, `role = \"staff\"` or \
                    `scope = \"orders:write\"`";
        errors.at(&routes.prefix, text);
    }
    for method in &interface.methods {
        let attributes = &method.attributes;
        if attributes.http.is_some() && attributes.auth.is_empty() {
            let text = format!(
                "`{}` has a route and does not say who may call it, as all routed methods of this package do (`auth = \
                 true` in its Cargo.toml): {HELP}",
                method.name
            );
            errors.at_span(method.route_span(), text);
        }
    }
}

/// ```text
/// Some(&Rule { any_of: &[Grant::User { roles: &["staff"], scopes: &[] }] })
/// ```
pub(super) fn rule(grants: &[Grant]) -> TokenStream {
    if grants.is_empty() {
        return quote!(::core::option::Option::None);
    }
    let grants = grants.iter().map(|grant| match grant {
        Grant::Public => quote!(::monolift::call::Grant::Public),
        Grant::Service => quote!(::monolift::call::Grant::Service),
        Grant::User { roles, scopes } => quote!(::monolift::call::Grant::User {
            roles: &[#(#roles),*],
            scopes: &[#(#scopes),*],
        }),
    });
    quote!(::core::option::Option::Some(&::monolift::call::Rule { any_of: &[#(#grants),*] }))
}

#[cfg(test)]
mod tests {
    use quote::quote;

    /// What the compiler is told of an interface with this method, where Cargo.toml says `auth = true` or does not.
    fn told(attributes: &proc_macro2::TokenStream, stated: bool) -> String {
        let item = quote! {
            pub trait Stock {
                #[http(GET, "/stock")]
                #attributes
                async fn level(&self) -> Result<u32, StockError>;
            }
        };
        let expanded = crate::interface::interface_of(quote!(module = "stock"), item, &[], stated);
        expanded.to_string()
    }

    #[test]
    fn mistakes_are_told() {
        for (attribute, text) in [
            (quote!(#[auth]), "who may call it"),
            (quote!(#[auth()]), "who may call it"),
            (quote!(#[auth(users)]), "did you mean `user`?"),
            (quote!(#[auth(public, user)]), "`user` stands alone"),
            (quote!(#[auth(service, role = "staff")]), "`service` stands alone"),
            (quote!(#[auth(role)]), "expected `=`"),
            (quote!(#[auth(role = "")]), "a name without spaces"),
            (quote!(#[auth(scope = "a b")]), "a name without spaces"),
        ] {
            let told = told(&attribute, false);
            assert!(told.contains("compile_error") && told.contains(text), "{attribute}: {told}");
        }
    }

    /// What the compiler is told of an interface whose attribute says this.
    fn told_of(arguments: proc_macro2::TokenStream, stated: bool) -> String {
        let item = quote!(
            pub trait Stock {}
        );
        crate::interface::interface_of(arguments, item, &[], stated).to_string()
    }

    #[test]
    fn own_routes_say_who_may_ask_for_them() {
        let refused = told_of(quote!(module = "stock", routes = "/pictures"), true);
        assert!(refused.contains("own routes do not say who may ask"), "{refused}");
        assert!(!told_of(quote!(module = "stock", routes = "/p"), false).contains("compile_error"));
        let said = quote!(module = "stock", routes = "/p", auth(user), auth(scope = "p"));
        let said = told_of(said, true);
        assert!(!said.contains("compile_error") && said.contains("\"p\""), "{said}");
        let refused = told_of(quote!(module = "stock", auth(user)), false);
        assert!(refused.contains("and there are none"), "{refused}");
        let refused = told_of(quote!(module = "stock", routes = "/p", auth(users)), false);
        assert!(refused.contains("did you mean `user`?"), "{refused}");
    }

    #[test]
    fn every_routed_method_says_who_may_call_it_where_the_package_says_so() {
        let nothing = quote!();
        assert!(!told(&nothing, false).contains("compile_error"));
        let refused = told(&nothing, true);
        assert!(
            refused.contains("`level` has a route and does not say who may call it"),
            "{refused}"
        );
        for attribute in [quote!(#[auth(public)]), quote!(#[auth(user)] #[auth(service)])] {
            assert!(!told(&attribute, true).contains("compile_error"), "{attribute}");
        }
    }
}
