//! Mutual TLS between processes: each process proves its name with a certificate.
//!
//! The certificate has one URI among its subject's names, `spiffe://<application>/<process>`, and is signed by an authority
//! that all processes of the application share. Nothing else in it says who a process is. Certificates of other authorities
//! are refused, and a process cannot use a name that its certificate does not have.
//!
//! The files are read again while the process runs ([`Tls::keep_fresh`]). New connections use what was read last. One that
//! rests on an authority which is no longer among the roots is ended.
//!
//! Only TLS 1.3 is spoken, and no session is resumed: a connection is made seldom, and each proves anew who is there. What
//! the key signs in a handshake of TLS 1.3 begins with 64 spaces, so that it is never taken for a
//! [statement](super::Statements), which the same key signs.

mod load;
mod name;

pub(super) use load::SignedBy;
pub use name::spiffe_id;
pub(super) use name::{is_of, process_of};

use super::Socket;
use crate::call::{Signer, Statement};
use arc_swap::ArcSwap;
use load::{Loaded, Texts};
use monolift_manifest::TlsFiles;
use std::{fmt, io, sync::Arc, time::Duration};
use tokio::{net::TcpStream, sync::watch, time::sleep};
use tokio_rustls::{
    TlsStream,
    rustls::pki_types::{CertificateDer, ServerName, UnixTime},
};

/// How often the files are read again.
const EVERY: Duration = Duration::from_secs(1);
/// How long calls in flight have, on a connection that is no longer trusted.
pub(crate) const DISTRUSTED: Duration = Duration::from_secs(3);

/// This process's certificate, and the authority that it trusts.
#[derive(Clone)]
pub struct Tls(Arc<Current>);

struct Current {
    files: TlsFiles,
    app: String,
    process: String,
    loaded: ArcSwap<Loaded>,
    /// Tells those who wait that the roots have changed.
    new_roots: watch::Sender<()>,
}

impl fmt::Debug for Tls {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("Tls")
    }
}

/// Why the TLS files cannot be used.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
#[error("{0}")]
pub struct TlsError(String);

/// The certificates that the other side of a connection has shown.
#[derive(Debug)]
pub(crate) struct Shown {
    chain: Vec<CertificateDer<'static>>,
    /// When they were verified.
    at: UnixTime,
}

impl Tls {
    /// Reads the files of a process of an application.
    pub fn read(files: &TlsFiles, app: &str, process: &str) -> Result<Self, TlsError> {
        let texts = Texts::read(files, process)?;
        let loaded = Loaded::of(texts, files, app, process)?;
        Ok(Self(Arc::new(Current {
            files: files.clone(),
            app: app.to_owned(),
            process: process.to_owned(),
            loaded: ArcSwap::from_pointee(loaded),
            new_roots: watch::Sender::new(()),
        })))
    }

    /// Reads the files again and again, until this and its clones are dropped. Files that cannot be used change nothing:
    /// a certificate and its key may be replaced one after the other.
    pub fn keep_fresh(&self) {
        let current = Arc::downgrade(&self.0);
        tokio::spawn(async move {
            let mut said = None;
            loop {
                sleep(EVERY).await;
                let Some(current) = current.upgrade() else { return };
                let read = tokio::task::spawn_blocking(move || Self(current).read_again()).await;
                let error = read.ok().and_then(Result::err);
                if error != said {
                    if let Some(error) = &error {
                        tracing::warn!(%error, "[tls]: new files cannot be used, and the last ones stay in use");
                    }
                    said = error;
                }
            }
        });
    }

    /// Uses what the files hold now. Returns whether that is something new.
    pub fn read_again(&self) -> Result<bool, TlsError> {
        let Current { files, app, process, loaded, new_roots } = &*self.0;
        let texts = Texts::read(files, process)?;
        let before = loaded.load_full();
        if before.texts == texts {
            return Ok(false);
        }
        let has_new_roots = before.texts.authority != texts.authority;
        let mut now = Loaded::of(texts, files, app, process)?;
        now.changes_of_roots = before.changes_of_roots + u64::from(has_new_roots);
        loaded.store(Arc::new(now));
        if has_new_roots {
            new_roots.send_replace(());
        }
        tracing::info!(new_roots = has_new_roots, "[tls]: new certificates are in use");
        Ok(true)
    }

    /// Whether this process's own certificates lead to one of the roots that it trusts, and still do when this time has
    /// passed.
    pub fn is_trusted_in(&self, time: Duration) -> bool {
        let now = Duration::from_secs(UnixTime::now().as_secs());
        self.0.loaded.load().is_verified_itself(UnixTime::since_unix_epoch(now + time))
    }

    /// Connects as a client. The server must have the certificate of `process`.
    pub(super) async fn connect(
        &self,
        socket: TcpStream,
        process: &str,
    ) -> io::Result<TlsStream<TcpStream>> {
        let name = ServerName::try_from(process.to_owned()).map_err(io::Error::other)?;
        let connector = self.0.loaded.load().connector.clone();
        Ok(connector.connect(name, socket).await?.into())
    }

    /// Accepts a connection as the server.
    pub(super) async fn accept(&self, socket: TcpStream) -> io::Result<TlsStream<TcpStream>> {
        let acceptor = self.0.loaded.load().acceptor.clone();
        Ok(acceptor.accept(socket).await?.into())
    }

    /// What the other side of a connection has shown, if that is over TLS.
    pub(crate) fn shown_on(socket: &Socket) -> Option<Shown> {
        let Socket::Tls(socket) = socket else { return None };
        let chain = socket.get_ref().1.peer_certificates()?;
        let chain = chain.iter().map(|one| one.clone().into_owned()).collect();
        Some(Shown { chain, at: UnixTime::now() })
    }

    /// Ready when certificates lead to none of the roots any more. It never is because they expire: who has them was there
    /// while they were valid.
    pub(crate) async fn distrusts(&self, shown: &Shown) {
        let mut roots = self.0.new_roots.subscribe();
        loop {
            roots.borrow_and_update();
            if self.0.loaded.load().verified(&shown.chain, shown.at).is_err() {
                return;
            }
            if roots.changed().await.is_err() {
                std::future::pending::<()>().await;
            }
        }
    }

    /// How often the roots have changed.
    pub(super) fn changes_of_roots(&self) -> u64 {
        self.0.loaded.load().changes_of_roots
    }

    /// Whether this process could sign. It cannot if its certificates are too long to be passed on.
    pub(super) fn can_sign(&self) -> bool {
        self.0.loaded.load().signer.is_some()
    }

    /// Whether this process has signed it, by the key that it has now.
    pub(super) fn has_signed(&self, statement: &Statement) -> bool {
        self.0.loaded.load().signer == statement.signer
    }

    /// Signs `message` by this process's key.
    pub(super) fn sign(&self, message: impl FnOnce(&Signer) -> Vec<u8>) -> Option<SignedBy> {
        self.0.loaded.load().sign(message)
    }

    /// The process whose certificates these are, if they lead to a root, and it signed `message` at a time at which they
    /// were valid.
    pub(super) fn signed(
        &self,
        signer: &Signer,
        at: Duration,
        message: &[u8],
        scheme: u16,
        signature: &[u8],
    ) -> Option<String> {
        let at = UnixTime::since_unix_epoch(at);
        let loaded = self.0.loaded.load();
        loaded.signed(signer, at, message, scheme, signature, &self.0.app)
    }
}
