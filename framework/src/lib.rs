//! Write each module once, behind a trait. One line of a manifest says which process it lives in.
//!
//! Inside a process a call is a function call; between processes it goes over tarpc. Module code
//! cannot tell, and need not.
//!
//! ```
//! use monolift::{CallError, Config, InterfaceError, async_trait, testing::{Mode, System}};
//! use schemars::JsonSchema;
//! use serde::{Deserialize, Serialize};
//! use std::sync::Arc;
//! use thiserror::Error;
//!
//! /// Stock levels. In a crate `stock-api`, `#[monolift::interface]` is enough.
//! #[monolift::interface(module = "stock")]
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
//!     Call(CallError), // what any call can end with
//! }
//!
//! /// The module names what it needs as fields. In a crate `stock`, it needs no name.
//! #[monolift::module(name = "stock", provides = Stock)]
//! pub struct StockModule {
//!     config: Config<StockConfig>,
//! }
//!
//! #[derive(Debug, Default, Deserialize)]
//! #[serde(default)]
//! pub struct StockConfig {
//!     on_hand: u32,
//! }
//!
//! #[async_trait]
//! impl Stock for StockModule {
//!     async fn level(&self, sku: String) -> Result<u32, StockError> {
//!         match sku.as_str() {
//!             "tea" => Ok(self.config.on_hand),
//!             _ => Err(StockError::UnknownProduct(sku)),
//!         }
//!     }
//! }
//!
//! // The same calls in one process, and over a real connection.
//! # monolift::testing::run(async {
//! for mode in [Mode::InProcess, Mode::OverAConnection] {
//!     let system =
//!         System::new(mode).module::<StockModule>().settings("stock", [("on_hand", 7)]).start().await;
//!     let stock: StockClient = system.client();
//!     assert_eq!(stock.level("tea".into()).await.unwrap(), 7);
//!     let error = stock.level("gold".into()).await.unwrap_err();
//!     assert!(matches!(error, StockError::UnknownProduct(sku) if sku == "gold"));
//!     system.stop().await;
//! }
//! # });
//! ```
//!
//! # Where to look
//!
//! | for | see |
//! |---|---|
//! | an interface, its attributes and its client | [`interface`](macro@interface) |
//! | a module and what its fields can be | [`module`](macro@module), [`Inject`] |
//! | a program of one line | [`process!`], [`service!`] |
//! | an existing program | [`host!`], [`app::App`] |
//! | how a call can end | [`CallError`], [`InterfaceError`](trait@InterfaceError) |
//! | deadline, principal, trace, idempotency key | [`Context`] |
//! | tests | [`testing`] |

#[cfg(panic = "abort")]
compile_error!(
    "a panic in a module is an error to its caller, never the end of the process: \
     take `panic = \"abort\"` out of the profile"
);

pub mod app;
pub mod call;
pub mod config;
pub mod data;
pub mod gateway;
pub mod interface;
pub mod link;
pub mod module;
pub mod remote;
pub mod serve;
pub mod testing;
pub mod wire;

pub use async_trait::async_trait;
pub use call::{
    CallError, CallErrorKind, Context, InterfaceError, Principal, RetryAdvice, chance, spawn,
};
pub use config::{Config, Secret};
pub use data::{
    Db, OnConstraint, Tx,
    work::{Circuit, Perform, Piece, Recurring, Retry, Work},
};
pub use interface::Page;
pub use module::{Inject, Lifecycle, Routes, Shared, StartError, StartErrors, State, Tasks};
pub use monolift_macros::InterfaceError;

/// Makes a trait an interface: what a module offers to others.
///
/// ```
/// # use monolift::{CallError, InterfaceError}; use schemars::JsonSchema;
/// # use serde::{Deserialize, Serialize}; use thiserror::Error;
/// # #[derive(Debug, Error, Serialize, Deserialize, JsonSchema, InterfaceError)]
/// # pub enum StockError { #[error(transparent)] Call(CallError) }
/// # #[derive(Debug, Serialize, Deserialize, JsonSchema)] pub struct Line { sku: String }
/// #[monolift::interface(module = "stock")] // in a package `stock-api`, without the module
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
/// The trait stays a trait: implement it with `#[monolift::async_trait]`, in a module or a fake.
/// Beside it stands a client, `StockClient`, with the same methods. It is made by injection, by
/// [`app::RunningApp::client`], or by `StockClient::new(anything that implements Stock)`.
///
/// - Arguments are passed by value, or by reference: `&str`, `&[T]`, `&Path`, `&T`. In a process
///   they are moved or borrowed as they are. Between processes a reference is encoded without a
///   clone, and on the other side borrowed from the decoded value. An argument with
///   `#[serde(default)]` may be missing, as when an older peer calls.
/// - A method returns a `Result` whose error is an [`InterfaceError`](trait@InterfaceError): any
///   call may one day cross a network, and the signature says so.
/// - `#[idempotent]`: repeating the call changes nothing. Only such methods are ever sent again.
/// - `#[deadline("30s")]`: the method's own deadline. A caller with less time keeps its own.
/// - `#[http(VERB, "/path/{argument}")]`: the method's route. What the path does not name comes
///   from the query (GET, DELETE), or from the members of a JSON body. With `body = argument` the
///   whole body is that argument.
/// - Bounds are those of schemars: `#[schemars(length(max = 200))]`, `range(min = 1)` or
///   `pattern("^[a-z]+$")` on a field of a type, or on an argument itself. They stand in
///   `/openapi.json`, and the gateway refuses a request outside of them with a 400 that names the
///   place (`lines[3].quantity`), before the call is made. Between modules they are checked in tests,
///   wherever calls are encoded; a call within a process is never looked at. An argument of a type
///   with a schema of its own name takes that type's bounds, and no others.
///
/// An interface belongs to the module whose api package declares it: `stock-api` to `stock`. Inside
/// a host's own crate, say which: `#[monolift::interface(module = "profiles")]`.
pub use monolift_macros::interface;

