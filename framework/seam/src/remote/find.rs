//! Finding the replicas of a process: where its addresses come from, and when they are asked for again.

use super::srv;
use crate::wire::Network;
use futures_util::future::{BoxFuture, join_all};
use monolift_manifest::{Address, Connect};
use std::{fmt, net::IpAddr, path::PathBuf, sync::Arc, time::Duration};

/// How often names are resolved again.
pub(super) const RESOLVE: Duration = Duration::from_secs(5);
/// How often a file is looked at.
const LOOK: Duration = Duration::from_millis(500);

/// Knows where the replicas of a process are.
pub trait Find: fmt::Debug + Send + Sync {
    /// The addresses as they are now, or why that is not known.
    fn find(&self) -> BoxFuture<'_, Result<Vec<Address>, String>>;

    /// When to ask again.
    fn every(&self) -> Duration;
}

/// What `connect` says: addresses that stay as they are, or who knows them.
pub(super) fn finder(
    connect: &Connect,
    network: &Arc<dyn Network>,
) -> Result<Vec<Address>, Box<dyn Find>> {
    let network = Arc::clone(network);
    match connect {
        Connect::Addresses(addresses) if addresses.iter().all(is_fixed) => Ok(addresses.clone()),
        Connect::Addresses(addresses) => Err(Box::new(Names { names: addresses.clone(), network })),
        Connect::Srv(name) => Err(Box::new(srv::Records { name: name.clone(), network })),
        Connect::File(path) => Err(Box::new(File { path: path.clone() })),
    }
}

/// Whether it is an address by itself. `localhost` is this machine, whichever of its addresses
/// answers.
fn is_fixed(address: &Address) -> bool {
    address.host_and_port().is_none_or(|(host, _)| {
        let ip = host.trim_start_matches('[').trim_end_matches(']');
        host.eq_ignore_ascii_case("localhost") || ip.parse::<IpAddr>().is_ok()
    })
}

/// Hosts' names, each of which stands for all the addresses that it has.
#[derive(Debug)]
struct Names {
    names: Vec<Address>,
    network: Arc<dyn Network>,
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
struct File {
    path: PathBuf,
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
    use crate::wire::{Socket, Tls};
    use std::io;

    /// A network in which some names have addresses.
    #[derive(Debug)]
    struct Named;

    impl Network for Named {
        fn connect<'a>(
            &'a self,
            _: &'a Address,
            _: Option<&'a Tls>,
            _: &'a str,
        ) -> BoxFuture<'a, io::Result<Socket>> {
            unreachable!("nobody connects here")
        }

        fn resolve<'a>(&'a self, name: &'a str) -> BoxFuture<'a, io::Result<Vec<Address>>> {
            let found = match name {
                "stock.shop:7100" => Ok(vec!["10.0.0.1:7100", "[fd00::1]:7100"]),
                _ => Err(io::Error::other("no such name")),
            };
            let parse = |text: &str| Address::Tcp(text.to_owned());
            Box::pin(async move { Ok(found?.into_iter().map(parse).collect()) })
        }
    }

    #[tokio::test]
    async fn a_name_stands_for_all_its_addresses() {
        let found = async |text: &str| {
            let connect: Connect = text.parse().unwrap();
            let network: Arc<dyn Network> = Arc::new(Named);
            let found = match finder(&connect, &network) {
                Ok(fixed) => Ok(fixed),
                Err(finder) => finder.find().await,
            };
            found.map(|found| found.iter().map(Address::to_string).collect::<Vec<_>>())
        };
        let both = ["10.0.0.1:7100", "[fd00::1]:7100"];
        assert_eq!(found("stock.shop:7100").await.unwrap(), both);
        // One that is not known does not take the others with it.
        let some = found("gone.shop:7100, stock.shop:7100, 10.0.0.9:7100").await.unwrap();
        assert_eq!(some, [both[0], both[1], "10.0.0.9:7100"]);
        assert_eq!(found("gone.shop:7100").await.unwrap_err(), "gone.shop:7100: no such name");
    }

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
