//! Finding the replicas of a process: where its addresses come from, and when they are asked for again.

use crate::wire::Network;
use futures_util::future::{BoxFuture, join_all};
use monolift_manifest::{Address, AddressError};
use std::{
    fmt, io,
    net::{IpAddr, SocketAddr},
    path::PathBuf,
    sync::Arc,
    time::Duration,
};

/// How often names are resolved again.
pub(super) const RESOLVE: Duration = Duration::from_secs(5);
/// How often a file is read again.
const LOOK: Duration = Duration::from_millis(500);

/// A source of the addresses of a process's replicas.
pub(super) trait Find: fmt::Debug + Send + Sync {
    /// The addresses as they are now, or why that is not known.
    fn find(&self) -> BoxFuture<'_, Result<Vec<Address>, FindError>>;

    /// The interval between two look-ups.
    fn every(&self) -> Duration;
}

/// Why the addresses of a process are not known.
#[derive(Debug, thiserror::Error)]
pub(super) enum FindError {
    /// No name has an address.
    #[error("{}", joined(.0))]
    Unresolved(Vec<Unresolved>),
    /// The file cannot be read.
    #[error("{path} cannot be read: {error}", path = .path.display())]
    File { path: PathBuf, error: io::Error },
    /// A line of the file is no address.
    #[error("{path}: line {line}: {error}", path = .path.display())]
    Line { path: PathBuf, line: usize, error: AddressError },
    /// No name server has answered. This is the error of the last one.
    #[error("{name} by {server}: {error}")]
    NameServer { name: String, server: SocketAddr, error: io::Error },
    /// There are none.
    #[error("no addresses")]
    Nowhere,
}

/// A name without an address.
#[derive(Debug, thiserror::Error)]
#[error("{name}: {error}")]
pub(super) struct Unresolved {
    name: String,
    error: io::Error,
}

fn joined(errors: &[Unresolved]) -> String {
    errors.iter().map(Unresolved::to_string).collect::<Vec<_>>().join(", ")
}

/// Whether the address needs no look-up. `localhost` is left to the system, which tries all its addresses.
pub(super) fn is_fixed(address: &Address) -> bool {
    address.host_and_port().is_none_or(|(host, _)| {
        let ip = host.trim_start_matches('[').trim_end_matches(']');
        host.eq_ignore_ascii_case("localhost") || ip.parse::<IpAddr>().is_ok()
    })
}

/// Host names. Each stands for all addresses that it resolves to.
#[derive(Debug)]
pub(super) struct Names {
    pub(super) names: Vec<Address>,
    pub(super) network: Arc<dyn Network>,
}

impl Find for Names {
    fn find(&self) -> BoxFuture<'_, Result<Vec<Address>, FindError>> {
        Box::pin(resolve(&*self.network, &self.names))
    }

    fn every(&self) -> Duration {
        RESOLVE
    }
}

/// Resolves all names. A name that cannot be resolved is left out, unless none can be.
pub(super) async fn resolve(
    network: &dyn Network,
    names: &[Address],
) -> Result<Vec<Address>, FindError> {
    let each = names.iter().map(async |name| match name {
        Address::Tcp(host_and_port) if !is_fixed(name) => {
            let found = network.resolve(host_and_port).await;
            found.map_err(|error| Unresolved { name: host_and_port.clone(), error })
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
    if addresses.is_empty() && !errors.is_empty() {
        return Err(FindError::Unresolved(errors));
    }
    Ok(addresses)
}

/// A file with an address on each line. `#` begins a comment.
#[derive(Debug)]
pub(super) struct File {
    pub(super) path: PathBuf,
}

impl Find for File {
    fn find(&self) -> BoxFuture<'_, Result<Vec<Address>, FindError>> {
        Box::pin(async move {
            let text = read(self.path.clone()).await;
            let text = text.map_err(|error| FindError::File { path: self.path.clone(), error })?;
            addresses_in(&text).map_err(|(line, error)| FindError::Line {
                path: self.path.clone(),
                line,
                error,
            })
        })
    }

    fn every(&self) -> Duration {
        LOOK
    }
}

/// Reads a file, in a thread that may block.
pub(super) async fn read(path: PathBuf) -> io::Result<String> {
    tokio::task::spawn_blocking(move || std::fs::read_to_string(path)).await?
}

/// The addresses, or the first line that is none, and why.
fn addresses_in(text: &str) -> Result<Vec<Address>, (usize, AddressError)> {
    let lines = text.lines().map(|line| line.split('#').next().unwrap_or_default().trim());
    let stated = lines.enumerate().filter(|(_, line)| !line.is_empty());
    stated.map(|(number, line)| line.parse().map_err(|error| (number + 1, error))).collect()
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
        assert_eq!(addresses_in("a:1\nnonsense").unwrap_err(), (2, AddressError));
    }

    #[tokio::test]
    async fn an_error_of_a_file_names_the_file() {
        let path = std::env::temp_dir().join(format!("monolift-find-{}", std::process::id()));
        let file = File { path: path.clone() };
        let missing = file.find().await.unwrap_err();
        assert!(matches!(missing, FindError::File { .. }), "{missing:?}");
        std::fs::write(&path, "10.0.0.1:7100\nnonsense\n").unwrap();
        let wrong = file.find().await.unwrap_err().to_string();
        std::fs::remove_file(&path).unwrap();
        let expected = format!("{}: line 2: {AddressError}", path.display());
        assert_eq!(wrong, expected);
    }

    #[test]
    fn numbers_are_not_resolved_and_names_are() {
        let fixed = |text: &str| is_fixed(&text.parse().unwrap());
        assert!(fixed("10.0.0.1:7100") && fixed("[::1]:7100") && fixed("unix:a"));
        assert!(fixed("localhost:7100") && !fixed("stock.shop:7100"));
    }
}
