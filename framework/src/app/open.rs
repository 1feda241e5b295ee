//! Where calls of other processes can be read and made by whoever reaches the network.

use super::linked::ThisProcess;
use crate::module::StartError;

/// Refuses to listen off loopback for calls that nothing encrypts, unless the manifest says that this is meant.
pub(super) fn check(place: &ThisProcess) -> Result<(), StartError> {
    let manifest = &place.manifest;
    let stated = manifest.processes.get(&place.process).and_then(|process| process.listen.as_ref());
    let Some(address) = stated else { return Ok(()) };
    if address.is_local() || manifest.tls.is_some() {
        return Ok(());
    }
    if manifest.mesh {
        tracing::info!(%address, "calls of other processes are not encrypted here: `tls = \"mesh\"` leaves that to the network");
        return Ok(());
    }
    if manifest.insecure {
        tracing::warn!(
            %address,
            "`insecure = true`: calls of other processes are not encrypted, and none of them proves who it is"
        );
        return Ok(());
    }
    Err(StartError::new(format!(
        "`process.{}.listen` is {address}, which other machines can reach, and nothing encrypts the calls or proves who makes \
         them: state `[tls]` (`cargo monolift certs` makes certificates for development), `tls = \"mesh\"` if a service mesh \
         does both, or `insecure = true`",
        place.process
    )))
}
