//! Methods with `#[local]`, which take their caller's transaction: their rules, and their part of the client.

use super::{
    attributes::MethodAttributes,
    expand::{declared, variable},
    parse::{Argument, Method},
};
use crate::errors::Errors;
use proc_macro2::TokenStream;
use quote::{quote, quote_spanned};
use std::path::PathBuf;
use syn::{Ident, Type, Visibility, ext::IdentExt, spanned::Spanned};

/// Checks that the attribute and the argument are there together, and no attribute of calls that are sent.
pub(super) fn check(
    name: &Ident,
    attributes: &MethodAttributes,
    arguments: &[Argument],
    errors: &mut Errors,
) {
    let transactions: Vec<&Argument> =
        arguments.iter().filter(|argument| is_transaction(&argument.written)).collect();
    if !attributes.local {
        for argument in transactions {
            errors.at(
                &argument.written,
                "a transaction does not reach another process: write `#[local]` above the method, which keeps caller \
                 and module in one process",
            );
        }
        return;
    }
    match transactions[..] {
        [_] => {}
        [] => errors.at(
            name,
            format!(
                "a method with `#[local]` takes its caller's transaction: write `async fn {name}(&self, tx: \
                 LocalTx<'_>, …)`"
            ),
        ),
        [_, second, ..] => errors.at(&second.written, "a call has one transaction"),
    }
    if let Some(http) = &attributes.http {
        errors.at(
            &http.path,
            "a method with `#[local]` has no route: it takes its caller's transaction, and a request has none",
        );
    }
    let others = [
        ("idempotent", attributes.idempotent),
        ("limit", attributes.limit.is_some()),
        ("errors", attributes.gives.is_some()),
    ];
    for (other, _) in others.iter().filter(|(_, is_there)| *is_there) {
        errors.at(
            name,
            format!(
                "`#[{other}]` means nothing beside `#[local]`: the method is called in its own process only, within its \
                 caller's transaction"
            ),
        );
    }
}

/// Whether a type is named `LocalTx`.
fn is_transaction(written: &Type) -> bool {
    let Type::Path(path) = written else { return false };
    path.path.segments.last().is_some_and(|last| last.ident == "LocalTx")
}

/// The methods that the package's Cargo.toml lists.
pub(super) fn listed() -> Vec<String> {
    let directory = PathBuf::from(std::env::var_os("CARGO_MANIFEST_DIR").unwrap_or_default());
    monolift_manifest::local_methods(&directory)
}

/// Checks that Cargo.toml lists these methods of the interface and no others. The build of a program reads the list
/// there, without compiling the interface.
pub(super) fn check_list(
    interface: &Ident,
    local: &[Method],
    listed: &[String],
    errors: &mut Errors,
) {
    let prefix = format!("{interface}::");
    let (own, others): (Vec<&String>, Vec<&String>) =
        listed.iter().partition(|method| method.starts_with(&prefix));
    let methods: Vec<(String, &Ident)> = local
        .iter()
        .map(|method| (format!("{prefix}{}", method.name.unraw()), &method.name))
        .collect();
    let names = || methods.iter().map(|(method, _)| method);
    let all: Vec<String> =
        others.into_iter().chain(names()).map(|method| format!("\"{method}\"")).collect();
    let line =
        format!("write `local = [{}]` under [package.metadata.monolift] there", all.join(", "));
    let missing: Vec<_> = methods.iter().filter(|(method, _)| !own.contains(&method)).collect();
    if let [(_, first), ..] = missing[..] {
        let missing: Vec<String> =
            missing.iter().map(|(method, _)| format!("`{method}`")).collect();
        errors.at(
            first,
            format!(
                "{} has `#[local]`, and this package's Cargo.toml does not list it for the build of programs: {line}",
                missing.join(", ")
            ),
        );
    }
    for method in own.into_iter().filter(|own| !names().any(|method| method == *own)) {
        errors.at(
            interface,
            format!(
                "this package's Cargo.toml lists `{method}` in `local`, and no method of that name has `#[local]`: {line}"
            ),
        );
    }
}

/// Has the interface compiled again when Cargo.toml changes, if what it says matters.
pub(super) fn tracked(matters: bool) -> Option<TokenStream> {
    matters.then(|| {
        quote! {
            const _: &[u8] = ::core::include_bytes!(::core::concat!(
                ::core::env!("CARGO_MANIFEST_DIR"),
                "/Cargo.toml"
            ));
        }
    })
}

/// ```text
/// pub async fn reserve_in(&self, tx: LocalTx<'_>, order: OrderId) -> Result<(), StockError> {
///     // the savepoint is outside of the call, so that a call that is cut is rolled back too
/// }
/// ```
pub(super) fn client_methods(vis: &Visibility, local: &[Method]) -> TokenStream {
    let methods = local.iter().enumerate().map(|(number, method)| {
        let Method { name, returns, arguments, attributes } = method;
        let docs = &attributes.docs;
        let declared = declared(arguments);
        let [module, lent, begun, call, answer] =
            ["module", "lent", "begun", "call", "answer"].map(variable);
        let transaction = arguments.iter().find(|argument| is_transaction(&argument.written));
        let transaction = transaction.map(|argument| &argument.name);
        let passed = arguments.iter().map(|argument| match &argument.name {
            name if Some(name) == transaction => quote!(#begun.tx()),
            name => quote!(#name),
        });
        // With the span of the return type, as for other methods.
        let awaited = quote_spanned!(returns.span()=> self.link.call_local(#number, #call).await);
        quote! {
            #[doc = #docs]
            #vis async fn #name(&self, #(#declared),*) -> #returns {
                let #module = self.link.here(#number)?;
                let mut #lent = #transaction.lent();
                let #call = ::std::boxed::Box::pin(async {
                    let mut #begun = #lent.begin().await?;
                    #module.#name(#(#passed),*).await
                });
                let #answer = #awaited;
                #lent.end(#answer).await
            }
        }
    });
    quote!(#(#methods)*)
}
