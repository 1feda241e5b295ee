//! Tokens that count, and damaged and forged ones that do not.

#![allow(clippy::unwrap_used, reason = "helpers of tests are tests")]

use base64::{Engine, engine::general_purpose::URL_SAFE_NO_PAD};
use bytes::Bytes;
use monolift_identity::{
    ConfigError, Fetch, FetchError, Identity, Invalid, IssuerConfig, LONGEST_TOKEN, Mapping, Pace,
    Refused,
};
use ring::{
    rand::SystemRandom,
    rsa::PublicKeyComponents,
    signature::{
        ECDSA_P256_SHA256_FIXED_SIGNING, ECDSA_P384_SHA384_FIXED_SIGNING, EcdsaKeyPair,
        Ed25519KeyPair, KeyPair, RSA_PKCS1_SHA256, RSA_PKCS1_SHA512, RSA_PSS_SHA256, RsaEncoding,
        RsaKeyPair,
    },
};
use serde_json::{Value, json};
use std::{
    future::Future,
    pin::Pin,
    sync::{
        Arc, Mutex,
        atomic::{AtomicUsize, Ordering},
    },
    time::Duration,
};
use tokio::time::{Instant, advance, sleep};

const ISSUER: &str = "https://id.example.com";
const KEYS: &str = "https://id.example.com/keys";
const NOW: Duration = Duration::from_secs(1_800_000_000);
const LEEWAY: u64 = 30;

fn base64(bytes: impl AsRef<[u8]>) -> String {
    URL_SAFE_NO_PAD.encode(bytes)
}

/// A key of the issuer, with both halves.
enum Signer {
    Rsa(&'static dyn RsaEncoding),
    Ec(EcdsaKeyPair),
    Ed(Ed25519KeyPair),
}

/// For tests only: it signs nothing that anyone trusts.
fn rsa() -> RsaKeyPair {
    RsaKeyPair::from_pkcs8(include_bytes!("rsa.pk8")).unwrap()
}

fn ec(algorithm: &'static ring::signature::EcdsaSigningAlgorithm) -> Signer {
    let random = SystemRandom::new();
    let pair = EcdsaKeyPair::generate_pkcs8(algorithm, &random).unwrap();
    Signer::Ec(EcdsaKeyPair::from_pkcs8(algorithm, pair.as_ref(), &random).unwrap())
}

fn ed() -> Signer {
    let pair = Ed25519KeyPair::generate_pkcs8(&SystemRandom::new()).unwrap();
    Signer::Ed(Ed25519KeyPair::from_pkcs8(pair.as_ref()).unwrap())
}

impl Signer {
    fn sign(&self, text: &[u8]) -> Vec<u8> {
        let random = SystemRandom::new();
        match self {
            Self::Rsa(encoding) => {
                let key = rsa();
                let mut signature = vec![0; key.public().modulus_len()];
                key.sign(*encoding, &random, text, &mut signature).unwrap();
                signature
            }
            Self::Ec(key) => key.sign(&random, text).unwrap().as_ref().to_vec(),
            Self::Ed(key) => key.sign(text).as_ref().to_vec(),
        }
    }

    /// The public half, as a JWK.
    fn jwk(&self, name: &str, algorithm: &str) -> Value {
        let mut jwk = match self {
            Self::Rsa(_) => {
                let PublicKeyComponents::<Vec<u8>> { n, e } = rsa().public().into();
                json!({ "kty": "RSA", "n": base64(n), "e": base64(e) })
            }
            Self::Ec(key) => {
                let point = &key.public_key().as_ref()[1..];
                let (x, y) = point.split_at(point.len() / 2);
                let curve = if x.len() == 32 { "P-256" } else { "P-384" };
                json!({ "kty": "EC", "crv": curve, "x": base64(x), "y": base64(y) })
            }
            Self::Ed(key) => {
                json!({ "kty": "OKP", "crv": "Ed25519", "x": base64(key.public_key()) })
            }
        };
        jwk["kid"] = name.into();
        jwk["alg"] = algorithm.into();
        jwk["use"] = "sig".into();
        jwk
    }

    fn token(&self, header: &Value, claims: &Value) -> String {
        self.token_of(&header.to_string(), &claims.to_string())
    }

