//! Emits the trait, its client, its descriptor and its registration.

use super::{
    auth, local,
    parse::{Argument, Interface, Method, OwnRoutes},
};
use crate::interface_error::kebab;
use proc_macro2::{Span, TokenStream};
use quote::{format_ident, quote, quote_spanned};
use std::time::Duration;
use syn::{Ident, ItemTrait, ext::IdentExt, spanned::Spanned};

/// ```text
/// #[interface] trait Stock { async fn level(&self, …) -> …; }
/// ```
/// becomes the same trait, made dyn-safe by async-trait and with `Send + Sync` as supertraits.
pub(super) fn the_trait(item: &ItemTrait) -> TokenStream {
    let mut item = item.clone();
    item.supertraits.push(syn::parse_quote!(::core::marker::Send));
    item.supertraits.push(syn::parse_quote!(::core::marker::Sync));
    item.supertraits.push(syn::parse_quote!('static));
    item.colon_token.get_or_insert_default();
    quote!(#[::monolift::async_trait] #item)
}

/// `stated`: whether the package's Cargo.toml has been asked for more than the name.
pub(super) fn the_rest(item: &ItemTrait, interface: &Interface, stated: bool) -> TokenStream {
    let client = client(item, interface);
    let as_trait = client_as_trait(item, interface);
    let implementation = interface_impl(item, interface, stated);
    quote!(#client #as_trait #implementation)
}

/// ```text
/// #[derive(Clone)]
/// pub struct StockClient { link: Link<dyn Stock> }
/// impl StockClient {
///     pub async fn level(&self, sku: Sku) -> Result<Level, StockError> {
///         // in this process: the module's own method; else: its arguments, encoded
///     }
/// }
/// ```
fn client(item: &ItemTrait, interface: &Interface) -> TokenStream {
    let (vis, name) = (&item.vis, &item.ident);
    let client = format_ident!("{name}Client");
    let docs = format!("Calls [`{name}`], wherever its module runs. Cheap to clone.");
    let local = local::client_methods(vis, &interface.local);
    let methods = interface.methods.iter().enumerate().map(|(number, method)| {
        let Method { name, returns, arguments, attributes } = method;
        let docs = &attributes.docs;
        let passed = arguments.iter().map(|argument| &argument.name);
        let declared = declared(arguments);
        let sent = sent_arguments(arguments);
        // With the span of the return type, so that the error for an answer that cannot be sent
        // points at it.
        let arguments = variable("arguments");
        let send = quote_spanned!(returns.span()=> self.link.send(#number, &#arguments).await);
        let module = variable("module");
        let call = if attributes.limit.is_some() { "call_limited" } else { "call" };
        // With the same span, for the same reason.
        let call = format_ident!("{call}", span = returns.span());
        let passed = quote_spanned!(returns.span()=>
            self.link.#call(#number, #module.#name(#(#passed),*)).await
        );
        quote! {
            #[doc = #docs]
            #vis async fn #name(&self, #(#declared),*) -> #returns {
                match self.link.local() {
                    ::core::option::Option::Some(#module) => #passed,
                    ::core::option::Option::None => {
                        #sent
                        #send
                    }
                }
            }
        }
    });
    quote! {
        #[doc = #docs]
        #[derive(Clone, Debug)]
        #vis struct #client {
            link: ::monolift::link::Link<dyn #name>,
        }

        #[allow(clippy::too_many_arguments)]
        impl #client {
            /// A client that calls `module` directly, such as a fake in a test.
            #[allow(dead_code)]
            #vis fn new(module: impl #name) -> Self {
                Self { link: ::monolift::link::Link::to(::std::sync::Arc::new(module)) }
            }

            #(#methods)*

            #local
        }
    }
}

pub(super) fn declared(arguments: &[Argument]) -> Vec<TokenStream> {
    let declare = |Argument { name, written, .. }: &Argument| quote!(#name: #written);
    arguments.iter().map(declare).collect()
}

/// A variable name in generated code. It cannot clash with an argument of the author's method.
pub(super) fn variable(name: &str) -> Ident {
    Ident::new(name, Span::mixed_site())
}

/// `let arguments = Arguments { sku: Sent(&sku) };`
fn sent_arguments(arguments: &[Argument]) -> TokenStream {
    let lifetime = (!arguments.is_empty()).then(|| quote!(<'a>));
    let fields =
        arguments.iter().map(|Argument { name, written, by_reference, .. }| match written {
            syn::Type::Reference(reference) if *by_reference => {
                let target = &reference.elem;
                quote!(#name: &'a #target)
            }
            // With the span of the argument's type, so that the error for a type that cannot be
            // sent points at it.
            written => {
                quote_spanned!(written.span()=> #name: ::monolift::interface::Sent<'a, #written>)
            }
        });
    let values = arguments.iter().map(|Argument { name, by_reference, .. }| {
        if *by_reference {
            quote!(#name)
        } else {
            quote!(#name: ::monolift::interface::Sent(&#name))
        }
    });
    let bound = variable("arguments");
    quote! {
        #[derive(::monolift::__private::serde::Serialize)]
        #[serde(crate = "::monolift::__private::serde")]
        struct __Arguments #lifetime { #(#fields),* }
        let #bound = __Arguments { #(#values),* };
    }
}

/// Implements the trait for its client.
fn client_as_trait(item: &ItemTrait, interface: &Interface) -> TokenStream {
    let name = &item.ident;
    let client = format_ident!("{name}Client");
    let methods = interface.methods.iter().chain(&interface.local).map(|method| {
        let Method { name, returns, arguments, .. } = method;
        let passed = arguments.iter().map(|argument| &argument.name);
        let declared = declared(arguments);
        quote! {
            async fn #name(&self, #(#declared),*) -> #returns {
                #client::#name(self, #(#passed),*).await
            }
        }
    });
    quote! {
        #[::monolift::async_trait]
        impl #name for #client {
            #(#methods)*
        }
    }
}

/// Emits the descriptor, the function that turns a decoded call into a method call, and the
/// registration.
fn interface_impl(item: &ItemTrait, interface: &Interface, stated: bool) -> TokenStream {
    let name = &item.ident;
    let client = format_ident!("{name}Client");
    let Interface { module, docs, methods, local, routes } = interface;
    let name_text = name.to_string();
    let routes = match routes {
        Some(OwnRoutes { prefix, auth }) => {
            let callee = callee_of("routes", None, auth, &name_text, module);
            quote!(::core::option::Option::Some(::monolift::interface::OwnRoutes {
                prefix: #prefix,
                callee: #callee,
            }))
        }
        None => quote!(::core::option::Option::None),
    };
    let count = methods.len();
    let descriptors = methods.iter().map(|method| descriptor(method, &name_text, module));
    let (local_count, tracked) = (local.len(), local::tracked(stated || !local.is_empty()));
    let locals = local.iter().map(|method| callee(method, &name_text, module));
    let arms = methods.iter().enumerate().map(|(number, method)| arm(number, method));
    quote! {
        const _: () = {
            #tracked
            static METHODS: [::monolift::interface::Method; #count] = [#(#descriptors),*];

            static LOCAL: [::monolift::call::Callee; #local_count] = [#(#locals),*];

            static DESCRIPTOR: ::monolift::interface::InterfaceDescriptor =
                ::monolift::interface::InterfaceDescriptor {
                    module: #module,
                    name: #name_text,
                    docs: #docs,
                    methods: &METHODS,
                    local: &LOCAL,
                    routes: #routes,
                    hash: ::std::sync::OnceLock::new(),
                };

            impl ::monolift::link::Interface for dyn #name {
                type Client = #client;

                const MODULE: &'static str = #module;

                #[inline]
                fn descriptor() -> &'static ::monolift::interface::InterfaceDescriptor {
                    &DESCRIPTOR
                }

                fn client(link: ::monolift::link::Link<Self>) -> #client {
                    #client { link }
                }

                fn invoke<P: ::monolift::interface::Protocol>(
                    client: #client,
                    method: usize,
                    input: P::Input,
                ) -> ::monolift::__private::BoxFuture<'static, P::Output> {
                    match method {
                        #(#arms)*
                        _ => ::std::boxed::Box::pin(::core::future::ready(P::unknown_method(input))),
                    }
                }
            }

            ::monolift::__register_interface!(dyn #name, #client);
        };
    }
}

/// What a call of the method carries with it.
fn callee(method: &Method, interface: &str, module: &str) -> TokenStream {
    let (name, attributes) = (method.name.unraw().to_string(), &method.attributes);
    callee_of(&name, attributes.deadline, &attributes.auth, interface, module)
}

fn callee_of(
    name: &str,
    deadline: Option<Duration>,
    auth: &[auth::Grant],
    interface: &str,
    module: &str,
) -> TokenStream {
    let deadline = match deadline {
        None => quote!(::core::option::Option::None),
        Some(deadline) => {
            let nanos = u64::try_from(deadline.as_nanos()).unwrap_or(u64::MAX);
            quote!(::core::option::Option::Some(::core::time::Duration::from_nanos(#nanos)))
        }
    };
    let rule = auth::rule(auth);
    quote! {
        ::monolift::call::Callee {
            module: #module,
            interface: #interface,
            method: #name,
            deadline: #deadline,
            rule: #rule,
            meter: ::monolift::call::Meter::new(),
        }
    }
}

fn descriptor(method: &Method, interface: &str, module: &str) -> TokenStream {
    let Method { attributes, arguments, returns, .. } = method;
    let (callee, docs, idempotent) =
        (callee(method, interface, module), &attributes.docs, attributes.idempotent);
    let limit = match attributes.limit {
        None => quote!(::core::option::Option::None),
        Some(limit) => quote!(::core::option::Option::Some(#limit)),
    };
    let route = match &attributes.http {
        None => quote!(::core::option::Option::None),
        Some(http) => {
            let verb = &http.verb;
            let verb = format_ident!(
                "{}{}",
                &verb.to_string()[..1],
                verb.to_string()[1..].to_lowercase(),
                span = verb.span()
            );
            let path = &http.path;
            let body = match &http.body {
                None => quote!(::core::option::Option::None),
                Some(body) => {
                    let body = body.unraw().to_string();
                    quote!(::core::option::Option::Some(#body))
                }
            };
            let created = match &http.created {
                None => quote!(::core::option::Option::None),
                Some(created) => quote!(::core::option::Option::Some(#created)),
            };
            let idempotency_key = http.idempotency_key;
            quote!(::core::option::Option::Some(::monolift::interface::Route {
                method: ::monolift::interface::HttpMethod::#verb,
                path: #path,
                body: #body,
                created: #created,
                idempotency_key: #idempotency_key,
            }))
        }
    };
    let described = arguments.iter().map(|Argument { name, owned, attributes, .. }| {
        let (text, may_be_ignored) = (name.unraw().to_string(), attributes.may_be_ignored);
        let schema = schema(owned, &attributes.schemars);
        let default = if attributes.serde.is_empty() {
            quote!(::core::option::Option::None)
        } else {
            let default =
                quote_spanned!(owned.span()=> ::monolift::__private::default_of::<#owned>);
            quote!(::core::option::Option::Some(#default))
        };
        quote!(::monolift::interface::Argument {
            name: #text,
            schema: #schema,
            default: #default,
            may_be_ignored: #may_be_ignored,
        })
    });
    let answer = quote_spanned!(returns.span()=>
        ::monolift::interface::Schema::of::<<#returns as ::monolift::interface::Returned>::Answer>()
    );
    let error = quote_spanned!(returns.span()=>
        ::monolift::interface::Schema::of::<<#returns as ::monolift::interface::Returned>::Error>()
    );
    let responses = quote_spanned!(returns.span()=>
        <<#returns as ::monolift::interface::Returned>::Error as ::monolift::InterfaceError>::RESPONSES
    );
    let gives = gives(returns, attributes.gives.as_deref());
    quote! {
        ::monolift::interface::Method {
            callee: #callee,
            docs: #docs,
            idempotent: #idempotent,
            limit: #limit,
            route: #route,
            arguments: &[#(#described),*],
            answer: #answer,
            error: #error,
            responses: #responses,
            gives: #gives,
        }
    }
}

/// ```text
/// #[errors(SoldOut)]
/// ```
/// becomes the codes of the variants. The pattern makes the compiler refuse a variant that the error does not have.
fn gives(returns: &syn::Type, variants: Option<&[Ident]>) -> TokenStream {
    let Some(variants) = variants else { return quote!(::core::option::Option::None) };
    let codes = variants.iter().map(|variant| kebab(&variant.unraw().to_string()));
    let checked = (!variants.is_empty()).then(|| {
        quote! {
            type __Error = <#returns as ::monolift::interface::Returned>::Error;
            let _ = |error: &__Error| ::core::matches!(error, #(__Error::#variants { .. })|*);
        }
    });
    quote!({
        #checked
        ::core::option::Option::Some(&[#(#codes),*] as &'static [&'static str])
    })
}

/// The schema of an argument's type, with what the argument's own attributes add to it.
fn schema(owned: &syn::Type, bounds: &[syn::Attribute]) -> TokenStream {
    // Spanned, so that a type that cannot be carried is pointed at where it is written.
    let plain = quote_spanned!(owned.span()=> ::monolift::interface::Schema::of::<#owned>());
    if bounds.is_empty() {
        return plain;
    }
    quote!({
        #[derive(::monolift::__private::schemars::JsonSchema)]
        #[schemars(crate = "::monolift::__private::schemars", inline)]
        #[allow(dead_code)]
        struct __Bounded(#(#bounds)* #owned);
        ::monolift::interface::Schema::bounded::<#owned, __Bounded>()
    })
}

/// ```text
/// 0 => Box::pin(P::run(input, |arguments: Arguments| async move {
///     client.level(arguments.sku).await
/// })),
/// ```
fn arm(number: usize, method: &Method) -> TokenStream {
    let Method { name, arguments, returns, .. } = method;
    let fields = arguments.iter().map(|Argument { name, owned, attributes, .. }| {
        let serde = &attributes.serde;
        quote_spanned!(owned.span()=> #(#serde)* #name: ::monolift::interface::Received<#owned>)
    });
    let passed = arguments.iter().map(|Argument { name, by_reference, .. }| {
        if *by_reference { quote!(&arguments.#name.0) } else { quote!(arguments.#name.0) }
    });
    let unused = arguments.is_empty().then(|| quote!(let __Arguments {} = arguments;));
    let run = quote_spanned!(returns.span()=> P::run);
    quote! {
        #number => {
            #[derive(::monolift::__private::serde::Deserialize)]
            #[serde(crate = "::monolift::__private::serde")]
            struct __Arguments { #(#fields),* }
            ::std::boxed::Box::pin(#run(input, move |arguments: __Arguments| async move {
                #unused
                client.#name(#(#passed),*).await
            }))
        }
    }
}
