//! In every mode that a call can take, with passwords that are cheap to hash.

use super::*;
use monolift::{
    CallErrorKind,
    testing::{Mode, RunningSystem, System, every_mode},
};
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
    assert_eq!(users.email(profile.id.clone()).await.unwrap(), "some.body@example.org");
    let log_in = |email: &str, password: &str| users.log_in(email.into(), password.into());
    let session = log_in("some.body@example.org", "open sesame").await.unwrap();
    assert_eq!(session.user, profile.id);
    assert_eq!(users.whose(session.token.clone()).await.unwrap(), profile.id);
    assert!(matches!(users.whose(String::new()).await, Err(UsersError::NoSession)));
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
    assert!((1..=4).contains(&most), "{most}");
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
