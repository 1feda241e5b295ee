//! The name of Monolift in the code that the macros emit.
//!
//! The macros write `::monolift`. The crate that uses them may depend on `monolift-call` alone, as the crate of an
//! interface does, or have another name for either in its Cargo.toml.

use proc_macro2::{Group, Ident, Literal, Punct, Spacing, TokenStream, TokenTree};
use std::path::{Path, PathBuf};

/// What the macros write.
const WRITTEN: &str = "monolift";

/// The same tokens, with the name that the crate that is compiled has for Monolift.
pub(crate) fn named(tokens: TokenStream) -> TokenStream {
    let directory = PathBuf::from(std::env::var_os("CARGO_MANIFEST_DIR").unwrap_or_default());
    match &*name_in(&directory) {
        WRITTEN => tokens,
        name => renamed(tokens, name),
    }
}

/// The name is read for each use of a macro: rust-analyzer expands the macros of all crates in one process.
fn name_in(directory: &Path) -> String {
    let name = monolift_manifest::name_of(directory, &["monolift", "monolift-call"]);
    // Without either the compiler says that `monolift` is missing, which is right.
    name.map_or_else(|| WRITTEN.to_owned(), |name| name.replace('-', "_"))
}

/// Renames `::monolift`, and nothing else of that name.
fn renamed(tokens: TokenStream, name: &str) -> TokenStream {
    // What stands before a token.
    let mut before = Before::Other;
    let rename = |token: TokenTree| {
        let is_rooted = before == Before::Root;
        before = match (&token, before) {
            (TokenTree::Punct(punct), Before::Colon) if punct.as_char() == ':' => Before::Root,
            (TokenTree::Punct(punct), Before::Word) if begins_separator(punct) => Before::Other,
            (TokenTree::Punct(punct), _) if begins_separator(punct) => Before::Colon,
            (TokenTree::Punct(punct), _) if punct.as_char() == '\'' => Before::Quote,
            (TokenTree::Ident(_), Before::Quote) => Before::Other,
            (TokenTree::Ident(ident), _) if !is_keyword(ident) => Before::Word,
            _ => Before::Other,
        };
        match token {
            TokenTree::Ident(ident) if is_rooted && ident == WRITTEN => {
                TokenTree::Ident(Ident::new(name, ident.span()))
            }
            TokenTree::Literal(literal) => TokenTree::Literal(renamed_literal(literal, name)),
            TokenTree::Group(group) => {
                let mut inner = Group::new(group.delimiter(), renamed(group.stream(), name));
                inner.set_span(group.span());
                TokenTree::Group(inner)
            }
            token => token,
        }
    };
    tokens.into_iter().map(rename).collect()
}

#[derive(Debug, Clone, Copy, PartialEq, Eq)]
enum Before {
    /// A word that a path can go on behind.
    Word,
    /// The quote of a lifetime.
    Quote,
    /// The first colon of a `::` that begins a path.
    Colon,
    /// A `::` that begins a path.
    Root,
    Other,
}

/// Whether this is the first half of `::`.
fn begins_separator(punct: &Punct) -> bool {
    punct.as_char() == ':' && punct.spacing() == Spacing::Joint
}

/// Whether a path can begin behind this word.
fn is_keyword(ident: &Ident) -> bool {
    ["as", "dyn", "for", "impl", "in", "mut", "pub", "return", "use", "where"]
        .iter()
        .any(|keyword| ident == keyword)
}

/// serde and schemars take a path as a text.
fn renamed_literal(literal: Literal, name: &str) -> Literal {
    let text = literal.to_string();
    let Some(path) = text.strip_prefix("\"::monolift::__private::") else { return literal };
    let path = path.trim_end_matches('"');
    let mut renamed = Literal::string(&format!("::{name}::__private::{path}"));
    renamed.set_span(literal.span());
    renamed
}

#[cfg(test)]
mod tests {
    use super::*;
    use quote::quote;

    #[test]
    fn each_crate_of_one_process_has_its_own_name() {
        let root = Path::new(env!("CARGO_MANIFEST_DIR")).parent().unwrap();
        let name_of = |package: &str| name_in(&root.join(package));
        assert_eq!(name_of("modules/stock/api"), "monolift_call");
        assert_eq!(name_of("modules/stock"), "monolift");
        assert_eq!(name_of("tests/renamed"), "lift");
    }

    #[test]
    fn only_the_rooted_name_is_another_one() {
        let tokens = quote! {
            #[serde(crate = "::monolift::__private::serde")]
            fn monolift(a: &'static ::monolift::A) -> ::monolift::Page { a::monolift::b(<dyn ::monolift::D>::std::monolift(), { ::monolift::c }) }
        };
        let expected = quote! {
            #[serde(crate = "::lift::__private::serde")]
            fn monolift(a: &'static ::lift::A) -> ::lift::Page { a::monolift::b(<dyn ::lift::D>::std::monolift(), { ::lift::c }) }
        };
        assert_eq!(renamed(tokens, "lift").to_string(), expected.to_string());
    }
}
