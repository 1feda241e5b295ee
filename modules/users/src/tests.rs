//! In every mode that a call can take, with passwords that are cheap to hash.

use super::*;
use monolift::testing::{Mode, RunningSystem, System, every_mode};
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
