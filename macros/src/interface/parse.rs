//! Parses a trait into the data that the expansion needs, and reports all mistakes.

use super::{
    attributes::{self, ArgumentAttributes, MethodAttributes},
    auth, local,
};
use crate::errors::Errors;
use proc_macro2::TokenStream;
use syn::{
    FnArg, Ident, ItemTrait, LitStr, Pat, PathArguments, ReturnType, TraitItem, TraitItemFn, Type,
    TypeReference, parse::Parser, parse_quote_spanned, spanned::Spanned, visit::Visit,
};

/// An interface, as the author wrote it.
pub(super) struct Interface {
    pub(super) module: String,
    pub(super) docs: String,
    pub(super) methods: Vec<Method>,
    /// The methods with `#[local]`. They are not among the others.
    pub(super) local: Vec<Method>,
    /// The module's own routes.
    pub(super) routes: Option<OwnRoutes>,
}

/// The module's own routes: `routes = "/pictures", auth(user)`.
pub(super) struct OwnRoutes {
    pub(super) prefix: LitStr,
    pub(super) auth: Vec<auth::Grant>,
}

/// A method of the interface.
pub(super) struct Method {
    pub(super) name: Ident,
    pub(super) attributes: MethodAttributes,
    pub(super) arguments: Vec<Argument>,
    /// The complete return type, `Result<…>`.
    pub(super) returns: Type,
}

/// An argument of a method.
pub(super) struct Argument {
    pub(super) name: Ident,
    /// The type as written: `&str`.
    pub(super) written: Type,
    /// The type that is decoded: `String`.
    pub(super) owned: Type,
    pub(super) by_reference: bool,
    pub(super) attributes: ArgumentAttributes,
}

/// Parses the trait and removes the framework's attributes from it. `listed` are the methods that take their caller's
/// transaction, as Cargo.toml has them. `None` only if a mistake was
/// reported.
pub(super) fn read(
    arguments: TokenStream,
    item: &mut ItemTrait,
    listed: &[String],
    errors: &mut Errors,
) -> Option<Interface> {
    let (module, mut routes) = whole(arguments, item, errors);
    if !item.generics.params.is_empty() {
        errors
            .at(&item.generics, "an interface has no generic parameters: it stands for one module");
    }
    let docs = attributes::docs(&item.attrs);
    let auth = auth::take(&mut item.attrs, errors);
    let mut methods: Vec<Method> = Vec::new();
    for member in &mut item.items {
        match member {
            TraitItem::Fn(function) => methods.extend(method(function, errors)),
            other => errors.at(
                &*other,
                "an interface holds methods only: `async fn name(&self, …) -> Result<T, E>`",
            ),
        }
    }
    let unsaid = methods.iter_mut().map(|method| &mut method.attributes.auth);
    let unsaid = unsaid.chain(routes.as_mut().map(|routes| &mut routes.auth));
    for grants in unsaid.filter(|grants| grants.is_empty()) {
        grants.clone_from(&auth);
    }
    attributes::refuse_equal_routes(&methods, errors);
    let (local, methods): (Vec<_>, Vec<_>) =
        methods.into_iter().partition(|method| method.attributes.local);
    local::check_list(&item.ident, &local, listed, errors);
    Some(Interface { module: module?, docs, methods, local, routes })
}