    fn token_of(&self, header: &str, claims: &str) -> String {
        let signed = format!("{}.{}", base64(header), base64(claims));
        let signature = base64(self.sign(signed.as_bytes()));
        format!("{signed}.{signature}")
    }
}

/// An issuer whose documents the test sets.
#[derive(Default)]
struct Documents {
    keys: Mutex<Option<Value>>,
    fetches: AtomicUsize,
    at_once: AtomicUsize,
    most_at_once: AtomicUsize,
}

impl Documents {
    fn show(&self, keys: impl IntoIterator<Item = Value>) {
        *self.keys.lock().unwrap() = Some(json!({ "keys": keys.into_iter().collect::<Vec<_>>() }));
    }

    fn hide(&self) {
        *self.keys.lock().unwrap() = None;
    }

    fn fetches(&self) -> usize {
        self.fetches.load(Ordering::SeqCst)
    }
}

impl Fetch for Documents {
    fn get<'a>(
        &'a self,
        url: &'a str,
    ) -> Pin<Box<dyn Future<Output = Result<Bytes, FetchError>> + Send + 'a>> {
        Box::pin(async move {
            if url.ends_with("openid-configuration") {
                return Ok(json!({ "issuer": ISSUER, "jwks_uri": KEYS }).to_string().into());
            }
            assert_eq!(url, KEYS);
            self.fetches.fetch_add(1, Ordering::SeqCst);
            let now = self.at_once.fetch_add(1, Ordering::SeqCst) + 1;
            self.most_at_once.fetch_max(now, Ordering::SeqCst);
            sleep(Duration::from_millis(10)).await;
            self.at_once.fetch_sub(1, Ordering::SeqCst);
            let keys = self.keys.lock().unwrap().clone();
            keys.map(|keys| keys.to_string().into()).ok_or_else(|| FetchError::new(url, "down"))
        })
    }
}

fn config() -> IssuerConfig {
    IssuerConfig {
        issuer: ISSUER.into(),
        audience: "shop".into(),
        jwks: None,
        mapping: Mapping::default(),
        pace: Pace::default(),
    }
}

fn identity(documents: &Arc<Documents>) -> Identity {
    let fetch: Arc<dyn Fetch> = Arc::<Documents>::clone(documents);
    Identity::start(vec![config()], Duration::from_secs(LEEWAY), fetch).unwrap()
}

fn claims() -> Value {
    json!({ "iss": ISSUER, "aud": "shop", "sub": "ada", "exp": NOW.as_secs() + 60 })
}

/// The claims with one of them changed, or taken away by `null`.
fn with(name: &str, value: Value) -> Value {
    let mut claims = claims();
    match value {
        Value::Null => drop(claims.as_object_mut().unwrap().remove(name)),
        value => claims[name] = value,
    }
    claims
}

async fn verdict(identity: &Identity, token: &str) -> Result<String, Refused> {
    identity.verify_at(token, NOW).await.map(|principal| principal.subject)
}

#[tokio::test]
async fn every_algorithm_is_taken() {
    let signers = [
        ("RS256", Signer::Rsa(&RSA_PKCS1_SHA256)),
        ("PS256", Signer::Rsa(&RSA_PSS_SHA256)),
        ("ES256", ec(&ECDSA_P256_SHA256_FIXED_SIGNING)),
        ("ES384", ec(&ECDSA_P384_SHA384_FIXED_SIGNING)),
        ("EdDSA", ed()),
    ];
    let documents = Arc::new(Documents::default());
    documents.show(signers.iter().map(|(algorithm, signer)| signer.jwk(algorithm, algorithm)));
    let identity = identity(&documents);
    for (algorithm, signer) in &signers {
        let header = json!({ "alg": algorithm, "kid": algorithm });
        let valid = [
            claims(),
            with("aud", json!(["other", "shop"])),
            with("exp", json!(NOW.as_secs() as f64 + 0.5)),
            with("exp", json!(NOW.as_secs() - LEEWAY + 1)),
            with("nbf", json!(NOW.as_secs() + LEEWAY)),
            with("iat", json!(NOW.as_secs())),
            with("scope", json!("a b")),
        ];
        for claims in valid {
            let token = signer.token(&header, &claims);
            assert_eq!(
                verdict(&identity, &token).await,
                Ok("ada".to_owned()),
                "{algorithm} {claims}"
            );
        }
        for kind in ["JWT", "at+jwt", "application/at+JWT"] {
            let header = json!({ "alg": algorithm, "kid": algorithm, "typ": kind, "x5t": "abc" });
            let token = signer.token(&header, &claims());
            assert_eq!(
                verdict(&identity, &token).await,
                Ok("ada".to_owned()),
                "{algorithm} {kind}"
            );
        }
    }
}

