//! A token's whole way: an issuer that shows its keys, the gateway, and the module that is told who asks.

use crate::{access::GalleryModule, log_lines::both, support::soon};
use axum::{Json, Router, routing::get};
use monolift::{
    CallError, InterfaceError, Principal, async_trait,
    testing::{Mode, RunningSystem, System, every_mode},
};
use monolift_gateway::{HttpLimits, HttpServer};
use monolift_manifest::{IssuerKeys, Manifest};
use ring::{
    rand::SystemRandom,
    signature::{Ed25519KeyPair, KeyPair},
};
use schemars::JsonSchema;
use serde::{Deserialize, Serialize};
use serde_json::{Value, json};
use std::{
    collections::BTreeMap,
    net::SocketAddr,
    sync::{
        Arc,
        atomic::{AtomicUsize, Ordering},
    },
    time::{Duration, SystemTime},
};
use tokio::{
    io::{AsyncReadExt, AsyncWriteExt},
    net::{TcpListener, TcpStream},
};

#[monolift::interface(module = "club")]
#[auth(user)]
pub trait Club {
    /// What is known of the caller.
    #[http(GET, "/me")]
    async fn me(&self) -> Result<Vec<String>, ClubError>;

    /// For members of the board.
    #[http(GET, "/board")]
    #[auth(role = "board")]
    async fn board(&self) -> Result<String, ClubError>;
}

#[derive(Debug, thiserror::Error, Serialize, Deserialize, JsonSchema, InterfaceError)]
pub enum ClubError {
    #[error(transparent)]
    Call(CallError),
}

struct House;

#[async_trait]
impl Club for House {
    async fn me(&self) -> Result<Vec<String>, ClubError> {
        let Principal { subject, tenant, roles, scopes, claims, .. } = &*Principal::current()?;
        let claims = claims.iter().map(|(name, value)| format!("{name}={value}"));
        let known = [subject.clone()].into_iter().chain(tenant.clone());
        Ok(known.chain(roles.clone()).chain(scopes.clone()).chain(claims).collect())
    }

    async fn board(&self) -> Result<String, ClubError> {
        Ok("welcome".to_owned())
    }
}

fn base64(bytes: &[u8]) -> String {
    const LETTERS: &[u8] = b"ABCDEFGHIJKLMNOPQRSTUVWXYZabcdefghijklmnopqrstuvwxyz0123456789-_";
    let mut text = String::new();
    for three in bytes.chunks(3) {
        let number = three.iter().fold(0_u32, |number, byte| number << 8 | u32::from(*byte));
        let number = number << (8 * (3 - three.len()));
        for at in 0..=three.len() {
            text.push(char::from(LETTERS[(number >> (18 - 6 * at) & 63) as usize]));
        }
    }
    text
}

/// An issuer on this machine.
struct Issuer {
    url: String,
    key: Ed25519KeyPair,
    _http: HttpServer,
}

impl Issuer {
    async fn start() -> Self {
        let pair = Ed25519KeyPair::generate_pkcs8(&SystemRandom::new()).unwrap();
        let key = Ed25519KeyPair::from_pkcs8(pair.as_ref()).unwrap();
        let listener = TcpListener::bind("127.0.0.1:0").await.unwrap();
        let url = format!("http://{}", listener.local_addr().unwrap());
        let jwk = json!({
            "kty": "OKP", "crv": "Ed25519", "kid": "k", "use": "sig",
            "x": base64(key.public_key().as_ref()),
        });
        let described = json!({ "issuer": url, "jwks_uri": format!("{url}/keys") });
        let routes = Router::new()
            .route("/.well-known/openid-configuration", get(async move || Json(described)))
            .route("/keys", get(async move || Json(json!({ "keys": [jwk] }))));
        let _http = HttpServer::start(listener, routes, HttpLimits::default());
        Self { url, key, _http }
    }

    fn token(&self, more: &Value) -> String {
        token(&self.key, &self.url, more)
    }
}

fn token(key: &Ed25519KeyPair, issuer: &str, more: &Value) -> String {
    let now = SystemTime::now().duration_since(SystemTime::UNIX_EPOCH).unwrap();
    let expires = (now + Duration::from_secs(60)).as_secs();
    let mut claims = json!({ "iss": issuer, "aud": "club", "sub": "ada", "exp": expires });
    for (name, value) in more.as_object().unwrap() {
        claims[name] = value.clone();
    }
    let header = json!({ "alg": "EdDSA", "kid": "k", "typ": "JWT" }).to_string();
    let signed = format!("{}.{}", base64(header.as_bytes()), base64(claims.to_string().as_bytes()));
    let signature = base64(key.sign(signed.as_bytes()).as_ref());
    format!("{signed}.{signature}")
}

