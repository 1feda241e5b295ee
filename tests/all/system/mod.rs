//! The shop as real programs: built, started, called over HTTP, and stopped.

mod http;
mod manifest;
mod processes;
mod start;
mod tour;
mod workspace;
