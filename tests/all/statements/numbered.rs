//! Statements that were shown on a connection are named by numbers there.

use super::*;

/// The gateway and a process that it calls.
struct Sides<V> {
    authority: Authority,
    tls: Tls,
    desk: Arc<Statements>,
    /// A context of the gateway for a user, vouched for at a time.
    vouched: V,
}

fn sides() -> Sides<impl Fn(&str, u64) -> Context> {
    let authority = Authority::new();
    let gateway = process(APP, authority.tls("gateway"), true);
    let tls = authority.tls("desk");
    let desk = Arc::new(process(APP, tls.clone(), false));
    let vouched = move |name: &str, at| {
        let mut context = edge().with_principal(user(name).with_role("staff"));
        gateway.vouch_at(&mut context, at);
        context
    };
    Sides { authority, tls, desk, vouched }
}

/// What a process hears of another, frame by frame.
struct Line {
    shown: Introduced,
    seen: Introduced,
}

impl Line {
    fn to(reader: &Arc<Statements>) -> Self {
        let (mut shown, mut seen) = (Introduced::default(), Introduced::default());
        shown.number(true);
        seen.believe(Some(Arc::clone(reader)));
        Self { shown, seen }
    }

    /// A call with this context, as a frame.
    fn frame(&mut self, context: &Context, payload: usize) -> BytesMut {
        let (context, payload) = (context.clone(), vec![0; payload].into());
        let envelope = Envelope { method: 0, context, payload, timed: false };
        let mut frame = BytesMut::new();
        let long = Message::Call(1, envelope).write_after(&mut self.shown, &mut frame);
        frame.extend(long.into_iter().flatten());
        frame
    }

    fn read(&mut self, mut frame: BytesMut) -> Result<Context, String> {
        match Message::read_after(&mut self.seen, &mut frame, 1 << 20).map(Result::unwrap) {
            Ok(Message::Call(_, envelope)) => Ok(envelope.context),
            Ok(other) => panic!("{other:?}"),
            Err(error) => Err(error.to_string()),
        }
    }

    fn call(&mut self, context: &Context) -> Context {
        let frame = self.frame(context, 0);
        self.read(frame).unwrap()
    }
}

/// A frame that says this of its user, and nothing else but a deadline.
fn saying(entries: &[(u8, &[u8])], payload: usize) -> BytesMut {
    let mut body = vec![1, 1, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0];
    for (tag, entry) in [&[(1, &[0; 8][..])], entries].concat() {
        body.push(tag);
        body.extend((entry.len() as u32).to_le_bytes());
        body.extend(entry);
    }
    body.resize(body.len() + 1 + payload, 0);
    BytesMut::from(&[&(body.len() as u32).to_le_bytes()[..], &body].concat()[..])
}

#[tokio::test]
async fn a_statement_is_shown_once_and_named_by_a_number_then() {
    let now = now_ms();
    let Sides { desk, vouched, .. } = sides();
    let (ada, eve) = (vouched("ada", now), vouched("eve", now));
    let mut line = Line::to(&desk);
    let first = line.frame(&ada, 0);
    let whole = first.len();
    let read = line.read(first).unwrap();
    // It is kept before it is verified, and verified before it is believed.
    let named = line.frame(&ada, 0);
    assert!(named.len() * 5 < whole, "{} of {whole} bytes", named.len());
    let early = line.read(named).unwrap();
    for one in [read, early] {
        assert!(!one.is_proven());
        assert_eq!(desk.believe(one, "hall").principal(), ada.principal());
    }
    assert!(!line.call(&eve).is_proven());
    for _ in 0..3 {
        let again = line.call(&ada);
        assert!(again.is_proven());
        assert_eq!(again.principal(), ada.principal());
        assert_eq!(line.call(&eve).principal(), eve.principal());
    }
    // One that has expired since it was shown.
    let bob = vouched("bob", now - 70_000);
    assert_eq!(believed(&desk, line.call(&bob), now - 60_000).0.as_deref(), Some("bob"));
    let expired = line.call(&bob);
    assert!(!expired.is_proven());
    assert_eq!(believed(&desk, expired, now), (None, Some(Doubt::Expired)));
}

