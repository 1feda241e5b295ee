//! TCP and Unix sockets, and their replacements in a simulation, as one type.

use super::tls::{Tls, is_of};
use futures_util::future::BoxFuture;
use monolift_manifest::Address;
use std::{
    fmt, io,
    path::{Path, PathBuf},
    pin::Pin,
    task::{Context, Poll},
};
use tokio::{
    io::{AsyncRead, AsyncWrite, ReadBuf},
    net::{TcpListener, TcpStream, UnixListener, UnixStream},
};
use tokio_rustls::{TlsStream, rustls::pki_types::CertificateDer};

/// A connection to another process.
#[derive(Debug)]
pub enum Socket {
    /// TCP.
    Tcp(TcpStream),
    /// TLS over TCP.
    Tls(Box<TlsStream<TcpStream>>),
    /// A Unix socket.
    Unix(UnixStream),
    /// Another byte stream, for a simulation.
    Other(Box<dyn Stream>),
}

/// A byte stream in both directions.
pub trait Stream: AsyncRead + AsyncWrite + fmt::Debug + Send + Unpin {}

impl<S: AsyncRead + AsyncWrite + fmt::Debug + Send + Unpin> Stream for S {}

/// The network that connections use. It is the machine's own, except in a simulation.
pub trait Network: fmt::Debug + Send + Sync {
    /// Connects to the process at `address`. Over TCP with `tls`, the other side must prove that it
    /// is that process. Access to a Unix socket is controlled by the permissions of its file.
    fn connect<'a>(
        &'a self,
        address: &'a Address,
        tls: Option<&'a Tls>,
        process: &'a str,
    ) -> BoxFuture<'a, io::Result<Socket>>;

    /// The addresses of a host's name and port.
    fn resolve<'a>(&'a self, host_and_port: &'a str) -> BoxFuture<'a, io::Result<Vec<Address>>>;
}

/// The network of this machine.
#[derive(Debug, Clone, Copy, Default)]
pub struct Machine;

impl Network for Machine {
    fn connect<'a>(
        &'a self,
        address: &'a Address,
        tls: Option<&'a Tls>,
        process: &'a str,
    ) -> BoxFuture<'a, io::Result<Socket>> {
        Box::pin(connect(address, tls, process))
    }

    fn resolve<'a>(&'a self, host_and_port: &'a str) -> BoxFuture<'a, io::Result<Vec<Address>>> {
        Box::pin(async move {
            let found = tokio::net::lookup_host(host_and_port).await?;
            Ok(found.map(|address| Address::Tcp(address.to_string())).collect())
        })
    }
}

/// Connects over the network of this machine.
pub async fn connect(address: &Address, tls: Option<&Tls>, process: &str) -> io::Result<Socket> {
    match address {
        Address::Tcp(address) => {
            let socket = TcpStream::connect(address.as_str()).await?;
            // Disables Nagle's algorithm. Otherwise a small call waits for the acknowledgement of
            // the one before it.
            socket.set_nodelay(true)?;
            Ok(match tls {
                Some(tls) => Socket::Tls(Box::new(tls.connect(socket, process).await?)),
                None => Socket::Tcp(socket),
            })
        }
        Address::Unix(path) => Ok(Socket::Unix(UnixStream::connect(path).await?)),
    }
}

impl Socket {
    /// Starts TLS as the server, if the socket is TCP.
    pub(crate) async fn accept_tls(self, tls: &Tls) -> io::Result<Self> {
        match self {
            Self::Tcp(socket) => Ok(Self::Tls(Box::new(tls.accept(socket).await?))),
            other => Ok(other),
        }
    }

    /// What the peer has proved about its identity.
    pub(crate) fn proof(&self) -> Proof {
        let Self::Tls(socket) = self else { return Proof::Unasked };
        let chain = socket.get_ref().1.peer_certificates();
        chain
            .and_then(|chain| chain.first())
            .map_or(Proof::Missing, |own| Proof::Certificate(own.clone().into_owned()))
    }
}

/// What a peer has proved about its identity.
#[derive(Debug)]
pub(crate) enum Proof {
    /// A connection without TLS: the name that the peer gives is accepted.
    Unasked,
    Certificate(CertificateDer<'static>),
    Missing,
}

impl Proof {
    /// Whether the peer may be this process.
    pub(crate) fn is_of(&self, app: &str, process: &str) -> bool {
        match self {
            Self::Unasked => true,
            Self::Certificate(certificate) => is_of(certificate, app, process),
            Self::Missing => false,
        }
    }
}

/// A listening socket for other processes.
#[derive(Debug)]
pub enum Listener {
    /// TCP.
    Tcp(TcpListener),
    /// A Unix socket. Its file is removed when the listener is dropped.
    Unix(UnixListener, SocketFile),
    /// Another source of connections, for a simulation.
    Other(Box<dyn Accept>),
}

/// A source of connections.
pub trait Accept: fmt::Debug + Send + Sync {
    /// Waits for a connection.
    fn accept(&self) -> BoxFuture<'_, io::Result<Socket>>;
    /// The address to which others connect.
    fn address(&self) -> io::Result<Address>;
}

/// The file of a Unix socket.
#[derive(Debug)]
pub struct SocketFile(PathBuf);

impl Drop for SocketFile {
    fn drop(&mut self) {
        // The file may be gone already. There is nothing to report to.
        let _ = std::fs::remove_file(&self.0);
    }
}

impl Listener {
    /// Listens on `address`.
    pub async fn bind(address: &Address) -> io::Result<Self> {
        match address {
            Address::Tcp(address) => Ok(Self::Tcp(TcpListener::bind(address.as_str()).await?)),
            Address::Unix(path) => {
                remove_stale(path).await?;
                Ok(Self::Unix(UnixListener::bind(path)?, SocketFile(path.clone())))
            }
        }
    }

