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
//! | logs | [`observe::log`] |
//! | errors of calls | [`CallError`], [`InterfaceError`](trait@InterfaceError) |
//! | deadline, principal, trace, idempotency key | [`Context`] |
//! | tests | [`testing`] |
//!
//! # Features
//!
//! | feature | default | what needs it |
//! |---|---|---|
//! | `http` | on | the gateway (`http` of a process in the manifest), `Routes`, `RunningApp::routes` and `layer` |
//! | `docs` | on | Swagger UI at `/docs` of a gateway, 490 KB of the program; turns on `http` |
//! | `identity` | on | the gateway takes tokens of issuers (`[identity.issuers.*]`); turns on `http` |
//! | `observe` | on | recorded requests, metrics, logs for machines, the admin address (`admin` of a process in the manifest); turns on `http` |
//! | `otlp` | off | kept traces are sent to a collector (`[observe.otlp]` in the manifest); turns on `observe` |
//! | `postgres` | on | databases of PostgreSQL; turns on `data` |
//! | `sqlite` | on | databases of SQLite; turns on `data` |
//! | `data` | on | `Db`, `Tx`, `Connection`, `Work` and `App::pool`; needs `postgres` or `sqlite` |
//! | `tls-ring` | on | encrypted connections to PostgreSQL, by rustls and ring |
//! | `tls-aws-lc` | off | the same by rustls and AWS-LC, in place of `tls-ring` |
//! | `tls-native` | off | the same by the library of the system, in place of `tls-ring` |
//! | `anyhow` | on | `?` on `anyhow::Error` in a module |
//! | `trim` | on | programs of one line return freed memory to the system |

// What only HTTP and databases use stays in its place without them.
#![cfg_attr(not(all(feature = "data", feature = "http")), allow(dead_code, unreachable_pub))]

#[cfg(all(feature = "data", not(any(feature = "postgres", feature = "sqlite"))))]
compile_error!(
    "the feature `data` has no database to open: turn on the feature `postgres` or `sqlite` too"
);

#[cfg(panic = "abort")]
compile_error!(
    "a panic in a module is an error to its caller, never the end of the process: \
     take `panic = \"abort\"` out of the profile"
);

// The macros name this crate as its users do.
#[allow(unused_extern_crates, reason = "without features no macro is used here")]
extern crate self as monolift;

pub mod app;
pub mod config;
pub mod module;
pub mod testing;

pub use config::{Config, Secret};
#[cfg(feature = "http")]
pub use module::Routes;
pub use module::{Lifecycle, Shared, State, Tasks};
pub use monolift_call::{
    CallError, CallErrorKind, Context, Event, Inject, InterfaceError, LocalTx, NotTheirs, Page,
    Principal, Reference, RetryAdvice, StartError, StartErrors, async_trait, spawn, trace_headers,
};
#[cfg(feature = "data")]
pub use monolift_data::{
    Db, Joined, Lend, OnConstraint, Tx,
    events::{
        Delivery, EventLedger, EventTx, Events, Failure, ForeignEvent, Lag, On, Parked,
        ParkedEvent, ReadModel, Start,
    },
    work::{Circuit, Perform, Piece, Recurring, Retry, UnlistedWork, Work},
};

#[doc(inline)]
pub use monolift_call::event;

#[cfg(feature = "observe")]
#[doc(inline)]
pub use monolift_observe as observe;

// Named by the code that the macros emit.
#[doc(hidden)]
pub use monolift_call::{__private, __register_interface, call, interface, link};
#[cfg(feature = "data")]
#[doc(hidden)]
pub use monolift_data as data;

// The rooms below, by the names that they have there.
#[cfg(feature = "http")]
pub(crate) use monolift_gateway as gateway;
pub(crate) use monolift_seam::{remote, serve, wire};

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
/// | [`Events`], [`Events<Postgres>`](Events) | publishes its events, in its own transactions |
/// | [`ReadModel`], [`ReadModel<Postgres>`](ReadModel) | tables that are fed by events and can be built anew |
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
/// - `on = [OrderPlaced]`: the events that the module listens to ([`event`](macro@event)). It implements [`On`] for
///   each. Cargo.toml must list the api package of the module that publishes the event.
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
/// With the argument `migrate` the program only applies migrations. With `work`, `traces`, `log`, `logs`, `call`, `config` or
/// `top` it asks a process that runs, at its admin address; `help` lists these commands.
///
/// The program logs to standard error: text on a terminal, else a JSON object a line. `log.format` sets the format.
/// `RUST_LOG` filters the log; without it the setting `log.level` does, whose default is `info`.
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

#[doc(hidden)]
#[macro_export]
macro_rules! __register_module {
    ($module:ty) => {
        $crate::__private::inventory::submit!($crate::module::ModuleEntry::of::<$module>());
    };
}
