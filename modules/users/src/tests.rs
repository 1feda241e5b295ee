//! In every mode that a call can take, with passwords that are cheap to hash.

use super::*;
use base64::{Engine, engine::general_purpose::URL_SAFE_NO_PAD};
use monolift::{
    CallErrorKind,
    testing::{Mode, RunningSystem, System, every_mode, user},
};
use ring::signature::{ED25519, UnparsedPublicKey};
use serde_json::Value;
use std::collections::BTreeMap;
use users_api::UsersClient;

async fn system(mode: Mode) -> RunningSystem {
    let cheap = [("password_memory_kib", 8), ("password_passes", 1)];
    System::new(mode).module::<UsersModule>().settings("users", cheap).start().await
}

fn somebody(email: &str) -> NewUser {
    let (name, password) = ("Somebody".to_owned(), "open sesame".to_owned());
    NewUser { name, email: email.to_owned(), password }
}

#[every_mode]
async fn a_customer_registers_and_logs_in(mode: Mode) {
    let system = system(mode).await;
    let users: UsersClient = system.client();
    let profile = users.register(somebody("Some.Body@Example.org ")).await.unwrap();
    assert_eq!(users.profile(profile.id.clone()).await.unwrap(), profile);
    let themselves: UsersClient = system.client_as(user(&profile.id.0));
    assert_eq!(themselves.profile(profile.id.clone()).await.unwrap(), profile);
    let other: UsersClient = system.client_as(user("demo"));
    let hidden = other.profile(profile.id.clone()).await;
    assert!(matches!(hidden, Err(UsersError::UnknownUser(id)) if id == profile.id));
    assert!(matches!(themselves.email(profile.id.clone()).await, Err(UsersError::Call(_))));
    assert_eq!(users.email(profile.id.clone()).await.unwrap(), "some.body@example.org");
    let log_in = |email: &str, password: &str| users.log_in(email.into(), password.into());
    let session = log_in("some.body@example.org", "open sesame").await.unwrap();
    assert_eq!(session.user, profile.id);
    let claims = claims(&session.token, &users.keys().await.unwrap());
    assert_eq!((&claims["sub"], &claims["roles"]), (&profile.id.0.into(), &Value::Array(vec![])));
    assert_eq!((&claims["iss"], &claims["aud"]), (&"http://127.0.0.1:8080".into(), &"shop".into()));
    let lifetime = claims["exp"].as_i64().unwrap() - claims["iat"].as_i64().unwrap();
    let expires_ms = claims["exp"].as_i64().unwrap() * 1_000;
    assert_eq!((lifetime, expires_ms), (1_800, session.ends_at_ms));
    let issuer = users.issuer().await.unwrap();
    assert_eq!(claims["iss"], issuer.issuer);
    assert_eq!(issuer.jwks_uri, "http://127.0.0.1:8080/.well-known/jwks.json");
    for (email, password) in [
        ("some.body@example.org", "open barley"),
        ("nobody@example.org", "open sesame"),
        ("demo@example.org", ""),
        ("no address", "open sesame"),
    ] {
        let refused = log_in(email, password).await;
        assert!(matches!(refused, Err(UsersError::NotLoggedIn)), "{email}");
    }
    system.stop().await;
}

/// What a token says, if one of these keys has signed it.
fn claims(token: &str, keys: &KeySet) -> Value {
    let (signed, signature) = token.rsplit_once('.').unwrap();
    let (header, claims) = signed.split_once('.').unwrap();
    let bytes = |part: &str| URL_SAFE_NO_PAD.decode(part).unwrap();
    let json = |part: &str| -> Value { serde_json::from_slice(&bytes(part)).unwrap() };
    let key = keys.keys.iter().find(|key| json(header)["kid"] == key.kid).unwrap();
    let public = UnparsedPublicKey::new(&ED25519, bytes(&key.x));
    public.verify(signed.as_bytes(), &bytes(signature)).unwrap();
    json(claims)
}

/// The shop can be tried by a customer and by somebody of the staff.
#[every_mode]
async fn demo_customers_log_in(mode: Mode) {
    let system = system(mode).await;
    let users: UsersClient = system.client();
    for (email, id, roles) in
        [("demo@example.org", "demo", &[][..]), ("staff@example.org", "demo-staff", &["staff"])]
    {
        let session = users.log_in(email.into(), "demo-password".into()).await.unwrap();
        let claims = claims(&session.token, &users.keys().await.unwrap());
        assert_eq!((session.user.0.as_str(), &claims["sub"]), (id, &id.into()));
        assert_eq!(claims["roles"], Value::from(roles));
    }
    system.stop().await;
}

