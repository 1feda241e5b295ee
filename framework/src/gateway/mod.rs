//! HTTP: the routed methods of the interfaces, served to clients outside of the application.
//!
//! A request becomes a call of a client, as any other: it goes to the module wherever that runs.
//! This room knows interfaces by their descriptors, and no module, manifest or database.

mod bind;
mod body;
mod compress;
mod described;
mod docs;
mod edge;
#[cfg(test)]
mod fixtures;
mod forward;
mod health;
mod layer;
mod listen;
mod openapi;
mod own_routes;
mod problem;
mod protocol;
mod query;
mod registry;
mod routes;
mod stall;
mod start;

pub use compress::compressed;
pub use described::described;
pub use edge::REQUEST_ID;
pub use forward::Forward;
pub use health::{Readiness, health};
pub use layer::{CallLayer, CallService};
pub use listen::{HttpLimits, HttpServer};
pub use own_routes::{OwnRoutes, OwnRoutesHere, own_routes};
pub use problem::Problem;
pub use protocol::{Http, HttpAnswer, HttpCall};
pub use registry::HttpEntry;
pub use routes::{RouteError, not_found, paths, routes};
pub use start::with_start_page;