#[tokio::test]
async fn a_token_without_a_name_of_a_key_is_for_the_only_one() {
    let (one, other) = (ed(), ed());
    let documents = Arc::new(Documents::default());
    documents.show([one.jwk("one", "EdDSA")]);
    let token = one.token(&json!({ "alg": "EdDSA" }), &claims());
    assert_eq!(verdict(&identity(&documents), &token).await, Ok("ada".to_owned()));
    documents.show([one.jwk("one", "EdDSA"), other.jwk("other", "EdDSA")]);
    assert_eq!(verdict(&identity(&documents), &token).await, Err(Invalid::Key.into()));
}

/// Each is refused, and for its own reason: a forged token that fails for another one would prove nothing.
#[tokio::test]
#[allow(clippy::too_many_lines, reason = "a list")]
async fn forged_and_damaged_tokens_are_refused() {
    let (signer, stranger) =
        (ec(&ECDSA_P256_SHA256_FIXED_SIGNING), ec(&ECDSA_P256_SHA256_FIXED_SIGNING));
    let pkcs1 = Signer::Rsa(&RSA_PKCS1_SHA256);
    let (pss, long) = (Signer::Rsa(&RSA_PSS_SHA256), Signer::Rsa(&RSA_PKCS1_SHA512));
    let documents = Arc::new(Documents::default());
    let changed = |name: &str, member: &str, value: Value| {
        let mut jwk = ec(&ECDSA_P256_SHA256_FIXED_SIGNING).jwk(name, "ES256");
        jwk[member] = value;
        jwk
    };
    let mut keys = vec![
        signer.jwk("k", "ES256"),
        pkcs1.jwk("rsa", "RS256"),
        pss.jwk("pss", "PS256"),
        stranger.jwk("k", "ES256"), // the first of a name counts
        json!({ "kty": "oct", "kid": "oct", "k": base64("secret") }),
    ];
    // Keys that are for something else, each with the signer's own point.
    let unfit = [
        ("enc", "use", json!("enc")),
        ("use", "use", json!(7)),
        ("ops", "key_ops", json!(["encrypt"])),
        ("ops2", "key_ops", json!("verify")),
        ("alg", "alg", json!("ES512")),
        ("alg2", "alg", json!("HS256")),
        ("alg3", "alg", json!(7)),
        ("crv", "crv", json!("P-384")),
        ("kty", "kty", json!("RSA")),
        ("secret", "d", json!("AAAA")),
        ("short", "x", json!("AAAA")),
    ];
    for (name, member, value) in &unfit {
        let mut jwk = signer.jwk(name, "ES256");
        jwk[*member] = value.clone();
        keys.push(jwk);
    }
    keys.push(changed("off-curve", "x", json!(base64([7; 32]))));
    documents.show(keys);
    let identity = identity(&documents);
    let header = json!({ "alg": "ES256", "kid": "k" });
    let good = signer.token(&header, &claims());
    assert_eq!(verdict(&identity, &good).await, Ok("ada".to_owned()));

    let mut forged: Vec<(String, Invalid)> = Vec::new();
    let mut add = |token: String, why| forged.push((token, why));
    let parts: Vec<&str> = good.split('.').collect();
    let [head, body, signature] = parts[..] else { panic!("three parts") };

    // The form.
    for token in [
        String::new(),
        ".".into(),
        "..".into(),
        "a.b".into(),
        format!("{head}.{body}"),
        format!("{head}.{body}."),
        format!("{good}.{signature}"),
        format!("{good}."),
        format!(".{good}"),
        format!("{head}.{body}.{signature}="),
        format!("{head}=.{body}.{signature}"),
        format!("{head}.{body}.{signature}\n"),
        format!(" {good}"),
        format!("{head}.{body}.+/{signature}"),
        json!({ "payload": body, "signatures": [{ "protected": head, "signature": signature }, { "protected": head, "signature": signature }] }).to_string(),
    ] {
        add(token, Invalid::Form);
    }
    add(format!("{head}.{body}.{}", "A".repeat(LONGEST_TOKEN)), Invalid::TooLong);

    // The header.
    for text in [
        "",
        "[]",
        "7",
        "null",
        "{",
        "{}",
        r#"{"kid":"k"}"#,
        r#"{"alg":7,"kid":"k"}"#,
        r#"{"alg":"ES256","kid":7}"#,
        r#"{"alg":null,"kid":"k"}"#,
        r#"{"alg":["ES256"],"kid":"k"}"#,
        r#"{"alg":"none","alg":"ES256","kid":"k"}"#,
        r#"{"alg":"ES256","kid":"k","kid":"k"}"#,
        r#"{"alg":"ES256","kid":"k"}{}"#,
    ] {
        add(signer.token_of(text, &claims().to_string()), Invalid::Header);
    }
    for member in ["jwk", "jku", "x5u", "x5c", "crit", "b64", "zip", "enc", "cty"] {
        let mut header = header.clone();
        header[member] = match member {
            "jwk" => stranger.jwk("k", "ES256"),
            "crit" => json!(["exp"]),
            _ => json!("https://evil.example.com"),
        };
        add(stranger.token(&header, &claims()), Invalid::Member);
        add(signer.token(&header, &claims()), Invalid::Member);
    }
    for kind in [json!("JWE"), json!("secevent+jwt"), json!(7), json!("")] {
        let header = json!({ "alg": "ES256", "kid": "k", "typ": kind });
        add(signer.token(&header, &claims()), Invalid::Type);
    }

    // The algorithm: always that of the key.
    for algorithm in
        ["none", "None", "", "es256", "HS256", "RS256", "PS256", "ES384", "EdDSA", "ES256K"]
    {
        let header = json!({ "alg": algorithm, "kid": "k" });
        add(signer.token(&header, &claims()), Invalid::Algorithm);
    }
    for (signer, algorithm, name) in
        [(&pss, "PS256", "rsa"), (&pkcs1, "RS256", "pss"), (&long, "RS512", "rsa")]
    {
        add(signer.token(&json!({ "alg": algorithm, "kid": name }), &claims()), Invalid::Algorithm);
    }

    // The key.
    for name in
        ["unknown", "", "../k", "K", "oct"].into_iter().chain(unfit.iter().map(|unfit| unfit.0))
    {
        let header = json!({ "alg": "ES256", "kid": name });
        add(signer.token(&header, &claims()), Invalid::Key);
    }
    add(signer.token(&json!({ "alg": "ES256" }), &claims()), Invalid::Key);

    // The signature.
    let unsigned = |claims: &Value| format!("{head}.{}", base64(claims.to_string()));
    add(stranger.token(&header, &claims()), Invalid::Signature);
    add(format!("{}.{signature}", unsigned(&with("sub", json!("bob")))), Invalid::Signature);
    add(
        format!("{}.{signature}", unsigned(&with("exp", json!(NOW.as_secs() + 999)))),
        Invalid::Signature,
    );
    add(
        format!("{}.{body}.{signature}", base64(r#"{"alg":"ES256","kid":"k","typ":"JWT"}"#)),
        Invalid::Signature,
    );
    add(
        signer.token(&json!({ "alg": "ES256", "kid": "off-curve" }), &claims()),
        Invalid::Signature,
    );
    add(long.token(&json!({ "alg": "RS256", "kid": "rsa" }), &claims()), Invalid::Signature);
    add(pss.token(&json!({ "alg": "RS256", "kid": "rsa" }), &claims()), Invalid::Signature);
    add(pkcs1.token(&json!({ "alg": "PS256", "kid": "pss" }), &claims()), Invalid::Signature);
    let bytes = URL_SAFE_NO_PAD.decode(signature).unwrap();
    for at in [0, 31, 32, 63] {
        let mut bytes = bytes.clone();
        bytes[at] ^= 1;
        add(format!("{head}.{body}.{}", base64(bytes)), Invalid::Signature);
    }
    for other in
        [vec![0; 64], vec![255; 64], bytes[..63].to_vec(), [&bytes[..], &[0]].concat(), vec![0]]
    {
        add(format!("{head}.{body}.{}", base64(other)), Invalid::Signature);
    }

    // The claims.
    for text in ["", "[]", "7", "{", r#"{"iss":"a","iss":"b"}"#] {
        add(signer.token_of(&header.to_string(), text), Invalid::Claims);
    }
    let twice = claims().to_string().replacen('{', r#"{"sub":"bob","#, 1);
    add(signer.token_of(&header.to_string(), &twice), Invalid::Claims);
    let soon = NOW.as_secs() + 60;
    for (name, value, why) in [
        ("iss", json!("https://evil.example.com"), Invalid::Issuer),
        ("iss", json!(format!("{ISSUER}/")), Invalid::Issuer),
        ("iss", json!([ISSUER]), Invalid::Issuer),
        ("iss", Value::Null, Invalid::Issuer),
        ("aud", json!("other"), Invalid::Audience),
        ("aud", json!(["other"]), Invalid::Audience),
        ("aud", json!([]), Invalid::Audience),
        ("aud", json!(["shop", 7]), Invalid::Audience),
        ("aud", json!({ "shop": true }), Invalid::Audience),
        ("aud", json!("shop "), Invalid::Audience),
        ("aud", Value::Null, Invalid::Audience),
        ("exp", Value::Null, Invalid::Expired),
        ("exp", json!(soon.to_string()), Invalid::Expired),
        ("exp", json!([soon]), Invalid::Expired),
        ("exp", json!(true), Invalid::Expired),
        ("exp", json!(-1), Invalid::Expired),
        ("exp", json!(0), Invalid::Expired),
        ("exp", json!(NOW.as_secs() - LEEWAY), Invalid::Expired),
        ("nbf", json!(NOW.as_secs() + LEEWAY + 1), Invalid::NotYet),
        ("nbf", json!("0"), Invalid::NotYet),
        ("iat", json!(NOW.as_secs() + LEEWAY + 1), Invalid::NotYet),
        ("iat", json!({}), Invalid::NotYet),
        ("sub", Value::Null, Invalid::Subject),
        ("sub", json!(""), Invalid::Subject),
        ("sub", json!(7), Invalid::Subject),
        ("roles", json!(vec!["x"; 900]), Invalid::TooMuch),
    ] {
        add(signer.token(&header, &with(name, value)), why);
    }

    assert!(forged.len() >= 80, "{}", forged.len());
    for (token, why) in &forged {
        let verdict = verdict(&identity, token).await;
        assert_eq!(verdict, Err((*why).into()), "{token}");
    }
}

#[tokio::test(start_paused = true)]
async fn an_unknown_key_is_asked_for_once_and_seldom() {
    let (old, new) = (ed(), ed());
    let documents = Arc::new(Documents::default());
    documents.show([old.jwk("old", "EdDSA")]);
    let identity = Arc::new(identity(&documents));
    let token = |signer: &Signer, name: &str| {
        signer.token(&json!({ "alg": "EdDSA", "kid": name }), &claims())
    };
    assert_eq!(verdict(&identity, &token(&old, "old")).await, Ok("ada".to_owned()));
    assert_eq!(documents.fetches(), 1);

    // The issuer has a new key, a moment after it was asked, and many clients bring it at once.
    documents.show([new.jwk("new", "EdDSA")]);
    let clients = (0..50).map(|_| {
        let (identity, token) = (Arc::clone(&identity), token(&new, "new"));
        tokio::spawn(async move { verdict(&identity, &token).await })
    });
    for client in clients.collect::<Vec<_>>() {
        assert_eq!(client.await.unwrap(), Ok("ada".to_owned()));
    }
    assert_eq!((documents.fetches(), documents.most_at_once.load(Ordering::SeqCst)), (2, 1));
    // Its old key has just signed tokens that are still about.
    assert_eq!(verdict(&identity, &token(&old, "old")).await, Ok("ada".to_owned()));

    // Invented names cost the issuer nothing.
    for number in 0..200 {
        let invented = token(&new, &format!("invented-{number}"));
        assert_eq!(verdict(&identity, &invented).await, Err(Invalid::Key.into()));
    }
    assert_eq!(documents.fetches(), 3);
    advance(Pace::default().least).await;
    for number in 0..200 {
        let invented = token(&new, &format!("invented-{number}"));
        assert_eq!(verdict(&identity, &invented).await, Err(Invalid::Key.into()));
    }
    assert_eq!(documents.fetches(), 4);

    // After the overlap the old key is gone.
    sleep(Pace::default().overlap + Pace::default().refresh * 2).await;
    assert_eq!(verdict(&identity, &token(&old, "old")).await, Err(Invalid::Key.into()));
    assert_eq!(verdict(&identity, &token(&new, "new")).await, Ok("ada".to_owned()));
}

#[tokio::test(start_paused = true)]
async fn an_issuer_that_cannot_be_reached_stops_nothing_that_is_known() {
    let signer = ed();
    let documents = Arc::new(Documents::default());
    let identity = identity(&documents);
    let token = signer.token(&json!({ "alg": "EdDSA", "kid": "k" }), &claims());
    assert_eq!(verdict(&identity, &token).await, Err(Refused::Unavailable));
    documents.show([signer.jwk("k", "EdDSA")]);
    sleep(Pace::default().least * 2).await;
    assert_eq!(verdict(&identity, &token).await, Ok("ada".to_owned()));
    documents.hide();
    sleep(Pace::default().overlap * 4).await;
    assert_eq!(verdict(&identity, &token).await, Ok("ada".to_owned()));
}

/// A token is verified once. What it was verified by is asked again each time: its time, and its key.
#[tokio::test(start_paused = true)]
async fn a_token_that_was_verified_is_refused_once_it_has_expired_or_its_key_has_gone() {
    let (signer, next) = (ed(), ed());
    let documents = Arc::new(Documents::default());
    documents.show([signer.jwk("k", "EdDSA")]);
    let identity = identity(&documents);
    let header = json!({ "alg": "EdDSA", "kid": "k" });
    let nbf = NOW.as_secs() - 10;
    let token = signer.token(&header, &with("nbf", json!(nbf)));
    for _ in 0..3 {
        assert_eq!(verdict(&identity, &token).await, Ok("ada".to_owned()));
    }
    let at = async |seconds| identity.verify_at(&token, Duration::from_secs(seconds)).await;
    assert_eq!(at(NOW.as_secs() + 60 + LEEWAY).await, Err(Invalid::Expired.into()));
    assert_eq!(at(nbf - LEEWAY - 1).await, Err(Invalid::NotYet.into()));
    assert!(at(NOW.as_secs()).await.is_ok());

    // Another key under the same name: a token that was verified by the old one is verified anew, and refused.
    documents.show([next.jwk("k", "EdDSA")]);
    sleep(Pace::default().refresh * 2).await;
    assert_eq!(at(NOW.as_secs()).await, Err(Invalid::Signature.into()));
    assert!(verdict(&identity, &next.token(&header, &claims())).await.is_ok());
}

/// An issuer that is starting is asked often, and its tokens wait a little for it.
#[tokio::test(start_paused = true)]
async fn the_first_key_can_be_waited_for() {
    let signer = ed();
    let documents = Arc::new(Documents::default());
    let pace = Pace {
        first: Duration::from_millis(250),
        patience: Duration::from_secs(2),
        ..Pace::default()
    };
    let fetch: Arc<dyn Fetch> = Arc::<Documents>::clone(&documents);
    let configs = vec![IssuerConfig { pace, jwks: Some(KEYS.into()), ..config() }];
    let identity = Arc::new(Identity::start(configs, Duration::ZERO, fetch).unwrap());
    let token = signer.token(&json!({ "alg": "EdDSA", "kid": "k" }), &claims());
    let began = Instant::now();
    assert_eq!(verdict(&identity, &token).await, Err(Refused::Unavailable));
    assert_eq!(began.elapsed(), pace.patience);
    let before = documents.fetches();
    let clients = (0..20).map(|_| {
        let (identity, token) = (Arc::clone(&identity), token.clone());
        tokio::spawn(async move { verdict(&identity, &token).await })
    });
    let clients: Vec<_> = clients.collect();
    sleep(Duration::from_secs(1)).await;
    documents.show([signer.jwk("k", "EdDSA")]);
    for client in clients {
        assert_eq!(client.await.unwrap(), Ok("ada".to_owned()));
    }
    assert!((4..8).contains(&(documents.fetches() - before)), "{}", documents.fetches());
}

#[tokio::test]
async fn what_cannot_be_trusted_is_refused_at_the_start() {
    let start = |configs| {
        Identity::start(configs, Duration::ZERO, Arc::new(Documents::default())).map(drop)
    };
    let plain = IssuerConfig { issuer: "http://id.example.com".into(), ..config() };
    assert_eq!(start(vec![plain]), Err(ConfigError::Url("http://id.example.com".into())));
    let plain = IssuerConfig { jwks: Some("http://id.example.com/k".into()), ..config() };
    assert_eq!(start(vec![plain]), Err(ConfigError::Url("http://id.example.com/k".into())));
    let here = IssuerConfig { jwks: Some("/keys".into()), ..config() };
    assert_eq!(start(vec![here]), Ok(()));
    let audience = IssuerConfig { audience: String::new(), ..config() };
    assert_eq!(start(vec![audience]), Err(ConfigError::Audience(ISSUER.into())));
    assert_eq!(start(vec![config(), config()]), Err(ConfigError::Twice(ISSUER.into())));
}