async fn club(mode: Mode, issuer: &Issuer) -> RunningSystem {
    let url = issuer.url.clone();
    let trusted = move |manifest: &mut Manifest| {
        let keys = IssuerKeys {
            issuer: Some(url.clone()),
            audience: Some("club".into()),
            roles: "realm.roles".into(),
            tenant: Some("org".into()),
            claims: Some("plan".into()),
            ..IssuerKeys::default()
        };
        manifest.identity.stated = true;
        manifest.identity.issuers.insert("main".into(), keys);
    };
    let club = System::new(mode).fake::<dyn Club>(Arc::new(House)).module::<GalleryModule>();
    club.manifest(trusted).start().await
}

async fn ask(address: SocketAddr, path: &str, token: Option<&str>) -> (u16, String) {
    let mut socket = TcpStream::connect(address).await.unwrap();
    let token = token.map(|token| format!("authorization: Bearer {token}\r\n"));
    let token = token.unwrap_or_default();
    let request = format!("GET {path} HTTP/1.1\r\nhost: club\r\nconnection: close\r\n{token}\r\n");
    socket.write_all(request.as_bytes()).await.unwrap();
    let mut answer = String::new();
    soon(socket.read_to_string(&mut answer)).await.unwrap();
    (answer[9..12].parse().unwrap(), answer)
}

