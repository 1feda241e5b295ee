//! `#[monolift::module]`: a struct whose fields are injected by their types.

use crate::{errors::Errors, migrations};
use monolift_manifest::{Workspace, nearest};
use proc_macro2::TokenStream;
use quote::{ToTokens, quote, quote_spanned};
use std::path::PathBuf;
use syn::{
    Field, Fields, Ident, ItemStruct, LitStr, Path, Token, bracketed,
    parse::{Parse, ParseStream},
    punctuated::Punctuated,
    spanned::Spanned,
};

/// `provides = Orders, work = [Settle], on = [OrderPlaced], lifecycle, name = "orders"`.
#[derive(Default)]
struct Arguments {
    provides: Vec<Path>,
    work: Vec<Path>,
    on: Vec<Path>,
    lifecycle: bool,
    routes: bool,
    name: Option<LitStr>,
}

impl Parse for Arguments {
    fn parse(input: ParseStream<'_>) -> syn::Result<Self> {
        const KNOWN: [&str; 6] = ["provides", "work", "on", "lifecycle", "routes", "name"];
        let mut arguments = Self::default();
        while !input.is_empty() {
            let key: Ident = input.parse()?;
            match key.to_string().as_str() {
                "lifecycle" => arguments.lifecycle = true,
                "routes" => arguments.routes = true,
                "name" => {
                    input.parse::<Token![=]>()?;
                    arguments.name = Some(input.parse()?);
                }
                "provides" => arguments.provides = paths(input)?,
                "work" => arguments.work = paths(input)?,
                "on" => arguments.on = paths(input)?,
                unknown => {
                    let help = match nearest(unknown, KNOWN) {
                        Some(near) => format!("did you mean `{near}`?"),
                        None => "a module takes `provides = Interface`, `work = [Piece]`, \
                                 `on = [Event]`, `lifecycle`, `routes` and `name = \"…\"`"
                            .to_owned(),
                    };
                    return Err(syn::Error::new(
                        key.span(),
                        format!("unknown argument `{unknown}`: {help}"),
                    ));
                }
            }
            if !input.is_empty() {
                input.parse::<Token![,]>()?;
            }
        }
        Ok(arguments)
    }
}

/// `= Orders` or `= [Orders, Refunds]`.
fn paths(input: ParseStream<'_>) -> syn::Result<Vec<Path>> {
    input.parse::<Token![=]>()?;
    if !input.peek(syn::token::Bracket) {
        return Ok(vec![input.parse()?]);
    }
    let list;
    bracketed!(list in input);
    Ok(Punctuated::<Path, Token![,]>::parse_terminated(&list)?.into_iter().collect())
}

