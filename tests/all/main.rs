//! Every whole-system test. Most of them run in each mode that a call can take.

#![allow(unreachable_pub, reason = "interfaces are public, also where a test declares one")]
#![allow(clippy::unwrap_used, reason = "a test may")]

mod access;
mod adopt;
mod bounds;
mod cancellation;
#[path = "../../cli/src/cargo.rs"]
mod cargo;
mod certificates;
mod concurrency;
mod connections;
mod conversations;
mod copy;
mod corpus;
mod data;
mod deadlines;
mod ecs;
mod errors;
mod events;
mod fair;
mod features;
mod floods;
mod floors;
mod held;
mod identity;
mod in_flight;
mod lifecycle;
mod limit;
mod local;
mod log;
mod log_lines;
mod macros;
mod migrations;
mod nginx;
mod one_build;
mod outside;
mod panics;
mod peers;
mod policies;
mod pools;
mod postgres;
mod refused_data;
mod replicas;
mod requests;
mod rights;
mod rotation;
mod routers;
mod secrets;
mod shapes;
mod statements;
mod support;
mod system;
mod tls;
mod trace_context;
mod transactions;
mod transcript;
mod ui;
mod versions;
mod wire;
mod work;