/// Makes a struct a module: its fields are injected by their types, each an [`Inject`].
///
/// | a field of type | is |
/// |---|---|
/// | `StockClient` | a client of another module, which must be in Cargo.toml as `stock-api` |
/// | [`Db`], [`Db<Postgres>`](Db) | the module's own database |
/// | [`Config<T>`](Config) | its own settings |
/// | [`State<T>`](State) | state of its own, made by `Default` |
/// | [`Shared<T>`](Shared) | what `main` hands in, for this module alone |
/// | [`Work`] | where it writes down what must follow a commit, in the same transaction |
/// | [`Tasks`] | where it spawns work, which ends with the module |
///
/// ```
/// # use monolift::{Config, Lifecycle, State, Tasks, async_trait};
/// # use std::sync::atomic::{AtomicU64, Ordering};
/// #[monolift::module(name = "reporter", lifecycle)] // in a package `reporter`, without the name
/// pub struct Reporter {
///     beats: State<AtomicU64>,
///     tasks: Tasks,
/// }
///
/// #[async_trait]
/// impl Lifecycle for Reporter {
///     async fn start(&self) -> Result<(), Box<dyn std::error::Error + Send + Sync>> {
///         let (beats, tasks) = (self.beats.clone(), self.tasks.clone());
///         self.tasks.spawn(async move {
///             tasks.stopping().await;
///             beats.fetch_add(1, Ordering::Relaxed);
///         });
///         Ok(())
///     }
/// }
/// ```
///
/// - `provides = Orders`, or `provides = [Orders, Refunds]`: the interfaces that it implements.
/// - `lifecycle`: it implements [`Lifecycle`], to start and stop work of its own.
/// - `work = [Settle]`: the kinds of durable work ([`Piece`]) that it does, each a [`Perform`].
/// - `name = "profiles"`: for a module inside a host's own crate.
///
/// The files of `migrations/<module>/` are embedded, and applied to its database when it starts. For
/// a new one to be seen, the package's `build.rs` says `cargo::rerun-if-changed` of that folder.
pub use monolift_macros::module;

/// The `main` of a process of the manifest: `process!("../deployment.toml", "monolith");`
///
/// The path is relative to the package. The manifest is read while this is compiled, with the
/// Cargo.toml files of the workspace: a mistake in either fails the build, and only the modules that
/// live in the process are linked. To hand something in, add `|app| app.share("orders", mailer)`.
/// With `env,` in front, the variables `MONOLIFT_MANIFEST` and `MONOLIFT_PROCESS` at build time say
/// which process this is.
///
/// All that the manifest says besides can be replaced at the start: by `settings.toml` at the
/// workspace's root (or the file that `MONOLIFT_SETTINGS` names), by the environment
/// (`SHOP_PROCESS__MONOLITH__HTTP=127.0.0.1:0`), and as a whole by the manifest that
/// `MONOLIFT_MANIFEST` names.
pub use monolift_macros::process;

/// The `main` of a module's own package: `service!();`, so that `cargo run -p payments` serves it.
///
/// It listens where the manifest has the module's process. If the manifest keeps the module with
/// others, it listens on a free port and says that callers still use that other copy; then it starts
/// no work of the module's own.
pub use monolift_macros::service;

/// What [`app::App::new`] needs to start inside an existing program, the manifest's *host*.
///
/// `App::new(monolift::host!("deployment.toml"))?` starts it: the path is relative to the package, and
/// the manifest names its `host`, the process that the program's own `main` runs in. The repository's
/// `examples/adopt` shows a whole program.
pub use monolift_macros::host;

/// What the macros' output needs, and nobody else.
#[doc(hidden)]
pub mod __private {
    pub use futures_util::future::BoxFuture;
    pub use inventory;
    pub use schemars;
    pub use serde;
}

#[doc(hidden)]
#[macro_export]
macro_rules! __register_interface {
    ($interface:ty, $client:ident) => {
        impl $crate::link::Client for $client {
            type Interface = $interface;
        }

        impl $crate::Inject for $client {
            const CALLS: ::core::option::Option<&'static str> =
                ::core::option::Option::Some(<$interface as $crate::link::Interface>::MODULE);

            fn need() -> $crate::module::Need {
                $crate::module::Need::Interface($crate::link::InterfaceEntry::of::<$interface>())
            }

            async fn inject(
                injector: &$crate::module::Injector,
            ) -> ::core::result::Result<Self, $crate::StartError> {
                ::core::result::Result::Ok(injector.client())
            }
        }

        $crate::__private::inventory::submit!($crate::link::InterfaceEntry::of::<$interface>());
        $crate::__private::inventory::submit!($crate::gateway::HttpEntry::of::<$interface>());
    };
}

#[doc(hidden)]
#[macro_export]
macro_rules! __register_module {
    ($module:ty) => {
        $crate::__private::inventory::submit!($crate::module::ModuleEntry::of::<$module>());
    };
}