#[tokio::test]
async fn what_a_long_call_has_shown_is_shown_again() {
    let Sides { desk, vouched, .. } = sides();
    let ada = vouched("ada", now_ms());
    let mut line = Line::to(&desk);
    // The receiver has no room for it, and reads past it.
    drop(line.frame(&ada, 100_000));
    let long = line.frame(&ada, 100_000);
    for frame in [long, line.frame(&ada, 0)] {
        let read = line.read(frame).unwrap();
        assert_eq!(believed(&desk, read, now_ms()), (Some("ada".to_owned()), None));
    }
    assert!(line.frame(&ada, 100_000).len() < 100_100);
}

#[tokio::test]
async fn a_number_cannot_stand_for_anybody_else() {
    let Sides { desk, vouched, .. } = sides();
    let ada = vouched("ada", now_ms());
    let ada = ada.statement().unwrap();
    let statement = &ada.signature()[5..];
    let number = |number: u64| number.to_le_bytes();
    let (seven, eight) = (number(7), number(8));
    let shown: &[(u8, &[u8])] = &[(3, b"ada"), (14, statement), (16, &seven)];
    let named: &[(u8, &[u8])] = &[(17, &seven)];
    let mut line = Line::to(&desk);
    line.read(saying(named, 0)).unwrap_err();
    let first = line.read(saying(shown, 0)).unwrap();
    assert_eq!(first.principal().unwrap().subject, "ada");
    let again = line.read(saying(named, 0)).unwrap();
    assert_eq!(again.principal().unwrap().subject, "ada");
    for (what, entries, payload) in [
        ("another number", &[(17, &eight[..])][..], 0),
        ("one of the same place", &[(17, &number(7 + 128)[..])], 0),
        ("a number without a user", &[(16, &eight)], 0),
        ("a number without a statement", &[(3, b"eve"), (16, &eight)], 0),
        ("a role behind it", &[(17, &seven), (4, b"admin")], 0),
        ("a role before it", &[(3, b"ada"), (4, b"admin"), (17, &seven)], 0),
        ("two of them", &[(17, &seven), (17, &seven)], 0),
        ("half a number", &[(17, &seven[..4])], 0),
        ("a number in a long call", shown, 100_000),
        ("a number of what is long", &[(3, &[b'x'; 1_000]), (14, statement), (16, &eight)], 0),
        ("a number in what is signed", &[(3, b"eve"), (16, &eight), (14, statement)], 0),
        ("a signer in what is signed", &[(3, b"eve"), (15, b"chain"), (14, statement)], 0),
    ] {
        let read = line.read(saying(entries, payload));
        assert!(read.is_err(), "{what}: {read:?}");
    }
    // Another one under the number: it takes the place, and is not ada.
    let eve: &[(u8, &[u8])] = &[(3, b"eve"), (14, statement), (16, &seven)];
    line.read(saying(eve, 0)).unwrap();
    let eve = line.read(saying(named, 0)).unwrap();
    assert_eq!(believed(&desk, eve, now_ms()).1, Some(Doubt::UnknownSigner));
}

#[tokio::test]
async fn a_number_proves_no_user_once_the_authority_is_removed() {
    let now = now_ms();
    let Sides { authority, tls, desk, vouched } = sides();
    let ada = vouched("ada", now);
    let mut line = Line::to(&desk);
    assert_eq!(believed(&desk, line.call(&ada), now).1, None);
    assert!(line.call(&ada).is_proven());
    fs::write(authority.folder.join("authority.pem"), &Authority::new().pem).unwrap();
    assert!(tls.read_again().unwrap());
    let read = line.call(&ada);
    assert!(!read.is_proven());
    assert_eq!(believed(&desk, read, now), (None, Some(Doubt::Signature)));
}
