//! Mutual TLS between processes: who proves who they are is served, and nobody else.

use crate::{
    peers::{client_with, serve_with},
    support::{Obedient, call_error},
};
use monolift::CallErrorKind;
use monolift_manifest::{Address, TlsFiles};
use monolift_seam::wire::{Bounds, Peer, Tls};
use rcgen::{BasicConstraints, CertificateParams, IsCa, Issuer, KeyPair, SanType};
use std::{
    fs,
    path::PathBuf,
    sync::{
        Arc,
        atomic::{AtomicUsize, Ordering::Relaxed},
    },
};

/// An authority, and the folder in which it has put what it signed.
struct Authority {
    issuer: Issuer<'static, KeyPair>,
    folder: PathBuf,
}

impl Authority {
    fn new() -> Self {
        static COUNT: AtomicUsize = AtomicUsize::new(0);
        let name = format!("monolift-tls-{}-{}", std::process::id(), COUNT.fetch_add(1, Relaxed));
        let folder = std::env::temp_dir().join(name);
        fs::create_dir_all(&folder).unwrap();
        let mut params = CertificateParams::new(Vec::new()).unwrap();
        params.is_ca = IsCa::Ca(BasicConstraints::Unconstrained);
        let key = KeyPair::generate().unwrap();
        let certificate = params.self_signed(&key).unwrap();
        fs::write(folder.join("authority.pem"), certificate.pem()).unwrap();
        Self { issuer: Issuer::new(params, key), folder }
    }

    /// Signs a certificate for a process, and puts it where that one looks.
    fn sign(&self, file: &str, process: &str) {
        let key = KeyPair::generate().unwrap();
        let mut params = CertificateParams::new(vec![process.to_owned()]).unwrap();
        // As the certificates of `cargo monolift deploy kubernetes` have it beside the name.
        let uri = format!("spiffe://test/{process}").try_into().unwrap();
        params.subject_alt_names.push(SanType::URI(uri));
        let certificate = params.signed_by(&key, &self.issuer).unwrap();
        fs::write(self.folder.join(format!("{file}.pem")), certificate.pem()).unwrap();
        fs::write(self.folder.join(format!("{file}.key")), key.serialize_pem()).unwrap();
    }

    fn files(&self) -> TlsFiles {
        let file = |name: &str| self.folder.join(name).display().to_string();
        TlsFiles {
            authority: self.folder.join("authority.pem"),
            certificate: file("{process}.pem"),
            key: file("{process}.key"),
        }
    }

    fn tls(&self, process: &str) -> Tls {
        self.sign(process, process);
        Tls::read(&self.files(), process).unwrap()
    }
}

impl Drop for Authority {
    fn drop(&mut self) {
        let _ = fs::remove_dir_all(&self.folder);
    }
}

fn anywhere() -> Address {
    Address::Tcp("127.0.0.1:0".to_owned())
}

fn us(process: &str) -> Peer {
    Peer::new("test", process, Bounds::default())
}

#[tokio::test]
async fn calls_pass_between_processes_that_prove_who_they_are() {
    let authority = Authority::new();
    let worker = Arc::new(Obedient::default());
    let tls = Some(authority.tls("worker"));
    let (_server, address) = serve_with(&anywhere(), &worker, tls).await;
    let client = client_with(&address, us("test"), Some(authority.tls("test")));
    for length in [0, 10, 100_000, 3_000_000] {
        let text = "x".repeat(length);
        assert_eq!(client.echo(text.clone()).await.unwrap(), text);
    }
    let calls = (0..200).map(|at| {
        let (client, text) = (client.clone(), format!("{at} {}", "y".repeat(at * 300)));
        tokio::spawn(async move { (client.echo(text.clone()).await, text) })
    });
    for call in calls.collect::<Vec<_>>() {
        let (answer, text) = call.await.unwrap();
        assert_eq!(answer.unwrap(), text);
    }
}

#[tokio::test]
async fn nobody_else_is_served() {
    let (authority, other) = (Authority::new(), Authority::new());
    let worker = Arc::new(Obedient::default());
    let tls = Some(authority.tls("worker"));
    let (_server, address) = serve_with(&anywhere(), &worker, tls).await;
    let refused = async |us: Peer, tls: Option<Tls>| {
        let error = call_error(client_with(&address, us, tls).echo("x".into()).await);
        assert_eq!(error.kind(), CallErrorKind::Unreachable, "{error}");
        error.message().to_owned()
    };
    // Who shows nothing, who was signed by somebody else, and who is somebody else.
    refused(us("test"), None).await;
    refused(us("test"), Some(other.tls("test"))).await;
    let told = refused(us("orders"), Some(authority.tls("test"))).await;
    assert!(told.contains("your certificate is not that of `orders`"), "{told}");
    let client = client_with(&address, us("test"), Some(authority.tls("test")));
    assert_eq!(client.echo("x".into()).await.unwrap(), "x");
}

#[tokio::test]
async fn nobody_else_is_called() {
    let (authority, other) = (Authority::new(), Authority::new());
    let worker = Arc::new(Obedient::default());
    // Somebody else at the address: another process, one that another authority has signed, and one
    // that proves nothing.
    for tls in [Some(authority.tls("stock")), Some(other.tls("worker")), None] {
        let (_server, address) = serve_with(&anywhere(), &worker, tls).await;
        let client = client_with(&address, us("test"), Some(authority.tls("test")));
        let error = call_error(client.echo("x".into()).await);
        assert_eq!(error.kind(), CallErrorKind::Unreachable, "{error}");
    }
}

#[test]
fn files_that_are_of_no_use_are_told() {
    let authority = Authority::new();
    let wrong = |process: &str| Tls::read(&authority.files(), process).unwrap_err().to_string();
    assert!(wrong("stock").contains("stock.pem cannot be read"), "{}", wrong("stock"));
    authority.sign("orders", "payments");
    assert!(wrong("orders").contains("is not for the name `orders`"), "{}", wrong("orders"));
    authority.sign("users", "users");
    fs::write(authority.folder.join("users.key"), "no key").unwrap();
    assert!(wrong("users").contains("users.key holds no key"), "{}", wrong("users"));
    authority.sign("worker", "worker");
    authority.sign("another", "worker");
    fs::copy(authority.folder.join("another.key"), authority.folder.join("worker.key")).unwrap();
    assert!(wrong("worker").contains("cannot be used"), "{}", wrong("worker"));
    fs::write(authority.folder.join("authority.pem"), "").unwrap();
    assert!(wrong("worker").contains("holds no certificate"), "{}", wrong("worker"));
}
