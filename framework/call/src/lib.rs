//! What the crate of an interface needs of Monolift: the trait's macro, its client, and the errors of calls.
//!
//! ```
//! use monolift_call::{CallError, InterfaceError, Page};
//! use schemars::JsonSchema;
//! use serde::{Deserialize, Serialize};
//! use thiserror::Error;
//!
//! /// Stock levels. In a package `stock-api`, `module` is not needed.
//! #[monolift_call::interface(module = "stock")]
//! pub trait Stock {
//!     /// Units on hand for one product.
//!     #[http(GET, "/products/{sku}/stock")]
//!     #[idempotent]
//!     async fn level(&self, sku: String) -> Result<u32, StockError>;
//! }
//!
//! #[derive(Debug, Error, Serialize, Deserialize, JsonSchema, InterfaceError)]
//! pub enum StockError {
//!     #[error("no product {0}")]
//!     #[status(404)]
//!     UnknownProduct(String),
//!     #[error(transparent)]
//!     Call(CallError), // how any call can fail
//! }
//! ```
//!
//! The crate of a module uses `monolift`, which has all of this and what runs a module. This crate has no
//! database, no web framework and no sockets, so that the crates of interfaces compile fast.
//!
//! Without the feature `client`, which is on by default, `#[interface]` emits the trait alone, and this crate has
//! what the types of an interface need: no runtime, and nothing that needs an operating system. A front end uses
//! the crate of an interface like this.
//!
//! The modules of this crate are for the other crates of Monolift. Only the items that are documented here are
//! covered by its version.

#[cfg(panic = "abort")]
compile_error!(
    "a panic in a module is an error to its caller, never the end of the process: \
     take `panic = \"abort\"` out of the profile"
);

// The macros name this crate as its users do.
#[cfg(test)]
extern crate self as monolift_call;

#[cfg(feature = "client")]
#[doc(hidden)]
pub mod call;
#[cfg(not(feature = "client"))]
#[path = "call/types_only.rs"]
#[doc(hidden)]
#[allow(dead_code, unreachable_pub, reason = "calls use what these types alone do not")]
pub mod call;
#[cfg(feature = "client")]
#[doc(hidden)]
pub mod carry;
#[doc(hidden)]
pub mod event;
#[cfg(feature = "client")]
#[doc(hidden)]
pub mod http;
#[cfg(feature = "client")]
#[doc(hidden)]
pub mod inject;
#[cfg(feature = "client")]
#[doc(hidden)]
pub mod interface;
#[cfg(not(feature = "client"))]
#[path = "interface/types_only.rs"]
#[doc(hidden)]
pub mod interface;
#[cfg(feature = "client")]
#[doc(hidden)]
pub mod link;
mod secret;
#[cfg(feature = "client")]
mod start_error;

pub use async_trait::async_trait;
pub use call::{CallError, CallErrorKind, InterfaceError, LocalTx, Reference, RetryAdvice};
#[cfg(feature = "client")]
pub use call::{Context, NotTheirs, Principal, spawn, trace_headers};
#[cfg(feature = "client")]
pub use event::Event;
#[cfg(feature = "client")]
pub use inject::{Inject, Injector};
pub use interface::Page;
pub use monolift_macros::InterfaceError;
#[doc(hidden)]
pub use secret::SECRET;
pub use secret::Secret;
#[cfg(feature = "client")]
pub use start_error::{StartError, StartErrors};