    /// The address. For TCP it contains the port that the system assigned.
    pub fn address(&self) -> io::Result<Address> {
        Ok(match self {
            Self::Tcp(listener) => Address::Tcp(listener.local_addr()?.to_string()),
            Self::Unix(_, file) => Address::Unix(file.0.clone()),
            Self::Other(listener) => listener.address()?,
        })
    }

    /// Waits for a connection.
    pub async fn accept(&self) -> io::Result<Socket> {
        match self {
            Self::Tcp(listener) => {
                let (socket, _) = listener.accept().await?;
                socket.set_nodelay(true)?;
                Ok(Socket::Tcp(socket))
            }
            Self::Unix(listener, _) => Ok(Socket::Unix(listener.accept().await?.0)),
            Self::Other(listener) => listener.accept().await,
        }
    }
}

/// Removes the socket file of a process that was killed, if no process listens on it.
async fn remove_stale(path: &Path) -> io::Result<()> {
    use std::os::unix::fs::FileTypeExt;
    let is_socket = std::fs::symlink_metadata(path).is_ok_and(|meta| meta.file_type().is_socket());
    if !is_socket {
        return Ok(());
    }
    match UnixStream::connect(path).await {
        Ok(_) => Err(io::ErrorKind::AddrInUse.into()),
        Err(_) => std::fs::remove_file(path),
    }
}

impl AsyncRead for Socket {
    fn poll_read(
        self: Pin<&mut Self>,
        cx: &mut Context<'_>,
        buf: &mut ReadBuf<'_>,
    ) -> Poll<io::Result<()>> {
        match self.get_mut() {
            Self::Tcp(socket) => Pin::new(socket).poll_read(cx, buf),
            Self::Tls(socket) => Pin::new(socket).poll_read(cx, buf),
            Self::Unix(socket) => Pin::new(socket).poll_read(cx, buf),
            Self::Other(socket) => Pin::new(socket).poll_read(cx, buf),
        }
    }
}

impl AsyncWrite for Socket {
    fn poll_write(
        self: Pin<&mut Self>,
        cx: &mut Context<'_>,
        buf: &[u8],
    ) -> Poll<io::Result<usize>> {
        match self.get_mut() {
            Self::Tcp(socket) => Pin::new(socket).poll_write(cx, buf),
            Self::Tls(socket) => Pin::new(socket).poll_write(cx, buf),
            Self::Unix(socket) => Pin::new(socket).poll_write(cx, buf),
            Self::Other(socket) => Pin::new(socket).poll_write(cx, buf),
        }
    }

    fn poll_write_vectored(
        self: Pin<&mut Self>,
        cx: &mut Context<'_>,
        bufs: &[io::IoSlice<'_>],
    ) -> Poll<io::Result<usize>> {
        match self.get_mut() {
            Self::Tcp(socket) => Pin::new(socket).poll_write_vectored(cx, bufs),
            Self::Tls(socket) => Pin::new(socket).poll_write_vectored(cx, bufs),
            Self::Unix(socket) => Pin::new(socket).poll_write_vectored(cx, bufs),
            Self::Other(socket) => Pin::new(socket).poll_write_vectored(cx, bufs),
        }
    }

    fn is_write_vectored(&self) -> bool {
        true
    }

    fn poll_flush(self: Pin<&mut Self>, cx: &mut Context<'_>) -> Poll<io::Result<()>> {
        match self.get_mut() {
            Self::Tcp(socket) => Pin::new(socket).poll_flush(cx),
            Self::Tls(socket) => Pin::new(socket).poll_flush(cx),
            Self::Unix(socket) => Pin::new(socket).poll_flush(cx),
            Self::Other(socket) => Pin::new(socket).poll_flush(cx),
        }
    }

    fn poll_shutdown(self: Pin<&mut Self>, cx: &mut Context<'_>) -> Poll<io::Result<()>> {
        match self.get_mut() {
            Self::Tcp(socket) => Pin::new(socket).poll_shutdown(cx),
            Self::Tls(socket) => Pin::new(socket).poll_shutdown(cx),
            Self::Unix(socket) => Pin::new(socket).poll_shutdown(cx),
            Self::Other(socket) => Pin::new(socket).poll_shutdown(cx),
        }
    }
}
