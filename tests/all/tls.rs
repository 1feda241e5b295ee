//! Mutual TLS between processes: who proves who they are is served, and nobody else.

use crate::{
    certificates::{APP, Authority, Pair, Shift, Wanted},
    peers::{client_with, serve_with},
    support::{Obedient, call_error, soon},
};
use monolift::CallErrorKind;
use monolift_manifest::Address;
use monolift_seam::wire::{Bounds, Peer, Socket, Tls, connect, greet, spiffe_id};
use std::{fs, sync::Arc, time::Duration};
use tokio::{
    io::{AsyncReadExt, AsyncWriteExt},
    net::{TcpListener, TcpStream},
};
use tokio_rustls::{
    TlsAcceptor, TlsConnector,
    rustls::{
        self, ClientConfig, DigitallySignedStruct, ServerConfig, SignatureScheme,
        client::danger::{HandshakeSignatureValid, ServerCertVerified, ServerCertVerifier},
        crypto::ring::default_provider,
        pki_types::{CertificateDer, PrivateKeyDer, ServerName, UnixTime, pem::PemObject},
    },
};

fn anywhere() -> Address {
    Address::Tcp("127.0.0.1:0".to_owned())
}

fn us(process: &str) -> Peer {
    Peer::new(APP, process, Bounds::default())
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

/// What somebody may show who is not `process`, or does not prove it. The first one is good.
fn shown(process: &str, authority: &Authority, other: &Authority) -> Vec<(&'static str, Pair)> {
    let own = spiffe_id(APP, process);
    let signed = |wanted: Wanted| authority.pair(&wanted);
    let uri = |uri: &str| signed(Wanted::uris(&[uri]));
    vec![
        ("its own", signed(Wanted::of(process))),
        ("that of another authority", other.pair(&Wanted::of(process))),
        ("that of another process", signed(Wanted::of("stock"))),
        ("that of another application", uri(&spiffe_id("other", process))),
        ("one of an application whose name begins alike", uri(&spiffe_id("test2", process))),
        ("one with two URIs", signed(Wanted::uris(&[&own, &spiffe_id(APP, "stock")]))),
        ("one with the same URI twice", signed(Wanted::uris(&[&own, &own]))),
        ("one with a longer path", uri(&format!("{own}/more"))),
        ("one with another scheme", uri(&own.replace("spiffe", "https"))),
        ("one in capitals", uri(&own.to_uppercase())),
        ("one with its name as a host's", {
            signed(Wanted { dns: vec![process.to_owned()], ..Wanted::uris(&[]) })
        }),
        ("one without any name", signed(Wanted::uris(&[]))),
        ("an expired one", signed(Wanted { shifted: Some(Shift::Over), ..Wanted::of(process) })),
        ("one of the future", {
            signed(Wanted { shifted: Some(Shift::NotYet), ..Wanted::of(process) })
        }),
    ]
}

#[tokio::test]
async fn nobody_else_is_served() {
    let (authority, other) = (Authority::new(), Authority::new());
    let worker = Arc::new(Obedient::default());
    let tls = Some(authority.tls("worker"));
    let (_server, address) = serve_with(&anywhere(), &worker, tls).await;
    let Address::Tcp(text) = &address else { panic!("{address}") };
    for (at, (what, pair)) in shown("test", &authority, &other).into_iter().enumerate() {
        let stream = TcpStream::connect(text.as_str()).await.unwrap();
        let stream = anyone_as_server(Some(pair)).connect("worker".try_into().unwrap(), stream);
        let Ok(stream) = stream.await else { panic!("{what}: the server proves who it is") };
        let mut socket = Socket::Other(Box::new(stream));
        let greeted = greet(&mut socket, &us("test"), Duration::from_secs(5)).await;
        assert_eq!(greeted.is_ok(), at == 0, "{what}: {:?}", greeted.err());
    }
    // One without a certificate, and two that speak no TLS.
    let stream = TcpStream::connect(text.as_str()).await.unwrap();
    let stream = anyone_as_server(None).connect("worker".try_into().unwrap(), stream).await;
    let mut socket = Socket::Other(Box::new(stream.unwrap()));
    assert!(greet(&mut socket, &us("test"), Duration::from_secs(5)).await.is_err());
    let mut socket = connect(&address, None, "worker").await.unwrap();
    assert!(greet(&mut socket, &us("test"), Duration::from_secs(5)).await.is_err());
    let mut stream = TcpStream::connect(text.as_str()).await.unwrap();
    stream.write_all(b"GET / HTTP/1.1\r\nhost: worker\r\n\r\n").await.unwrap();
    let mut answer = Vec::new();
    let _ = soon(stream.read_to_end(&mut answer)).await;
    assert!(!answer.starts_with(b"HTTP"));
    // The certificate of `test` is for no other name.
    let client = client_with(&address, us("orders"), Some(authority.tls("test")));
    let error = call_error(client.echo("x".into()).await);
    assert_eq!(error.kind(), CallErrorKind::Unreachable, "{error}");
    assert!(error.message().contains("your certificate is not that of `orders`"), "{error}");
    let client = client_with(&address, us("test"), Some(authority.tls("test")));
    assert_eq!(client.echo("x".into()).await.unwrap(), "x");
}

#[tokio::test]
async fn nobody_else_is_called() {
    let (authority, other) = (Authority::new(), Authority::new());
    let tls = authority.tls("test");
    for (at, (what, pair)) in shown("worker", &authority, &other).into_iter().enumerate() {
        let listener = TcpListener::bind("127.0.0.1:0").await.unwrap();
        let address = Address::Tcp(listener.local_addr().unwrap().to_string());
        let acceptor = anyone_as_client(pair);
        let accepting = tokio::spawn(async move {
            let (stream, _) = listener.accept().await.unwrap();
            acceptor.accept(stream).await.is_ok()
        });
        let connected = connect(&address, Some(&tls), "worker").await;
        assert_eq!(connected.is_ok(), at == 0, "{what}: {:?}", connected.err());
        drop(connected);
        let _ = accepting.await;
    }
    // A process that speaks no TLS.
    let worker = Arc::new(Obedient::default());
    let (_server, address) = serve_with(&anywhere(), &worker, None).await;
    let client = client_with(&address, us("test"), Some(tls));
    let error = call_error(client.echo("x".into()).await);
    assert_eq!(error.kind(), CallErrorKind::Unreachable, "{error}");
}

#[test]
fn files_that_are_of_no_use_are_told() {
    let authority = Authority::new();
    let wrong =
        |process: &str| Tls::read(&authority.files(), APP, process).unwrap_err().to_string();
    assert!(wrong("stock").contains("stock.pem cannot be read"), "{}", wrong("stock"));
    authority.sign("orders", "payments");
    let told = wrong("orders");
    assert!(told.contains("its only URI must be `spiffe://test/orders`"), "{told}");
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

/// A client that takes any server for the right one, and shows `pair`.
fn anyone_as_server(pair: Option<Pair>) -> TlsConnector {
    let config = ClientConfig::builder_with_provider(Arc::new(default_provider()))
        .with_safe_default_protocol_versions()
        .unwrap()
        .dangerous()
        .with_custom_certificate_verifier(Arc::new(Anyone));
    let config = match pair {
        Some(pair) => {
            let (chain, key) = read(&pair);
            config.with_client_auth_cert(chain, key).unwrap()
        }
        None => config.with_no_client_auth(),
    };
    Arc::new(config).into()
}

/// A server that asks its clients nothing, and shows `pair`.
fn anyone_as_client(pair: Pair) -> TlsAcceptor {
    let (chain, key) = read(&pair);
    let config = ServerConfig::builder_with_provider(Arc::new(default_provider()))
        .with_safe_default_protocol_versions()
        .unwrap()
        .with_no_client_auth()
        .with_single_cert(chain, key)
        .unwrap();
    Arc::new(config).into()
}

fn read(pair: &Pair) -> (Vec<CertificateDer<'static>>, PrivateKeyDer<'static>) {
    let chain = CertificateDer::pem_slice_iter(pair.certificate.as_bytes());
    let key = PrivateKeyDer::from_pem_slice(pair.key.as_bytes()).unwrap();
    (chain.map(Result::unwrap).collect(), key)
}

#[derive(Debug)]
struct Anyone;

impl ServerCertVerifier for Anyone {
    fn verify_server_cert(
        &self,
        _: &CertificateDer<'_>,
        _: &[CertificateDer<'_>],
        _: &ServerName<'_>,
        _: &[u8],
        _: UnixTime,
    ) -> Result<ServerCertVerified, rustls::Error> {
        Ok(ServerCertVerified::assertion())
    }

    fn verify_tls12_signature(
        &self,
        _: &[u8],
        _: &CertificateDer<'_>,
        _: &DigitallySignedStruct,
    ) -> Result<HandshakeSignatureValid, rustls::Error> {
        Ok(HandshakeSignatureValid::assertion())
    }

    fn verify_tls13_signature(
        &self,
        _: &[u8],
        _: &CertificateDer<'_>,
        _: &DigitallySignedStruct,
    ) -> Result<HandshakeSignatureValid, rustls::Error> {
        Ok(HandshakeSignatureValid::assertion())
    }

    fn supported_verify_schemes(&self) -> Vec<SignatureScheme> {
        default_provider().signature_verification_algorithms.supported_schemes()
    }
}