/// Makes a trait an interface: the methods that a module offers to others.
///
/// ```
/// # use monolift_call::{CallError, InterfaceError}; use schemars::JsonSchema;
/// # use serde::{Deserialize, Serialize}; use thiserror::Error;
/// # #[derive(Debug, Error, Serialize, Deserialize, JsonSchema, InterfaceError)]
/// # pub enum StockError { #[error(transparent)] Call(CallError) }
/// # #[derive(Debug, Serialize, Deserialize, JsonSchema)] pub struct Line { sku: String }
/// #[monolift_call::interface(module = "stock")] // in a package `stock-api`, without the module
/// pub trait Stock {
///     /// Docs of a method are docs of its client, and of its route.
///     #[http(GET, "/products/{sku}/stock")]
///     #[idempotent]
///     async fn level(&self, sku: &str) -> Result<u32, StockError>;
///
///     #[http(POST, "/orders/{order}/reservation", body = lines)]
///     #[deadline("30s")]
///     async fn reserve(&self, order: u64, lines: &[Line]) -> Result<(), StockError>;
/// }
///
/// # fn shown(stock: StockClient) -> impl Stock { stock } // the client is a `Stock` itself
/// ```
///
/// The trait stays an ordinary trait. Implement it with `#[monolift::async_trait]`, in a module or
/// in a fake.
///
/// The macro also generates a client, `StockClient`, with the same methods, unless the feature `client` is off. A client comes from
/// injection, from `RunningApp::client`, or from `StockClient::new(implementation)`.
///
/// - Arguments are passed by value, or by reference: `&str`, `&[T]`, `&Path`, `&T`. Inside a
///   process they are moved or borrowed. Between processes a reference is encoded without a clone,
///   and the method borrows from the decoded value.
/// - An argument with `#[serde(default)]` may be missing, for example if an older peer calls.
/// - A call with an argument that the module does not know is refused as `BadArguments`, unless the argument has its
///   default. The module may be of an older version, or the argument has been renamed.
/// - `#[may_be_ignored]` on an argument says that a module that does not know it may do its work without it. The
///   argument is then left out of a call to such a module.
/// - A method returns a `Result` whose error is an [`InterfaceError`](trait@InterfaceError),
///   because any call may fail on the network one day.
/// - `#[idempotent]` says that calling the method twice has the same effect as calling it once.
///   Only such a method is retried when the outcome of a call is unknown.
/// - `#[deadline("30s")]` sets the method's deadline. A caller with less time left keeps its own.
/// - `#[limit(4)]` lets four of the method's calls run at once in a process. Further calls wait until a
///   place is free or their deadline passes. When 32 times as many wait, the next call is refused at
///   once (503 with `Retry-After`).
/// - `#[http(VERB, "/path/{argument}")]` gives the method a route. Arguments that the path does not
///   name come from the query (GET, DELETE) or from the members of a JSON body (POST, PUT, PATCH).
///   With `body = argument` that argument is the whole body.
/// - `created = "/orders/{id}"` in `#[http(…)]` makes a success of a POST a 201 with a `location`. The names are arguments
///   in the path or fields of the answer.
/// - `idempotency_key` in `#[http(…)]` says that the module reads the header `idempotency-key`.
/// - `#[auth(user)]`, `#[auth(role = "staff")]`, `#[auth(scope = "orders:write")]`, `#[auth(service)]` and `#[auth(public)]` say
///   who may call the method, before its arguments are read. Several attributes are alternatives. Above the trait they hold for
///   the methods that have none. Without any, all callers may.
/// - `#[local]` lets a method take its caller's transaction, as an argument of type [`LocalTx`]. Such a method is called
///   in its own process only, so the package lists it in its Cargo.toml, and caller and module are placed together. It
///   takes no other attribute than `#[deadline]`.
/// - `#[errors(Unknown, SoldOut)]` lists the variants of the error that the method gives, for its description. Without it
///   all are described.
/// - `#[schemars(length(max = 200))]`, `range(min = 1)` or `pattern("^[a-z]+$")`, on a field of a type
///   or on an argument, bounds a value. Bounds are in `/openapi.json`. The gateway refuses a request
///   that is out of bounds with a 400 that names the place (`lines[3].quantity`), before the call is
///   made. Between modules bounds are checked in tests, where calls are encoded. A call within a
///   process is never checked. An argument whose type has a named schema takes that type's bounds
///   only.
/// - `#[monolift_call::interface(routes = "/pictures")]` is the prefix of the module's own `Routes`. `routes = "/pictures",
///   auth(user)` says who may ask for them, and else what `#[auth(…)]` above the trait says.
///
/// An interface belongs to the module of its package: the package `stock-api` to the module
/// `stock`. Inside a host's own crate, name the module:
/// `#[monolift_call::interface(module = "profiles")]`.
pub use monolift_macros::interface;

