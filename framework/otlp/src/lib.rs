//! Sends kept traces to a collector, in OpenTelemetry's protocol (OTLP).
//!
//! The traces are complete when they come here, so nothing of OpenTelemetry's own libraries takes part: spans are written
//! as the protocol has them (`spans.rs`, `messages.rs`), and sent (`send.rs`). Nothing is installed in the program, and no
//! call waits: a trace goes to a queue that is bounded in bytes, or is dropped and counted (`queue.rs`).
//!
//! Applications use it through `monolift`, with the feature `otlp`.

mod grpc;
mod http1;
mod messages;
mod queue;
mod send;
mod spans;
mod statement;

pub use queue::Exporter;
pub use send::{Collector, Protocol, UnfitCollector};
