//! The shop as real programs: built, started, called over HTTP, and stopped.

mod browser;
mod canaries;
mod compare;
mod deploy;
mod http;
mod hundred;
mod kills;
mod launcher;
mod life;
mod limits;
mod logs;
mod manifest;
mod market;
mod new_app;
mod new_module;
mod observe;
mod observed;
mod observes;
mod operate;
mod pages;
mod placements;
mod processes;
mod program;
mod prometheus;
mod reference;
mod rights;
mod shop;
mod start;
mod symbols;
mod tables;
mod tail;
mod tour;
mod workspace;

pub(crate) use http::{Response, request};
pub(crate) use processes::{Process, Run, eventually, free_port};
pub(crate) use workspace::{builds_into, target};
