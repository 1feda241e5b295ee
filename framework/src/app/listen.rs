//! Which address a process listens on: its own, or that of the first of its replicas that is free on this machine.

use super::linked::ThisProcess;
use crate::{config::Settings, module::StartError};
use monolift_manifest::{Address, Process};
use std::io::{self, ErrorKind};

impl ThisProcess {
    /// The addresses that this process may listen on for `key`, the first one first. `stated` is the address in
    /// force; `replicas` gives those of all replicas. An address from the settings is that of this process alone.
    pub(super) fn replicas(
        &self,
        settings: &Settings,
        key: &str,
        stated: Address,
        replicas: impl Fn(&Process) -> Vec<Address>,
    ) -> Places {
        let is_own = settings.origin(&format!("process.{}.{key}", self.process)).is_some();
        let all = self.manifest.processes.get(&self.process).map(replicas);
        let addresses =
            all.filter(|all| !is_own && !all.is_empty()).unwrap_or_else(|| vec![stated]);
        Places { addresses, is_own }
    }
}

/// Where a process may listen.
#[derive(Debug)]
pub(super) struct Places {
    /// The first one first.
    addresses: Vec<Address>,
    /// Whether the settings state the only one, which is that of this process alone.
    is_own: bool,
}

/// Why a process cannot listen.
#[derive(Debug)]
pub(super) struct Refusal {
    address: Address,
    is_own: bool,
    /// How many addresses were tried.
    tried: usize,
    error: io::Error,
}

/// Binds the first of the addresses that is not in use.
pub(super) async fn first_free<T>(
    places: Places,
    bind: impl AsyncFn(&Address) -> io::Result<T>,
) -> Result<(T, Address), Refusal> {
    let Places { addresses, is_own } = places;
    let mut refusal = None;
    for (before, address) in addresses.into_iter().enumerate() {
        match bind(&address).await {
            Ok(bound) => return Ok((bound, address)),
            Err(error) => {
                let is_in_use = error.kind() == ErrorKind::AddrInUse;
                let refused = Refusal { address, is_own, tried: before + 1, error };
                if !is_in_use {
                    return Err(refused);
                }
                refusal = Some(refused);
            }
        }
    }
    Err(refusal.expect("a process that listens has an address"))
}

impl Refusal {
    /// The same, as a start tells it. `key` is that of the address.
    pub(super) fn of(self, what: &str, key: &str, place: &ThisProcess) -> StartError {
        let Self { address, is_own, tried, error } = self;
        let process = &place.process;
        let mut text = format!("{what} on {address} (`process.{process}.{key}`)");
        if error.kind() == ErrorKind::AddrInUse {
            let further = tried + 1;
            let advice = format!(
                "for one more replica on this machine, write `replicas = {further}` below [process.{process}]"
            );
            text += &match tried {
                _ if is_own => {
                    "; the settings state it for this process alone: state another one".to_owned()
                }
                1 => format!("; is this process running already? If so, {advice}"),
                tried => format!("; the addresses of all {tried} replicas are in use: {advice}"),
            };
        }
        StartError::new(text).because(error)
    }
}
