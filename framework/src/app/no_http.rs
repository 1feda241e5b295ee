//! A program without the feature `http`: it has no gateway, and no module in it has routes of its own.

use super::{RunningApp, linked::ThisProcess};
use crate::{
    config::Settings,
    module::{Router, StartError},
    serve::Directory,
};
use monolift_manifest::Manifest;
use std::net::SocketAddr;
use tokio::time::Instant;

/// There is none.
#[derive(Debug)]
pub(super) enum Gateway {}

impl Gateway {
    pub(super) async fn listen(
        _: &str,
        app: &RunningApp,
        _: &Settings,
    ) -> Result<Self, StartError> {
        Err(without_http(&app.place))
    }

    pub(super) fn address(&self) -> SocketAddr {
        match *self {}
    }

    pub(super) async fn drain(self, _: Instant) {
        match self {}
    }
}

/// What is wrong with a process that has a gateway in the manifest.
pub(super) fn missing(place: &ThisProcess) -> Option<StartError> {
    place.http().map(|_| without_http(place))
}

fn without_http(place: &ThisProcess) -> StartError {
    StartError::new(format!(
        "`process.{}.http` is set, and this program is built without HTTP: turn on the feature `http` of \
         `monolift` in its Cargo.toml",
        place.process
    ))
}

pub(super) fn serve_own_routes(
    directory: Directory,
    _: Vec<(&'static str, Router)>,
    _: Manifest,
) -> Directory {
    directory
}

/// Without a gateway there are no requests.
#[derive(Debug, Clone)]
pub(super) struct Held;

impl Held {
    pub(super) fn to(_: &Manifest) -> Self {
        Self
    }
}

/// Without a gateway there are no responses.
pub(super) type InternalErrors = ();
