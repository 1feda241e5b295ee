//! HTTP: the routed methods of the interfaces, served to clients outside of the application.
//!
//! A request becomes a call of a client, as any other: it goes to the module wherever that runs.
//! This crate knows interfaces by their descriptors, and no module or database. It is for the other crates of
//! Monolift; applications use `monolift`.

mod answer;
mod ask;
mod authenticate;
mod body;
mod browser;
mod challenge;
mod compress;
mod described;
#[cfg(feature = "docs")]
mod docs;
mod edge;
#[cfg(test)]
mod fixtures;
mod forward;
mod front;
mod health;
mod internal;
mod layer;
mod listen;
mod log;
mod openapi;
mod own_routes;
mod proxies;
mod query;
mod rates;
mod refused;
mod routes;
mod stall;
mod start;

pub use ask::ask;
pub use authenticate::{Authenticate, Unproven, authenticated};
pub use browser::{Cors, secured, with_cors};
pub use compress::compressed;
pub use described::described;
#[cfg(all(test, feature = "docs"))]
use described::described_paths;
pub use edge::REQUEST_ID;
pub use forward::Forward;
pub use front::Front;
pub use health::health;
pub use internal::{OnInternalError, with_internal_errors};
pub use layer::{CallLayer, CallService};
pub use listen::{HttpLimits, HttpServer};
pub use log::access_logged;
pub use own_routes::{OwnRoutesHere, RoutesAt, own_routes};
pub use proxies::Proxies;
pub use rates::Rates;
pub use refused::{RefusedRequest, RefusedRequests};
pub use routes::{RouteError, not_found, paths, routes};
pub use start::with_start_page;

// The rooms below, by the names that they have there.
pub(crate) use monolift_call::{
    call, http as plain,
    http::{HttpAnswer, HttpCall, HttpEntry, Problem},
    interface, link,
};
pub(crate) use monolift_seam::{remote, serve, wire};