#[every_mode]
async fn the_module_is_told_who_asks(mode: Mode) {
    let issuer = Issuer::start().await;
    let club = club(mode, &issuer).await;
    let listener = TcpListener::bind("127.0.0.1:0").await.unwrap();
    let address = listener.local_addr().unwrap();
    let _http = HttpServer::start(listener, club.own().routes().unwrap(), HttpLimits::default());

    let more = json!({ "org": "acme", "realm": { "roles": ["board"] }, "scope": "a b", "plan": 3 });
    let token = issuer.token(&more);
    let (status, text) = ask(address, "/me", Some(&token)).await;
    assert_eq!(status, 200, "{text}");
    assert!(text.ends_with(r#"["ada","acme","board","a","b","plan=3"]"#), "{text}");
    assert_eq!(ask(address, "/board", Some(&token)).await.0, 200);

    let plain = issuer.token(&json!({}));
    let (status, text) = ask(address, "/board", Some(&plain)).await;
    assert!(status == 403 && text.contains("role `board`"), "{text}");
    let (status, text) = ask(address, "/me", None).await;
    assert!(status == 401 && text.contains("www-authenticate: Bearer\r\n"), "{text}");
    for forged in [
        issuer.token(&json!({ "aud": "other" })),
        issuer.token(&json!({ "exp": 1 })),
        Issuer::start().await.token(&json!({ "iss": issuer.url })),
        token.replacen('.', "..", 1),
    ] {
        // The second one is of the routes of a module's own.
        for path in ["/me", "/pictures/box"] {
            let (status, text) = ask(address, path, Some(&forged)).await;
            assert!(status == 401 && text.contains(r#"Bearer error="invalid_token""#), "{text}");
            assert!(text.contains("application/problem+json"), "{text}");
            assert!(!text.contains("expired"), "{text}");
        }
    }
    let staff = issuer.token(&json!({ "scope": "pictures" }));
    assert_eq!(ask(address, "/pictures/box", Some(&staff)).await.0, 405);
    club.stop().await;
}

/// An issuer within the application: a module that shows its key.
#[monolift::interface(module = "office")]
pub trait Office {
    /// Its keys.
    #[http(GET, "/office/keys")]
    #[auth(public)]
    async fn keys(&self) -> Result<KeySet, ClubError>;

    /// Its keys, for users only.
    #[http(GET, "/office/hidden-keys")]
    #[auth(user)]
    async fn hidden_keys(&self) -> Result<KeySet, ClubError>;
}

#[derive(Debug, Clone, Serialize, Deserialize, JsonSchema)]
pub struct KeySet {
    keys: Vec<BTreeMap<String, String>>,
}

struct Clerk {
    key: Ed25519KeyPair,
    asked: AtomicUsize,
}

#[async_trait]
impl Office for Clerk {
    async fn keys(&self) -> Result<KeySet, ClubError> {
        self.asked.fetch_add(1, Ordering::SeqCst);
        let x = base64(self.key.public_key().as_ref());
        let members = [("kty", "OKP"), ("crv", "Ed25519"), ("kid", "k"), ("x", &x)];
        let key = members.map(|(name, value)| (name.to_owned(), value.to_owned()));
        Ok(KeySet { keys: vec![BTreeMap::from(key)] })
    }

    async fn hidden_keys(&self) -> Result<KeySet, ClubError> {
        self.keys().await
    }
}

fn with_office(mode: Mode, clerk: &Arc<Clerk>, jwks: &'static str) -> System {
    let trusted = move |manifest: &mut Manifest| {
        let keys = IssuerKeys {
            issuer: Some("https://club.example.com".into()),
            audience: Some("club".into()),
            jwks: Some(jwks.into()),
            ..IssuerKeys::default()
        };
        manifest.identity.issuers.insert("office".into(), keys);
    };
    System::new(mode)
        .fake::<dyn Club>(Arc::new(House))
        .fake::<dyn Office>(Arc::<Clerk>::clone(clerk))
        .manifest(trusted)
}

fn clerk() -> Arc<Clerk> {
    let pair = Ed25519KeyPair::generate_pkcs8(&SystemRandom::new()).unwrap();
    let key = Ed25519KeyPair::from_pkcs8(pair.as_ref()).unwrap();
    Arc::new(Clerk { key, asked: AtomicUsize::new(0) })
}

/// The keys are asked for wherever the module runs, without an address, and before they are needed.
#[every_mode]
async fn a_module_of_the_application_can_be_the_issuer(mode: Mode) {
    let clerk = clerk();
    let club = with_office(mode, &clerk, "/office/keys").launch().await.unwrap();
    let listener = TcpListener::bind("127.0.0.1:0").await.unwrap();
    let address = listener.local_addr().unwrap();
    let _http = HttpServer::start(listener, club.own().routes().unwrap(), HttpLimits::default());
    let claims = json!({});
    let asking: Vec<_> = (0..20)
        .map(|_| {
            let token = token(&clerk.key, "https://club.example.com", &claims);
            tokio::spawn(async move { ask(address, "/me", Some(&token)).await })
        })
        .collect();
    for one in asking {
        let (status, text) = one.await.unwrap();
        assert!(status == 200 && text.ends_with(r#"["ada"]"#), "{text}");
    }
    // Signed with another key of that name.
    let forged = token(&self::clerk().key, "https://club.example.com", &claims);
    assert_eq!(ask(address, "/me", Some(&forged)).await.0, 401);
    assert_eq!(clerk.asked.load(Ordering::SeqCst), 1, "for all requests");
    // Who asks for the keys over HTTP is as anyone.
    assert_eq!(ask(address, "/office/keys", None).await.0, 200);
    assert_eq!(ask(address, "/office/hidden-keys", None).await.0, 401);
    club.stop().await;
}

/// A start that is refused ends like this too. Its last line says why, and not that keys are missing.
#[tokio::test]
async fn a_stop_before_the_keys_are_there_is_no_failure_to_fetch_them() {
    let (log, _, _guard) = both();
    let club = with_office(Mode::InProcess, &clerk(), "/office/keys").start().await;
    tokio::task::yield_now().await; // the fetch waits for routes, which this process never has
    club.stop().await;
    // This runtime has one thread, so the fetch ends while the test lets it.
    for _ in 0..100 {
        tokio::task::yield_now().await;
    }
    assert!(!log.text().contains("cannot be fetched"), "{}", log.text());
}

#[tokio::test]
async fn keys_that_no_public_method_shows_stop_the_start() {
    for path in ["/office/no-keys", "/office/hidden-keys"] {
        let system = with_office(Mode::InProcess, &clerk(), path);
        let errors = system.try_start().await.unwrap_err().to_string();
        assert!(
            errors.contains("identity.issuers.office.jwks") && errors.contains(path),
            "{errors}"
        );
    }
}

#[tokio::test]
async fn an_issuer_that_cannot_be_trusted_stops_the_start() {
    let plain = |manifest: &mut Manifest| {
        let (url, audience) = (Some("http://id.example.com".into()), Some("club".into()));
        let keys = IssuerKeys { issuer: url, audience, ..IssuerKeys::default() };
        manifest.identity.issuers.insert("main".into(), keys);
    };
    let club = System::new(Mode::InProcess).fake::<dyn Club>(Arc::new(House)).manifest(plain);
    let errors = club.try_start().await.unwrap_err().to_string();
    assert!(errors.contains("`[identity]`"), "{errors}");
}