/// What the attribute says of the whole interface: the module that owns it, which is the package's name without `-api`
/// unless it is said, and the module's own routes.
fn whole(
    arguments: TokenStream,
    item: &ItemTrait,
    errors: &mut Errors,
) -> (Option<String>, Option<OwnRoutes>) {
    let (mut said, mut routes, mut grants) = (None, None, Vec::new());
    let parser = syn::meta::parser(|meta| {
        if meta.path.is_ident("routes") {
            let prefix = meta.value()?.parse::<LitStr>()?;
            attributes::check_prefix(&prefix)?;
            routes = Some(prefix);
            return Ok(());
        }
        if meta.path.is_ident("auth") {
            let content;
            syn::parenthesized!(content in meta.input);
            let (span, tokens) = (meta.path.span(), content.parse::<TokenStream>()?);
            grants.push((span, auth::read(&parse_quote_spanned!(span=> #[auth(#tokens)]))?));
            return Ok(());
        }
        if meta.path.is_ident("module") {
            said = Some(meta.value()?.parse::<syn::LitStr>()?.value());
            return Ok(());
        }
        Err(meta.error("unknown argument: write `#[monolift::interface]`, or `#[monolift::interface(module = \"profiles\")]` inside a host's own crate"))
    });
    if errors.keep(parser.parse2(arguments)).is_none() {
        return (None, None);
    }
    if let (None, Some((span, _))) = (&routes, grants.first()) {
        let text = "`auth(…)` says who may ask for the module's own routes, and there are none: add `routes = \"/…\"`, or \
                    write `#[auth(…)]` above the trait for its methods";
        errors.at_span(*span, text);
    }
    let grants = grants.into_iter().map(|(_, grant)| grant).collect();
    let routes = routes.map(|prefix| OwnRoutes { prefix, auth: grants });
    let package = std::env::var("CARGO_PKG_NAME").unwrap_or_default();
    let module = said.or_else(|| package.strip_suffix("-api").map(str::to_owned));
    if module.is_none() {
        errors.at(
            &item.ident,
            format!(
                "the package `{package}` is no api package, so this interface belongs to no \
                 module: move it into a package `{package}-api`, or write \
                 `#[monolift::interface(module = \"…\")]` for a module inside a host's own crate"
            ),
        );
    }
    (module, routes)
}

fn method(function: &mut TraitItemFn, errors: &mut Errors) -> Option<Method> {
    let attributes = attributes::take(function, errors);
    let signature = &mut function.sig;
    let name = signature.ident.clone();
    if signature.asyncness.is_none() {
        errors.at(
            signature.fn_token,
            format!("a method of an interface is async: write `async fn {name}`"),
        );
    }
    if function.default.is_some() {
        let message = format!(
            "a method of an interface has no body: the module that provides the interface implements `{name}`, and a \
             call of it goes to that module. End the declaration with `;`"
        );
        errors.at(&name, message);
    }
    if !signature.generics.params.is_empty() {
        errors.at(
            &signature.generics,
            "a method of an interface has no generic parameters: name the types that cross",
        );
    }
    if name == "new" {
        errors.at(&name, "a method of an interface cannot be named `new`: its client has one");
    }
    match signature.inputs.first() {
        Some(FnArg::Receiver(receiver))
            if receiver.reference.is_some()
                && receiver.mutability.is_none()
                && receiver.colon_token.is_none() => {}
        Some(FnArg::Receiver(receiver)) => errors.at(
            receiver,
            "a module is shared by all its callers: write `&self`, and keep what changes in a \
             `State<T>` or the database",
        ),
        _ => errors.at(&signature.ident, format!("write `async fn {name}(&self, …)`")),
    }
    let arguments = signature
        .inputs
        .iter_mut()
        .filter_map(|input| match input {
            FnArg::Typed(typed) => argument(typed, errors),
            FnArg::Receiver(_) => None,
        })
        .collect::<Vec<_>>();
    let returns = match &signature.output {
        ReturnType::Type(_, returns) if is_result(returns) => {
            refuse_references(returns, errors);
            Some((**returns).clone())
        }
        output => {
            let wanted = match output {
                ReturnType::Type(_, returns) => {
                    let text = quote::quote!(#returns).to_string();
                    format!("Result<{text}, YourError>")
                }
                ReturnType::Default => "Result<(), YourError>".to_owned(),
            };
            let message = format!(
                "a method of an interface returns a `Result`: any call may one day cross a \
                 network. Write `-> {wanted}`"
            );
            match output {
                ReturnType::Default => errors.at(&signature.ident, message),
                output => errors.at(output, message),
            }
            None
        }
    };
    let attributes = attributes?;
    attributes.check_against(&arguments, errors);
    local::check(&name, &attributes, &arguments, errors);
    Some(Method { name, attributes, arguments, returns: returns? })
}

fn argument(typed: &mut syn::PatType, errors: &mut Errors) -> Option<Argument> {
    let attributes = attributes::take_argument(&mut typed.attrs, errors);
    let Pat::Ident(pattern) = &*typed.pat else {
        errors.at(&typed.pat, "an argument needs a name: peers and clients know it by that");
        return None;
    };
    let written = (*typed.ty).clone();
    let (owned, by_reference) = match &written {
        Type::Reference(reference) => (owned(reference, errors)?, true),
        plain => {
            refuse_references(plain, errors);
            (plain.clone(), false)
        }
    };
    Some(Argument { name: pattern.ident.clone(), written, owned, by_reference, attributes })
}

/// The owned type that is decoded for a reference.
fn owned(reference: &TypeReference, errors: &mut Errors) -> Option<Type> {
    if let Some(mutability) = &reference.mutability {
        errors.at(
            mutability,
            "what a caller passes may be in another process: take `&T` or `T`, and return what \
             changed",
        );
        return None;
    }
    let target = &*reference.elem;
    refuse_references(target, errors);
    Some(match target {
        Type::Path(path) if path.path.is_ident("str") => syn::parse_quote!(::std::string::String),
        Type::Path(path) if path.path.segments.last().is_some_and(|last| last.ident == "Path") => {
            syn::parse_quote!(::std::path::PathBuf)
        }
        Type::Slice(slice) => {
            let item = &slice.elem;
            syn::parse_quote!(::std::vec::Vec<#item>)
        }
        plain => plain.clone(),
    })
}

/// Refuses references inside a type. Only the whole argument may be a reference.
fn refuse_references(within: &Type, errors: &mut Errors) {
    struct Finder<'a>(&'a mut Errors);
    impl Visit<'_> for Finder<'_> {
        fn visit_type_reference(&mut self, reference: &TypeReference) {
            let target = &*reference.elem;
            let instead = match target {
                Type::Path(path) if path.path.is_ident("str") => "String".to_owned(),
                Type::Slice(slice) => {
                    let item = &slice.elem;
                    format!("Vec<{}>", quote::quote!(#item))
                }
                other => quote::quote!(#other).to_string(),
            };
            self.0.at(
                reference,
                format!(
                    "a reference inside another type, or in an answer, cannot cross to another \
                     process: write `{instead}`"
                ),
            );
        }

        fn visit_type_impl_trait(&mut self, item: &syn::TypeImplTrait) {
            self.0.at(item, "name the type: both sides of a call must know what crosses");
        }

        fn visit_type_trait_object(&mut self, item: &syn::TypeTraitObject) {
            self.0.at(item, "name the type: both sides of a call must know what crosses");
        }
    }
    Finder(errors).visit_type(within);
}

/// Whether a type is named `Result`: std's type or an alias of it.
fn is_result(returns: &Type) -> bool {
    let Type::Path(path) = returns else { return false };
    path.path.segments.last().is_some_and(|last| {
        last.ident == "Result" && matches!(last.arguments, PathArguments::AngleBracketed(_))
    })
}

impl Method {
    /// Where an error about the route points.
    pub(super) fn route_span(&self) -> proc_macro2::Span {
        self.attributes.http.as_ref().map_or_else(|| self.name.span(), |http| http.path.span())
    }
}
