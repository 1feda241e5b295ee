//! A framework for modular monoliths. A module is a struct behind a trait, and a manifest says
//! which process runs each module.
//!
//! Inside a process a call is a function call. Between processes it goes over tarpc. The code of
//! the modules is the same in both cases.
//!
//! ```
//! use monolift::{CallError, Config, InterfaceError, async_trait, testing::{Mode, System}};
//! use schemars::JsonSchema;
//! use serde::{Deserialize, Serialize};
//! use std::sync::Arc;
//! use thiserror::Error;
//!
//! /// Stock levels. In a crate `stock-api`, `module` is not needed.
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
//!     Call(CallError), // how any call can fail
//! }
//!
//! /// A module lists what it needs as fields. In a crate `stock`, `name` is not needed.
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
//! | interfaces, their attributes and their clients | [`interface`](macro@interface) |
//! | modules and their fields | [`module`](macro@module), [`Inject`] |
//! | the `main` of a process | [`process!`], [`service!`] |
//! | existing programs | [`host!`], [`app::App`] |
//! | errors of calls | [`CallError`], [`InterfaceError`](trait@InterfaceError) |
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

/// Makes a trait an interface: the methods that a module offers to others.
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
/// The trait stays an ordinary trait. Implement it with `#[monolift::async_trait]`, in a module or
/// in a fake.
///
/// The macro also generates a client, `StockClient`, with the same methods. A client comes from
/// injection, from [`app::RunningApp::client`], or from `StockClient::new(implementation)`.
///
/// - Arguments are passed by value, or by reference: `&str`, `&[T]`, `&Path`, `&T`. Inside a
///   process they are moved or borrowed. Between processes a reference is encoded without a clone,
///   and the method borrows from the decoded value.
/// - An argument with `#[serde(default)]` may be missing, for example if an older peer calls.
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
/// - `#[schemars(length(max = 200))]`, `range(min = 1)` or `pattern("^[a-z]+$")`, on a field of a type
///   or on an argument, bounds a value. Bounds are in `/openapi.json`. The gateway refuses a request
///   that is out of bounds with a 400 that names the place (`lines[3].quantity`), before the call is
///   made. Between modules bounds are checked in tests, where calls are encoded. A call within a
///   process is never checked. An argument whose type has a named schema takes that type's bounds
///   only.
/// - `#[monolift::interface(routes = "/pictures")]` is the prefix of the module's own [`Routes`].
///
/// An interface belongs to the module of its package: the package `stock-api` to the module
/// `stock`. Inside a host's own crate, name the module:
/// `#[monolift::interface(module = "profiles")]`.
pub use monolift_macros::interface;

/// Makes a struct a module. Its fields are injected by type, and each type implements [`Inject`].
///
/// | a field of type | is |
/// |---|---|
/// | `StockClient` | the client of another module; Cargo.toml must list `stock-api` |
/// | [`Db`], [`Db<Postgres>`](Db) | the module's own database |
/// | [`Config<T>`](Config) | the module's own settings |
/// | [`State<T>`](State) | the module's own state, created with `Default` |
/// | [`Shared<T>`](Shared) | a value that `main` gives to this module |
/// | [`Work`], [`Work<Postgres>`](Work) | the queue of its durable work, which follows a commit |
/// | [`Tasks`] | spawns background tasks that end with the module |
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
/// - `provides = Orders`, or `provides = [Orders, Refunds]`: the interfaces that the module
///   implements.
/// - `lifecycle`: the module implements [`Lifecycle`], to start and stop background work.
/// - `work = [Settle]`: the module's kinds of durable work ([`Piece`]). It implements [`Perform`]
///   for each.
/// - `routes`: the module implements [`Routes`], for HTTP routes of its own.
/// - `name = "profiles"`: the module's name, inside a host's own crate.
///
/// The files of `migrations/<module>/` are embedded, and applied to the module's database when it
/// starts. The package's `build.rs` must print `cargo::rerun-if-changed` for that folder, so that a
/// new file triggers a rebuild.
pub use monolift_macros::module;

/// The `main` of a process of the manifest: `process!("../deployment.toml", "monolith");`
///
/// The path is relative to the package. The macro reads the manifest and the Cargo.toml files of
/// the workspace. A mistake in them fails the build. Only the modules of this process are linked.
///
/// - A third argument gives values to modules: `|app| app.share("orders", mailer)`.
/// - With `env,` as the first argument, the variables `MONOLIFT_MANIFEST` and `MONOLIFT_PROCESS`
///   choose the manifest and the process at build time.
///
/// Everything in the manifest except the placement of modules can be replaced when the process
/// starts: by `settings.toml` at the root of the workspace (or the file that `MONOLIFT_SETTINGS`
/// names), by environment variables (`SHOP_PROCESS__MONOLITH__HTTP=127.0.0.1:0`), or by another
/// manifest that `MONOLIFT_MANIFEST` names.
///
/// The program logs to standard error. `RUST_LOG` filters the log; the default is `info`.
pub use monolift_macros::process;

/// The `main` of a module's own package: `service!();`, so that `cargo run -p payments` serves it.
///
/// It listens at the address of the module's process in the manifest. If the manifest places the
/// module together with others, the service listens on a free port, and says that callers use the
/// other copy. Then it starts no background work of the module.
pub use monolift_macros::service;

/// The argument of [`app::App::new`] in an existing program, which the manifest calls the *host*.
///
/// `App::new(monolift::host!("deployment.toml"))?` makes the app. The path is relative to the
/// package. `host` in the manifest is the name of the process that the program's own `main` runs
/// in.
///
/// If the package is named neither like that process nor like the application, its Cargo.toml needs
/// `host = true` under `[package.metadata.monolift]`, so that `cargo monolift check` finds it.
///
/// - [`App::pool`](app::App::pool) gives a module the program's own connection pool.
/// - [`App::share`](app::App::share) gives a module a value for its field [`Shared`].
/// - [`App::provide`](app::App::provide) lets modules call an interface that the program
///   implements.
/// - [`RunningApp::layer`](app::RunningApp::layer) gives requests a deadline, a trace and a
///   principal. Its `on_deadline` sets the response of a request that exceeds its deadline.
/// - `deadline_mode = "observe"` under `[calls]` logs such a request and lets it go on.
///
/// The repository's `docs/adopt.md` is a guide, and `examples/adopt` has a whole program.
pub use monolift_macros::host;

/// Used by the code that the macros emit. Not a public API.
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
