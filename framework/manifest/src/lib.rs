//! Monolift's deployment manifest and the module graph of a workspace, read and checked.
//!
//! The macros use this crate while they expand, the command line before it builds, and the framework when a process
//! starts. So it depends on nothing but a TOML reader, links no module, opens no socket, and gives the same answer
//! to all three.
//!
//! | type | is | made by |
//! |---|---|---|
//! | [`Manifest`] | which module lives in which process | [`Manifest::parse`] |
//! | [`Workspace`] | the packages beside it, and what each depends on | [`Workspace::find`] |
//! | [`Graph`] | who may call whom | [`Graph::check`] at build time, [`Graph::new`] at run time |
//!
//! Every mistake is a [`Problem`]: where it is, what is wrong, what to do next. They are reported together.
//!
//! ```
//! use std::path::Path;
//! use monolift_manifest::{Graph, Manifest};
//!
//! let manifest = Manifest::parse(
//!     r#"
//!     app = "shop"
//!
//!     [modules]
//!     orders   = "monolith"
//!     payments = "payments"
//!
//!     [process.payments]
//!     listen = "127.0.0.1:7104"
//!     "#,
//!     Path::new("deployment.toml"),
//! )?;
//! assert_eq!(manifest.process_of("payments"), Some("payments"));
//!
//! let graph = Graph::new([("orders".into(), vec!["payments".into()]), ("payments".into(), vec![])], vec![]);
//! assert!(graph.may_call(&manifest, "monolith", "payments"));
//! assert!(!graph.may_call(&manifest, "payments", "orders"));
//! # Ok::<(), monolift_manifest::Problems>(())
//! ```

#![forbid(unsafe_code)]

mod address;
mod cargo_toml;
mod check;
mod circles;
mod connect;
mod document;
mod graph;
mod identity;
mod keys;
mod log;
mod manifest;
mod members;
mod otlp;
mod outside;
mod parse;
mod problem;
pub mod quantity;
mod rate;
mod sections;
mod share;
mod suggest;
mod workspace;

pub use address::{Address, AddressError};
pub use cargo_toml::{
    Dependency, HostMark, LocalCallsMark, Package, local_methods, name_of, states_auth,
};
pub use connect::{Connect, ConnectError};
pub use document::{lines, positions, shown_key};
pub use graph::{Graph, LocalCalls, Node};
pub use identity::{Identity, RuleMode, Rules, StatementMode};
pub use keys::{Given, Key, Section};
pub use log::{LogFormat, LogLevels};
pub use manifest::{DeadlineMode, Manifest, Placement, Process, Replicas, TlsFiles};
pub use otlp::OtlpProtocol;
pub use outside::{Networks, ProxyHeader};
pub use parse::MESH;
pub use problem::{Problem, Problems};
pub use quantity::QuantityError;
pub use rate::{Rate, Rates};
pub use sections::{
    Calls, Databases, Hidden, Http, IdentityKeys, IssuerKeys, Limits, Log, Migrate, Observe, Otlp,
    Retries, TlsKeys,
};
pub use share::Share;
pub use suggest::nearest;
pub use workspace::Workspace;