/// Makes a struct an event: something that has happened in a module, which other modules listen to.
///
/// ```
/// # use schemars::JsonSchema; use serde::{Deserialize, Serialize};
/// #[monolift_call::event(key = order, subject = user, module = "orders")] // in a package `orders-api`, without the module
/// #[derive(Serialize, Deserialize, JsonSchema)]
/// pub struct OrderPlaced {
///     pub order: String,
///     pub user: String,
/// }
/// # use monolift_call::Event;
/// # let placed = OrderPlaced { order: "o-1".into(), user: "ada".into() };
/// # assert_eq!((OrderPlaced::MODULE, OrderPlaced::NAME), ("orders", "order-placed"));
/// # assert_eq!(placed.key().as_deref(), Some("\"o-1\""));
/// # assert_eq!(placed.subject().as_deref(), Some("ada"));
/// ```
///
/// The module of the event's package publishes it, and `On<OrderPlaced>` in another module listens.
///
/// - `key = order`: events with the same value of this field are handled in the order in which they were published.
///   Without a key there is no order.
/// - `name = "order-placed"`: its name in the tables. It is the type's name in kebab case, if not stated.
/// - `version = 2`: the version of its fields. A field with a default can be added without a new version. Listeners of an
///   older release do not take an event of a later version. It waits for a release that knows it.
/// - `upcast = from_v1`: a function `fn(u32, &str) -> Result<OrderPlaced, impl Display>`, which makes an event from the
///   version and the JSON text of an earlier one.
/// - `subject = user`: whose data it holds, a field of text or a number. What is kept of a person can be exported and erased.
/// - `keep = "7d"`: how long it is kept at least, for listeners that are added later.
/// - `module = "orders"`: the module, outside of an api package.
pub use monolift_macros::event;

/// Used by the code that the macros emit. Not a public API.
#[cfg(feature = "client")]
#[doc(hidden)]
pub mod __private {
    pub use crate::{
        CallError, Inject, InterfaceError, StartError, async_trait,
        call::{Callee, ErrorResponse, Meter},
        carry::default_of,
        http::HttpEntry,
        inject::{Injector, Need},
        interface::{
            Argument, HttpMethod, InterfaceDescriptor, Method, Protocol, Received, Returned, Route,
            Schema, Sent,
        },
        link::{Client, Interface, InterfaceEntry, Link, Links},
    };
    pub use futures_util::future::BoxFuture;
    pub use inventory;
    pub use schemars;
    pub use serde;
}

#[doc(hidden)]
#[macro_export]
macro_rules! __register_interface {
    ($interface:ty, $client:ident) => {
        impl $crate::__private::Client for $client {
            type Interface = $interface;
        }

        impl $crate::__private::Inject for $client {
            const CALLS: ::core::option::Option<&'static str> =
                ::core::option::Option::Some(<$interface as $crate::__private::Interface>::MODULE);

            fn need() -> $crate::__private::Need {
                $crate::__private::Need::Interface($crate::__private::InterfaceEntry::of::<$interface>())
            }

            async fn inject(
                injector: &$crate::__private::Injector,
            ) -> ::core::result::Result<Self, $crate::__private::StartError> {
                ::core::result::Result::Ok(injector.client())
            }
        }

        $crate::__private::inventory::submit!($crate::__private::InterfaceEntry::of::<$interface>());
        $crate::__private::inventory::submit!($crate::__private::HttpEntry::of::<$interface>());
    };
}
