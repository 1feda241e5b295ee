//! Finding the replicas of a process: where its addresses come from, and when they are asked for again.

use crate::wire::Network;
use futures_util::future::{BoxFuture, join_all};
use monolift_manifest::Address;
use std::{fmt, net::IpAddr, path::PathBuf, sync::Arc, time::Duration};

/// How often names are resolved again.
pub(super) const RESOLVE: Duration = Duration::from_secs(5);
/// How often a file is looked at.
const LOOK: Duration = Duration::from_millis(500);

/// Knows where the replicas of a process are.
pub(super) trait Find: fmt::Debug + Send + Sync {
    /// The addresses as they are now, or why that is not known.
    fn find(&self) -> BoxFuture<'_, Result<Vec<Address>, String>>;

    /// When to ask again.
    fn every(&self) -> Duration;
}

/// Whether it is an address by itself. `localhost` is this machine, whichever of its addresses
/// answers.
pub(super) fn is_fixed(address: &Address) -> bool {
    address.host_and_port().is_none_or(|(host, _)| {
        let ip = host.trim_start_matches('[').trim_end_matches(']');
        host.eq_ignore_ascii_case("localhost") || ip.parse::<IpAddr>().is_ok()
    })
}

/// Hosts' names, each of which stands for all the addresses that it has.
#[derive(Debug)]
pub(super) struct Names {
    pub(super) names: Vec<Address>,
    pub(super) network: Arc<dyn Network>,
}

impl Find for Names {
    fn find(&self) -> BoxFuture<'_, Result<Vec<Address>, String>> {
        Box::pin(resolve(&*self.network, &self.names))
    }

    fn every(&self) -> Duration {
        RESOLVE
    }
}

/// All addresses that these have. One that has none now does not take the others with it.
pub(super) async fn resolve(
    network: &dyn Network,
    names: &[Address],
) -> Result<Vec<Address>, String> {
    let each = names.iter().map(async |name| match name {
        Address::Tcp(host_and_port) if !is_fixed(name) => {
            let found = network.resolve(host_and_port).await;
            found.map_err(|error| format!("{host_and_port}: {error}"))
        }
        fixed => Ok(vec![fixed.clone()]),
    });
    let mut addresses = Vec::new();
    let mut errors = Vec::new();
    for found in join_all(each).await {
        match found {
            Ok(found) => addresses.extend(found),
            Err(error) => errors.push(error),
        }
    }
    if addresses.is_empty() && !errors.is_empty() { Err(errors.join(", ")) } else { Ok(addresses) }
}

/// A file with an address on each line; what is behind `#` is a remark.
#[derive(Debug)]
pub(super) struct File {
    pub(super) path: PathBuf,
}

impl Find for File {
    fn find(&self) -> BoxFuture<'_, Result<Vec<Address>, String>> {
        let path = self.path.clone();
        Box::pin(async move {
            let shown = path.display().to_string();
            let read = tokio::task::spawn_blocking(move || std::fs::read_to_string(path)).await;
            let text = read.map_err(|error| error.to_string()).and_then(|read| {
                read.map_err(|error| format!("{shown} cannot be read: {error}"))
            })?;
            addresses_in(&text).map_err(|error| format!("{shown}: {error}"))
        })
    }

    fn every(&self) -> Duration {
        LOOK
    }
}

fn addresses_in(text: &str) -> Result<Vec<Address>, String> {
    let lines = text.lines().map(|line| line.split('#').next().unwrap_or_default().trim());
    let stated = lines.enumerate().filter(|(_, line)| !line.is_empty());
    stated
        .map(|(number, line)| line.parse().map_err(|error| format!("line {}: {error}", number + 1)))
        .collect()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_file_lists_addresses() {
        let text = "# stock\n10.0.0.1:7100 # the old one\n\nunix:run/stock.sock\n";
        let found = addresses_in(text).unwrap();
        let shown: Vec<String> = found.iter().map(Address::to_string).collect();
        assert_eq!(shown, ["10.0.0.1:7100", "unix:run/stock.sock"]);
        assert!(addresses_in("a:1\nnonsense").unwrap_err().starts_with("line 2: expected"));
    }

    #[test]
    fn numbers_are_not_resolved_and_names_are() {
        let fixed = |text: &str| is_fixed(&text.parse().unwrap());
        assert!(fixed("10.0.0.1:7100") && fixed("[::1]:7100") && fixed("unix:a"));
        assert!(fixed("localhost:7100") && !fixed("stock.shop:7100"));
    }
}
