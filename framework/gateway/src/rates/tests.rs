use super::*;
use crate::HttpAnswer;
use std::net::Ipv4Addr;

fn rate(text: &str) -> Rate {
    Rate::read(text).unwrap()
}

fn from(last: u8) -> Extensions {
    let mut extensions = Extensions::new();
    let address = SocketAddr::from((Ipv4Addr::new(10, 0, 0, last), 7));
    extensions.insert(ConnectInfo(address));
    extensions
}

fn named(counted: &Counted, name: &HeaderName) -> String {
    let value = counted.headers.iter().find(|(known, _)| known == name);
    value.unwrap().1.to_str().unwrap().to_owned()
}

#[tokio::test(start_paused = true)]
async fn callers_are_users_and_where_there_is_none_addresses() {
    let rates = Rates::new(Some(rate("2/s")), []);
    let quota = rates.of_module("stock");
    let is_refused = |principal: Option<&Principal>, extensions: &Extensions| {
        rates.count(&quota, principal, extensions).unwrap().refusal().is_some()
    };
    let (ada, bob) = (Principal::user("ada"), Principal::user("bob"));
    for (principal, address) in [(Some(&ada), 1), (Some(&ada), 2)] {
        assert!(!is_refused(principal, &from(address)));
    }
    // From wherever she asks.
    assert!(is_refused(Some(&ada), &from(3)));
    // Others have their own.
    assert!(!is_refused(Some(&bob), &from(1)));
    let mut other_issuer = ada.clone();
    other_issuer.issuer = Some("https://id.example.org".into());
    assert!(!is_refused(Some(&other_issuer), &from(1)));
    assert!(!is_refused(None, &from(1)) && !is_refused(None, &from(1)));
    assert!(is_refused(None, &from(1)) && !is_refused(None, &from(2)));
    // Where nothing is known of the client, nothing is counted.
    assert!(rates.count(&quota, None, &Extensions::new()).is_none());
}

#[tokio::test(start_paused = true)]
async fn a_method_has_its_own_rate_beside_that_of_all() {
    let rates = Rates::new(
        Some(rate("5/s")),
        [("orders".to_owned(), rate("4/s")), ("orders.place".to_owned(), rate("2/m"))],
    );
    let method = rates.quota(&["orders", "orders.place"]);
    let counted = rates.count(&method, None, &from(1)).unwrap();
    let policy = named(&counted, &RATE_LIMIT_POLICY);
    assert_eq!(policy, r#""all";q=5;w=1, "orders";q=4;w=1, "orders.place";q=2;w=60"#);
    assert_eq!(named(&counted, &RATE_LIMIT), r#""orders.place";r=1;t=30"#);
    rates.count(&method, None, &from(1)).unwrap();
    let over = rates.count(&method, None, &from(1)).unwrap();
    assert_eq!(named(&over, &RATE_LIMIT), r#""orders.place";r=0;t=60"#);
    let answer = HttpAnswer::from(over.refusal().unwrap());
    assert_eq!((answer.status, answer.retry_after.map(NonZeroU16::get)), (429, Some(30)));
    // Another method of the module counts on. Three of the module's four are gone.
    let other = rates.quota(&["orders"]);
    assert!(rates.count(&other, None, &from(1)).unwrap().refusal().is_none());
    assert!(rates.count(&other, None, &from(1)).unwrap().refusal().is_some());
    assert!(Rates::default().count(&Quota::default(), None, &from(1)).is_none());
}

#[tokio::test(start_paused = true)]
async fn tokens_that_do_not_count_have_the_rate_of_their_address() {
    let rates = Rates::new(Some(rate("2/s")), []);
    for _ in 0..2 {
        assert_eq!(rates.takes_tokens(&from(1)), Ok(()));
        rates.count_token(&from(1));
    }
    assert_eq!(rates.takes_tokens(&from(1)), Err(Duration::from_millis(500)));
    assert_eq!(rates.takes_tokens(&from(2)), Ok(()));
    let quota = rates.of_module("stock");
    assert!(rates.count(&quota, None, &from(1)).unwrap().refusal().is_none());
}
