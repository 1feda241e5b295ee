//! A program without the feature `data`: no module publishes events or listens to some.

use super::{linked::ThisProcess, peers::Peers};
use crate::{
    link::Links,
    module::{ModuleEntry, StartError, databases::Feeds},
};
use std::sync::Arc;

pub(super) fn connect(
    _: &[ModuleEntry],
    _: &ThisProcess,
    _: &Links,
    _: &mut Peers,
) -> Result<Arc<Feeds>, StartError> {
    Ok(Arc::default())
}
