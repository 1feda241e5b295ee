//! Whether this process proves to others on whose behalf it calls, and has them prove it.

use super::linked::ThisProcess;
use crate::{
    module::StartError,
    wire::{Keys, StatementFiles, Statements, Tls, Unproven},
};
use monolift_manifest::{IdentityKeys, StatementMode};
use std::{path::Path, sync::Arc};

/// The statements of a process; `None` where other processes are believed.
///
/// Without a word in the manifest they are required where that takes no configuration: with `[tls]`, whose certificates are
/// the keys, and where the manifest names public keys.
pub(super) fn statements(
    place: &ThisProcess,
    tls: Option<&Tls>,
) -> Result<Option<Arc<Statements>>, StartError> {
    let manifest = &place.manifest;
    let IdentityKeys { statements, statement_key, statement_keys, .. } = &manifest.identity.keys;
    let unproven = match (statements, tls, statement_keys) {
        (Some(StatementMode::Off), ..) | (None, None, None) => return Ok(None),
        (Some(StatementMode::Observe), ..) => Unproven::Observe,
        (Some(StatementMode::Require) | None, ..) => Unproven::Refuse,
    };
    let signs = manifest.vouches(&place.process);
    let keys = match (tls, statement_keys) {
        (Some(tls), None) => Keys::Tls(tls.clone()),
        (_, Some(public)) => {
            let own = statement_key.as_deref().filter(|_| signs).map(Path::new);
            let files = StatementFiles::read(Path::new(public), own);
            Keys::Files(files.map_err(|error| StartError::new(format!("[identity]: {error}")))?)
        }
        (None, None) => {
            return Err(StartError::new(
                "`identity.statements` has processes prove on whose behalf they call, and there is no key for that: \
                 state `[tls]`, or `identity.statement_keys` and `identity.statement_key`",
            ));
        }
    };
    let vouching = manifest.clone();
    let may_vouch = Box::new(move |process: &str| vouching.vouches(process));
    let made = Statements::new(&manifest.app, keys, signs, unproven, may_vouch);
    if signs && !made.can_sign() {
        let text = match tls {
            Some(_) if statement_keys.is_none() => {
                "[tls]: the certificates of this gateway are longer than 6 KiB together, and calls cannot carry them: leave \
                 the authority's own out of the file"
            }
            _ => {
                "this process is a gateway and signs for its users: state the file of its private key, \
                 `identity.statement_key`"
            }
        };
        return Err(StartError::new(text));
    }
    Ok(Some(Arc::new(made)))
}
