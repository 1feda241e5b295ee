//! Every refusal, with its whole message, against workspaces written to a temporary folder.

mod auth;
mod graph;
mod local;
mod manifest;
mod reference;
mod runtime;
mod scratch;
mod workspace;
