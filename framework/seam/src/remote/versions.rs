//! The other side's versions of the interfaces that this process calls.
//!
//! Equal fingerprints are the common case, and nothing more is looked at then. Where they differ, the outline in the
//! other side's hello says which arguments it does not know, and what else does not fit. That is logged once for each
//! version of the other side, not for each connection or call.

use crate::{
    interface::{Argument, Fingerprint, InterfaceDescriptor, Outline},
    wire::Served,
};
use std::{
    collections::HashSet,
    sync::{Mutex, PoisonError},
};

/// The most versions of the other side that are remembered. They come from a peer.
const REMEMBERED: usize = 256;

/// The versions of the other side that the log has told of.
#[derive(Debug, Default)]
pub(super) struct Told(Mutex<HashSet<(usize, Fingerprint)>>);

impl Told {
    /// Whether this is the first time that the log tells of a version of `ours`.
    fn is_news(&self, ours: &'static InterfaceDescriptor, theirs: &Fingerprint) -> bool {
        let mut told = self.0.lock().unwrap_or_else(PoisonError::into_inner);
        if told.len() >= REMEMBERED {
            told.clear();
        }
        told.insert((std::ptr::from_ref(ours).addr(), theirs.clone()))
    }
}

/// For each method of `ours`, the arguments that the other side does not know. Logs, if that is news, where the two
/// versions do not fit.
pub(super) fn unknown_arguments(
    ours: &'static InterfaceDescriptor,
    theirs: &Served,
    process: &str,
    told: &Told,
) -> Vec<Vec<&'static Argument>> {
    let nothing = || ours.methods.iter().map(|_| Vec::new()).collect();
    if theirs.fingerprint == ours.fingerprint() {
        return nothing();
    }
    let outline = theirs.outline.as_ref().and_then(|outline| outline.read());
    if told.is_news(ours, &theirs.fingerprint) {
        log(ours, outline.as_ref(), process);
    }
    match outline {
        Some(outline) => ours.methods.iter().map(|method| outline.unknown(method)).collect(),
        None => nothing(),
    }
}

fn log(ours: &'static InterfaceDescriptor, theirs: Option<&Outline>, process: &str) {
    let interface = format_args!("{}.{}", ours.module, ours.name);
    match theirs.map(|theirs| theirs.differences(ours)) {
        Some(differences) if !differences.is_empty() => tracing::warn!(
            process,
            %interface,
            %differences,
            "the other side has another version of this interface, which does not fit"
        ),
        _ => tracing::info!(
            process,
            %interface,
            "the other side has another version of this interface"
        ),
    }
}
