//! The simulated network, as the framework sees one.

use futures_util::future::BoxFuture;
use monolift_manifest::Address;
use monolift_seam::wire::{Accept, Network, Socket, Tls};
use std::{fmt, io, net::SocketAddr};
use turmoil::net::{TcpListener, TcpStream};

/// Where every process listens, on its own host.
pub(crate) const PORT: u16 = 7000;

#[derive(Debug)]
pub(crate) struct Simulated;

fn host_and_port(address: &Address) -> io::Result<(&str, u16)> {
    address.host_and_port().ok_or_else(|| io::Error::other("there are no files in a simulation"))
}

impl Network for Simulated {
    fn connect<'a>(
        &'a self,
        address: &'a Address,
        _: Option<&'a Tls>,
        _: &'a str,
    ) -> BoxFuture<'a, io::Result<Socket>> {
        Box::pin(async move {
            let (host, port) = host_and_port(address)?;
            let address: SocketAddr = format!("{host}:{port}").parse().map_err(io::Error::other)?;
            Ok(Socket::Other(Box::new(TcpStream::connect(address).await?)))
        })
    }

    fn resolve<'a>(&'a self, host_and_port: &'a str) -> BoxFuture<'a, io::Result<Vec<Address>>> {
        let (host, port) = host_and_port.rsplit_once(':').unwrap_or((host_and_port, ""));
        let address = Address::Tcp(format!("{}:{port}", turmoil::lookup(host)));
        Box::pin(async move { Ok(vec![address]) })
    }
}

/// A listener on the host that this runs on.
pub(crate) struct Listening(TcpListener);

impl fmt::Debug for Listening {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("Listening")
    }
}

impl Listening {
    pub(crate) async fn here() -> io::Result<Self> {
        Ok(Self(TcpListener::bind(("0.0.0.0", PORT)).await?))
    }
}

impl Accept for Listening {
    fn accept(&self) -> BoxFuture<'_, io::Result<Socket>> {
        Box::pin(async move { Ok(Socket::Other(Box::new(self.0.accept().await?.0))) })
    }

    fn address(&self) -> io::Result<Address> {
        Ok(Address::Tcp(self.0.local_addr()?.to_string()))
    }
}
