//! A program without the feature `observe`: it records nothing, and has no admin address.

use super::{RunningApp, linked::ThisProcess, peers::Peers};
use crate::{
    call::record::Recorder,
    config::{Setting, Settings},
    link::Links,
    module::{RunningModule, StartError},
};
use std::{net::SocketAddr, sync::Arc};

/// Nothing.
#[derive(Debug, Default)]
pub(super) struct Observed {
    pub(super) admin_by_default: bool,
}

/// There is no such question.
pub(super) fn changes(_: &str) -> bool {
    false
}

impl Observed {
    pub(super) fn new(_: &ThisProcess) -> Self {
        Self::default()
    }

    pub(super) fn tell_systems(&self, _: &[RunningModule]) {}

    pub(super) fn recorder(&self) -> Option<Arc<dyn Recorder>> {
        None
    }

    pub(super) fn connect(&self, _: &Links, _: &Peers, _: &ThisProcess) {}

    pub(super) fn attend(&self, _: &[RunningModule], _: &super::log::Control) {}
}

/// There is none.
#[derive(Debug)]
pub(super) enum Admin {}

impl Admin {
    pub(super) async fn listen(
        app: &RunningApp,
        _: &Settings,
        _: Vec<Setting>,
    ) -> Result<Option<Self>, StartError> {
        let place = &app.place;
        let process = place.manifest.processes.get(&place.process);
        match process.map(|process| process.admins()).unwrap_or_default().is_empty() {
            true => Ok(None),
            false => Err(StartError::new(format!(
                "`process.{}.admin` is set, and this program is built without it: turn on the feature `observe` of \
                 `monolift` in its Cargo.toml",
                place.process
            ))),
        }
    }

    pub(super) fn address(&self) -> SocketAddr {
        match *self {}
    }
}