/// Two replicas whose clocks differ, over some periods of their keys: what one signs counts for whoever has asked the
/// other for the keys a while ago.
#[tokio::test]
async fn keys_are_published_before_they_sign_and_until_their_tokens_have_expired() {
    let system = system(Mode::InProcess).await;
    let described = system.process_of("users").databases().next().unwrap().1;
    let url = format!("sqlite://{}", described.split(',').next().unwrap());
    let settings = monolift::data::DbSettings::default();
    let location = monolift::data::Location::Url(url);
    let db: Db = Db::open(&location, &settings, &[]).await.unwrap();
    const SECOND: i64 = 1_000;
    let times = Times { key_ms: 1_000 * SECOND, token_ms: 100 * SECOND };
    // When a gateway asks for the keys; and how far the second replica's clock is behind.
    const REFRESH: i64 = 300 * SECOND;
    const BEHIND: i64 = 2 * SECOND;

    let mut shown: BTreeMap<i64, Vec<String>> = BTreeMap::new();
    let mut signed: Vec<(i64, String)> = Vec::new();
    let start = 1_800_000_000 * SECOND;
    for step in 0..500 {
        let now = start + step * 10 * SECOND;
        let (one, other) =
            tokio::join!(Keys::at(now, times, &db), Keys::at(now - BEHIND, times, &db));
        let (one, other) = (one.unwrap(), other.unwrap());
        for (keys, now) in [(&one, now), (&other, now - BEHIND)] {
            signed.push((step, keys.signing(now).unwrap().name.clone()));
        }
        shown.insert(step, one.all().iter().map(|key| key.name.clone()).collect());
    }
    for (step, name) in &signed {
        // By a gateway that has asked just now, and by one that did so before: but for the first key.
        let before = step - REFRESH / (10 * SECOND);
        for asked in [Some(*step), Some(before).filter(|before| *before >= 0)].into_iter().flatten()
        {
            assert!(shown[&asked].contains(name), "step {step}, asked at {asked}");
        }
        // And by one that asks later, as long as the token counts.
        let last = step + times.token_ms / (10 * SECOND);
        for asked in *step..=last.min(499) {
            assert!(shown[&asked].contains(name), "step {step}, asked at {asked}");
        }
    }
    let mut names: Vec<&String> = signed.iter().map(|(_, name)| name).collect();
    names.dedup();
    names.sort();
    names.dedup();
    assert_eq!(names.len(), 5, "a key for each period, made by one of both: {names:?}");
    assert!(shown.values().all(|keys| keys.len() <= 3));
    assert!(!shown[&499].contains(&signed[0].1), "the first key is forgotten");
    system.stop().await;
}

#[every_mode]
async fn what_does_not_fit_is_refused(mode: Mode) {
    let system = system(mode).await;
    let users: UsersClient = system.client();
    users.register(somebody("a@example.org")).await.unwrap();
    let taken = users.register(somebody("A@EXAMPLE.ORG")).await;
    assert!(matches!(taken, Err(UsersError::EmailTaken)));
    for wrong in ["", "@example.org", "a@", "a@b", "a@b..c", "a b@example.org", "a@b@example.org"] {
        let refused = users.register(somebody(wrong)).await;
        assert!(matches!(refused, Err(UsersError::WrongEmail)), "{wrong}");
    }
    let nameless = NewUser { name: String::new(), ..somebody("b@example.org") };
    assert!(matches!(users.register(nameless).await, Err(UsersError::WrongName)));
    let short = NewUser { password: "1234567".into(), ..somebody("b@example.org") };
    assert!(matches!(users.register(short).await, Err(UsersError::WrongPassword)));
    let unknown = users.profile(UserId("nobody".into())).await;
    assert!(matches!(unknown, Err(UsersError::UnknownUser(_))));
    system.stop().await;
}

/// The module bounds its hashes, whatever calls it gets and however many are given up.
#[tokio::test]
async fn no_more_than_four_passwords_are_hashed_at_once() {
    let hashing = std::sync::Arc::new(Hashing::default());
    let effort = Effort { memory_kib: 64, passes: 1 };
    let tasks: Vec<_> = (0..1_000)
        .map(|number| {
            let hashing = std::sync::Arc::clone(&hashing);
            tokio::spawn(async move {
                let hash = effort.hash(&hashing, "open sesame".to_owned());
                if number % 2 == 0 {
                    // A caller that goes away: its hash goes on, and so does its place.
                    let _ = tokio::time::timeout(std::time::Duration::ZERO, hash).await;
                } else {
                    hash.await.unwrap();
                }
            })
        })
        .collect();
    for task in tasks {
        task.await.unwrap();
    }
    let most = hashing.watch.most();
    assert!((1..=password::MOST).contains(&most), "{most}");
}

/// Every call is answered: by the module, or at once by its limit, which says when to come back.
#[every_mode]
async fn a_thousand_log_ins_at_once_are_answered_or_refused(mode: Mode) {
    let system = system(mode).await;
    let users: UsersClient = system.client();
    users.register(somebody("a@example.org")).await.unwrap();
    let tasks: Vec<_> = (0..1_000)
        .map(|_| {
            let users = users.clone();
            tokio::spawn(
                async move { users.log_in("a@example.org".into(), "open barley".into()).await },
            )
        })
        .collect();
    let (mut answered, mut refused) = (0, 0);
    for task in tasks {
        match task.await.unwrap() {
            Err(UsersError::NotLoggedIn) => answered += 1,
            Err(UsersError::Call(error)) if error.kind() == CallErrorKind::Overloaded => {
                assert!(error.retry_advice().is_some(), "{error:?}");
                refused += 1;
            }
            other => panic!("{other:?}"),
        }
    }
    assert_eq!(answered + refused, 1_000);
    // Four run, and 32 times as many wait.
    assert!(answered >= 4 * 33 && refused > 0, "{answered} answered, {refused} refused");
    users.log_in("a@example.org".into(), "open sesame".into()).await.unwrap();
    system.stop().await;
}
