//! Chooses the source of addresses that `connect` in the manifest names.

use super::{
    find::{File, Find, Names, is_fixed},
    srv::Records,
};
use crate::wire::Network;
use monolift_manifest::{Address, Connect};
use std::sync::Arc;

/// What `connect` names: fixed addresses, or a source of addresses.
pub(super) fn finder(
    connect: &Connect,
    network: &Arc<dyn Network>,
) -> Result<Vec<Address>, Box<dyn Find>> {
    let network = Arc::clone(network);
    match connect {
        Connect::Addresses(addresses) if addresses.iter().all(is_fixed) => Ok(addresses.clone()),
        Connect::Addresses(addresses) => Err(Box::new(Names { names: addresses.clone(), network })),
        Connect::Srv(name) => Err(Box::new(Records { name: name.clone(), network })),
        Connect::File(path) => Err(Box::new(File { path: path.clone() })),
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::wire::{Socket, Tls};
    use futures_util::future::BoxFuture;
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
        // An unknown name does not hide the addresses of the others.
        let some = found("gone.shop:7100, stock.shop:7100, 10.0.0.9:7100").await.unwrap();
        assert_eq!(some, [both[0], both[1], "10.0.0.9:7100"]);
        assert_eq!(
            found("gone.shop:7100").await.unwrap_err().to_string(),
            "gone.shop:7100: no such name"
        );
    }
}