pub(crate) fn module(arguments: TokenStream, item: TokenStream) -> TokenStream {
    let mut errors = Errors::default();
    let arguments = errors.keep(syn::parse2::<Arguments>(arguments));
    let Some(item) = errors.keep(syn::parse2::<ItemStruct>(item.clone())) else {
        let errors = errors.finish();
        return quote!(#item #errors);
    };
    let expanded = arguments.and_then(|arguments| expand(&arguments, &item, &mut errors));
    let errors = errors.finish();
    match (&errors, expanded) {
        (None, Some(expanded)) => quote!(#item #expanded),
        _ => quote!(#[allow(dead_code)] #item #errors),
    }
}

/// What is known of the module beside its struct.
struct Surroundings {
    package: String,
    module: String,
    declared: Vec<String>,
    migrations: TokenStream,
}

impl Surroundings {
    fn of(arguments: &Arguments, name: &Ident, errors: &mut Errors) -> Option<Self> {
        let directory = PathBuf::from(std::env::var_os("CARGO_MANIFEST_DIR").unwrap_or_default());
        let package = std::env::var("CARGO_PKG_NAME").unwrap_or_default();
        let module = arguments.name.as_ref().map_or_else(|| package.clone(), LitStr::value);
        let workspace = errors.keep(
            Workspace::find(&directory).map_err(|problems| syn::Error::new(name.span(), problems)),
        )?;
        let declared = declared_dependencies(&workspace, &package, &module);
        let migrations = errors.keep(
            migrations::of([&directory, &workspace.root], &module)
                .map_err(|message| syn::Error::new(name.span(), message)),
        )?;
        Some(Self { package, module, declared, migrations })
    }
}

fn expand(arguments: &Arguments, item: &ItemStruct, errors: &mut Errors) -> Option<TokenStream> {
    let name = &item.ident;
    let fields = fields_of(item, errors)?;
    let around = Surroundings::of(arguments, name, errors)?;
    let checks = checks(arguments, &fields, &around);
    let facts = facts(arguments, &fields, &around);
    let construct = construct(item, &fields);
    let publish = publish(&arguments.provides);
    let optional = [
        work(&arguments.work),
        on(&arguments.on),
        arguments.routes.then(routes),
        arguments.lifecycle.then(lifecycle),
    ];
    Some(quote! {
        const _: () = {
            #checks
            #facts

            impl ::monolift::module::Module for #name {
                fn facts() -> &'static ::monolift::module::ModuleFacts {
                    &FACTS
                }

                #[allow(unused_variables)]
                async fn inject(
                    injector: ::monolift::module::Injector,
                ) -> ::core::result::Result<Self, ::monolift::StartError> {
                    ::core::result::Result::Ok(#construct)
                }

                #[allow(unused_variables)]
                fn publish(this: &::std::sync::Arc<Self>, links: &::monolift::link::Links) {
                    #publish
                }

                #(#optional)*
            }

            ::monolift::__register_module!(#name);
        };
    })
}

fn fields_of<'a>(item: &'a ItemStruct, errors: &mut Errors) -> Option<Vec<&'a Field>> {
    if !item.generics.params.is_empty() {
        errors.at(&item.generics, "a module has no generic parameters: a process has one of it");
        return None;
    }
    match &item.fields {
        Fields::Named(fields) => Some(fields.named.iter().collect()),
        Fields::Unit => Some(Vec::new()),
        Fields::Unnamed(fields) => {
            errors.at(fields, "name the fields of a module: errors at the start speak of them");
            None
        }
    }
}

fn name_of(field: &Field) -> String {
    field.ident.as_ref().map(Ident::to_string).unwrap_or_default()
}

/// `stock: StockClient` becomes `stock: injector.field::<StockClient>("stock").await?`.
///
/// It has the span of the field's type, so that the error for a type that cannot be injected points at it.
fn construct(item: &ItemStruct, fields: &[&Field]) -> TokenStream {
    if matches!(item.fields, Fields::Unit) {
        return quote!(Self);
    }
    let fields = fields.iter().map(|field| {
        let (name, ty, text) = (&field.ident, &field.ty, name_of(field));
        quote_spanned!(ty.span()=> #name: injector.field::<#ty>(#text).await?)
    });
    quote!(Self { #(#fields),* })
}

/// What fails at compile time: a client of a module that Cargo.toml does not name, and an interface of another
/// module.
fn checks(arguments: &Arguments, fields: &[&Field], around: &Surroundings) -> TokenStream {
    let Surroundings { package, module, declared, .. } = around;
    let calls = fields.iter().map(|field| {
        let ty = &field.ty;
        let message = format!(
            "`{package}` calls the module behind `{}`, and its Cargo.toml does not say so: add \
             that module's api package to its [dependencies]",
            shown(ty)
        );
        quote_spanned!(ty.span()=>
            const _: () = ::core::assert!(
                ::monolift::module::is_declared(<#ty as ::monolift::Inject>::CALLS, DECLARED),
                #message
            );
        )
    });
    let provides = arguments.provides.iter().map(|interface| {
        let message = format!(
            "`{}` belongs to another module than `{module}`: the module that provides an \
             interface is the one whose api package declares it",
            shown(interface)
        );
        quote_spanned!(interface.span()=>
            const _: () = ::core::assert!(
                ::monolift::module::is_same(
                    <dyn #interface as ::monolift::link::Interface>::MODULE,
                    #module
                ),
                #message
            );
        )
    });
    let on = arguments.on.iter().map(|event| {
        let message = format!(
            "`{package}` listens to `{}`, and its Cargo.toml does not name the module that publishes \
             it: add that module's api package to its [dependencies]",
            shown(event)
        );
        quote_spanned!(event.span()=>
            const _: () = ::core::assert!(
                ::monolift::module::may_hear(
                    <#event as ::monolift::Event>::MODULE,
                    #module,
                    DECLARED
                ),
                #message
            );
        )
    });
    quote! {
        const DECLARED: &[&str] = &[#(#declared),*];
        #(#calls)*
        #(#provides)*
        #(#on)*
    }
}

fn shown(tokens: &impl ToTokens) -> String {
    tokens.to_token_stream().to_string().replace(' ', "")
}

/// The module's `static FACTS`.
fn facts(arguments: &Arguments, fields: &[&Field], around: &Surroundings) -> TokenStream {
    let Surroundings { module, migrations, .. } = around;
    let has_routes = arguments.routes;
    let provides = arguments.provides.iter().map(|interface| {
        quote_spanned!(interface.span()=> ::monolift::link::InterfaceEntry::of::<dyn #interface>())
    });
    let needs = fields.iter().map(|field| {
        let (ty, text) = (&field.ty, name_of(field));
        quote_spanned!(ty.span()=> (#text, <#ty as ::monolift::Inject>::need))
    });
    let work = arguments
        .work
        .iter()
        .map(|piece| quote_spanned!(piece.span()=> <#piece as ::monolift::Piece>::NAME));
    let on = arguments.on.iter().map(|event| {
        quote_spanned!(event.span()=> (
            <#event as ::monolift::Event>::MODULE,
            <#event as ::monolift::Event>::NAME,
        ))
    });
    quote! {
        static FACTS: ::monolift::module::ModuleFacts = ::monolift::module::ModuleFacts {
            name: #module,
            package: ::core::env!("CARGO_PKG_NAME"),
            calls: DECLARED,
            provides: &[#(#provides),*],
            needs: &[#(#needs),*],
            migrations: &#migrations,
            work: &[#(#work),*],
            on: &[#(#on),*],
            routes: #has_routes,
        };
    }
}

/// Binds `this` as each interface that it provides.
fn publish(provides: &[Path]) -> TokenStream {
    let publish = provides.iter().map(|interface| {
        quote_spanned!(interface.span()=> {
            let module: ::std::sync::Arc<dyn #interface> = this.clone();
            links.link::<dyn #interface>().bind(module);
        })
    });
    quote!(#(#publish)*)
}

fn lifecycle() -> TokenStream {
    quote! {
        fn lifecycle(
            this: &::std::sync::Arc<Self>,
        ) -> ::core::option::Option<::std::sync::Arc<dyn ::monolift::Lifecycle>> {
            ::core::option::Option::Some(this.clone())
        }
    }
}

fn routes() -> TokenStream {
    quote! {
        fn routes(
            this: &::std::sync::Arc<Self>,
        ) -> ::core::option::Option<::monolift::module::Router> {
            ::core::option::Option::Some(::monolift::Routes::routes(this.clone()))
        }
    }
}

fn work(pieces: &[Path]) -> Option<TokenStream> {
    let kinds = pieces.iter().map(|piece| {
        quote_spanned!(piece.span()=> ::monolift::data::work::WorkKind::of::<#piece, Self>(this))
    });
    (!pieces.is_empty()).then(|| {
        quote! {
            fn work(
                this: &::std::sync::Arc<Self>,
            ) -> ::std::vec::Vec<::monolift::data::work::WorkKind> {
                ::std::vec![#(#kinds),*]
            }
        }
    })
}

fn on(events: &[Path]) -> Option<TokenStream> {
    let kinds = events.iter().map(|event| {
        quote_spanned!(event.span()=> ::monolift::data::events::Heard::of::<#event, Self>(this))
    });
    (!events.is_empty()).then(|| {
        quote! {
            fn on(
                this: &::std::sync::Arc<Self>,
            ) -> ::std::vec::Vec<::monolift::data::events::Heard> {
                ::std::vec![#(#kinds),*]
            }
        }
    })
}

/// The modules whose api packages this package depends on directly.
fn declared_dependencies(workspace: &Workspace, package: &str, module: &str) -> Vec<String> {
    let Some(package) = workspace.package(package) else { return Vec::new() };
    let declared = workspace.declared(package, |_| false).map(|(declared, _)| declared);
    declared.filter(|declared| *declared != module).map(str::to_owned).collect()
}
