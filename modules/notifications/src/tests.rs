//! In every mode that a call can take.

use super::*;
use monolift::{
    CallErrorKind,
    testing::{Mode, System, every_mode, user},
};
use notifications_api::NotificationsClient;

#[every_mode]
async fn a_notification_is_sent_once_and_can_be_found(mode: Mode) {
    let system = System::new(mode)
        .module::<NotificationsModule>()
        .share("notifications", Mailer::new("shop@example.org"))
        .start()
        .await;
    let notifications: NotificationsClient = system.client();
    let one = |id: &str, user: &str| Notification {
        id: id.to_owned(),
        user: UserId(user.to_owned()),
        email: format!("{user}@example.org"),
        subject: format!("about {id}"),
    };
    for (id, user) in [("1", "a"), ("2", "a"), ("2", "a"), ("3", "b"), ("4", "a")] {
        notifications.send(one(id, user)).await.unwrap();
    }
    let a: NotificationsClient = system.client_as(user("a"));
    let list = |after: Option<&str>, limit| {
        a.sent_to(UserId("a".into()), after.map(str::to_owned), Some(limit))
    };
    let page = list(None, 2).await.unwrap();
    let subjects: Vec<&str> = page.items.iter().map(|sent| sent.subject.as_str()).collect();
    assert_eq!((subjects, page.next.as_deref()), (vec!["about 1", "about 2"], Some("2")));
    let page = list(Some("2"), 2).await.unwrap();
    assert_eq!((page.items[0].id.as_str(), page.items.len(), page.next), ("4", 1, None));
    let b: NotificationsClient = system.client_as(user("b"));
    let NotificationsError::Call(error) =
        b.sent_to(UserId("a".into()), None, None).await.unwrap_err();
    assert_eq!(error.kind(), CallErrorKind::Forbidden);
    system.stop().await;
}
