//! TCP and Unix sockets, and what stands for them in a simulation, as one thing.

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
    /// Over TCP.
    Tcp(TcpStream),
    /// Over TLS, over TCP.
    Tls(Box<TlsStream<TcpStream>>),
    /// Over a Unix socket.
    Unix(UnixStream),
    /// Over something else that carries bytes.
    Other(Box<dyn Stream>),
}

/// What carries bytes both ways.
pub trait Stream: AsyncRead + AsyncWrite + fmt::Debug + Send + Unpin {}

impl<S: AsyncRead + AsyncWrite + fmt::Debug + Send + Unpin> Stream for S {}

/// What connections are made over: the machine's own network, unless a simulation has another.
pub trait Network: fmt::Debug + Send + Sync {
    /// Connects to the process at `address`. Over TCP, with `tls`, it has to prove that it is that one;
    /// who may use a Unix socket, its file says.
    fn connect<'a>(
        &'a self,
        address: &'a Address,
        tls: Option<&'a Tls>,
        process: &'a str,
    ) -> BoxFuture<'a, io::Result<Socket>>;

    /// The addresses that a host's name and a port stand for.
    fn resolve<'a>(&'a self, host_and_port: &'a str) -> BoxFuture<'a, io::Result<Vec<Address>>>;
}

/// The machine's own network.
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

/// Connects as [`Machine`] does.
pub async fn connect(address: &Address, tls: Option<&Tls>, process: &str) -> io::Result<Socket> {
    match address {
        Address::Tcp(address) => {
            let socket = TcpStream::connect(address.as_str()).await?;
            // Otherwise a small call waits for the acknowledgement of the one before it.
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
    /// As the serving side, goes on in TLS where that is over TCP.
    pub(crate) async fn accept_tls(self, tls: &Tls) -> io::Result<Self> {
        match self {
            Self::Tcp(socket) => Ok(Self::Tls(Box::new(tls.accept(socket).await?))),
            other => Ok(other),
        }
    }

    /// Who is at the other end, as far as that is proven.
    pub(crate) fn proof(&self) -> Proof {
        let Self::Tls(socket) = self else { return Proof::Unasked };
        let chain = socket.get_ref().1.peer_certificates();
        chain
            .and_then(|chain| chain.first())
            .map_or(Proof::Missing, |own| Proof::Certificate(own.clone().into_owned()))
    }
}

/// What the other end of a socket has shown of who it is.
#[derive(Debug)]
pub(crate) enum Proof {
    /// There it is believed.
    Unasked,
    Certificate(CertificateDer<'static>),
    Missing,
}

impl Proof {
    /// Whether it may be this process.
    pub(crate) fn is_of(&self, process: &str) -> bool {
        match self {
            Self::Unasked => true,
            Self::Certificate(certificate) => is_of(certificate, process),
            Self::Missing => false,
        }
    }
}

/// Where other processes connect to.
#[derive(Debug)]
pub enum Listener {
    /// Over TCP.
    Tcp(TcpListener),
    /// Over a Unix socket, whose file goes when the listener goes.
    Unix(UnixListener, SocketFile),
    /// Something else that connections come from.
    Other(Box<dyn Accept>),
}

/// Where connections come from.
pub trait Accept: fmt::Debug + Send + Sync {
    /// Waits for one.
    fn accept(&self) -> BoxFuture<'_, io::Result<Socket>>;
    /// Where others connect to.
    fn address(&self) -> io::Result<Address>;
}

/// The file of a Unix socket.
#[derive(Debug)]
pub struct SocketFile(PathBuf);

impl Drop for SocketFile {
    fn drop(&mut self) {
        // It may be gone already; nobody is left to tell.
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

    /// Where it listens: for TCP, with the port that it was given.
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

/// A process that was killed leaves its socket's file behind. It goes if nobody listens there.
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
