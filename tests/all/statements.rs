//! On whose behalf another process calls: only a gateway says so, and nobody can say more than it has.

mod numbered;

use crate::{
    certificates::{APP, Authority},
    peers::client_of,
};
use bytes::{Bytes, BytesMut};
use monolift::{
    CallError, CallErrorKind, Context, InterfaceError, Principal, async_trait,
    testing::{Mode, RunningSystem, System, service, user},
};
use monolift_call::call::{CallSettings, Origin, Statement};
use monolift_manifest::{Manifest, StatementMode, TlsFiles};
use monolift_seam::wire::{
    Bounds, Doubt, Envelope, Introduced, Keys, Message, Peer, Statements, Tls, Unproven,
};
use schemars::JsonSchema;
use serde::{Deserialize, Deserializer, Serialize};
use std::{
    fs,
    sync::{
        Arc,
        atomic::{AtomicUsize, Ordering},
    },
    time::{Duration, SystemTime},
};

/// Where a chain of calls ends.
#[monolift::interface(module = "desk")]
pub trait Desk {
    /// Who asks. For users.
    #[auth(user)]
    async fn ask(&self, paper: Paper) -> Result<String, DeskError>;

    /// Who asks, as far as that is known. For everybody.
    async fn look(&self) -> Result<String, DeskError>;
}

/// A module that passes a question on.
#[monolift::interface(module = "hall")]
pub trait Hall {
    /// Has the desk asked.
    async fn ask(&self) -> Result<String, DeskError>;
}

/// A module in front of that.
#[monolift::interface(module = "porch")]
pub trait Porch {
    /// Has the hall asked.
    async fn ask(&self) -> Result<String, DeskError>;
}

#[derive(Debug, thiserror::Error, Serialize, Deserialize, JsonSchema, InterfaceError)]
pub enum DeskError {
    #[error(transparent)]
    Call(CallError),
}

/// How many papers this program has decoded.
static DECODED: AtomicUsize = AtomicUsize::new(0);

#[derive(Debug, Clone, Serialize, JsonSchema)]
pub struct Paper(String);

impl<'de> Deserialize<'de> for Paper {
    fn deserialize<D: Deserializer<'de>>(input: D) -> Result<Self, D::Error> {
        DECODED.fetch_add(1, Ordering::SeqCst);
        String::deserialize(input).map(Self)
    }
}

fn paper() -> Paper {
    Paper("paper".to_owned())
}

struct Clerk;

#[async_trait]
impl Desk for Clerk {
    async fn ask(&self, _: Paper) -> Result<String, DeskError> {
        let principal = Principal::current()?;
        Ok(format!("{}{:?}", principal.subject, principal.roles))
    }

    async fn look(&self) -> Result<String, DeskError> {
        Ok(Principal::current().map_or_else(|_| "no one".into(), |who| who.subject.clone()))
    }
}

struct Passing<C>(C);

#[async_trait]
impl Hall for Passing<DeskClient> {
    async fn ask(&self) -> Result<String, DeskError> {
        self.0.ask(paper()).await
    }
}

#[async_trait]
impl Porch for Passing<HallClient> {
    async fn ask(&self) -> Result<String, DeskError> {
        self.0.ask().await
    }
}

/// Porch, hall and desk, each in a process of its own, behind the test's process, which is the host and so a gateway.
async fn house(adjust: impl Fn(&mut Manifest) + Send + 'static) -> RunningSystem {
    System::new(Mode::OverAConnection)
        .fake::<dyn Desk>(Arc::new(Clerk))
        .fake_with::<dyn Hall>(|app| Arc::new(Passing::<DeskClient>(app.client())))
        .fake_with::<dyn Porch>(|app| Arc::new(Passing::<HallClient>(app.client())))
        .manifest(adjust)
        .start()
        .await
}

fn signed(files: TlsFiles) -> impl Fn(&mut Manifest) + Send + 'static {
    move |manifest| manifest.tls = Some(files.clone())
}

fn certified(authority: &Authority) {
    ["test", "porch", "hall", "desk"].iter().for_each(|process| authority.sign(process, process));
}

fn kind(answer: Result<String, DeskError>) -> CallErrorKind {
    match answer {
        Err(DeskError::Call(error)) => error.kind(),
        Ok(answer) => panic!("it was let through: {answer}"),
    }
}

#[tokio::test]
async fn a_user_is_proven_over_three_hops() {
    let authority = Authority::new();
    certified(&authority);
    let house = house(signed(authority.files())).await;
    let porch: PorchClient = house.client_as(user("ada").with_role("staff"));
    for _ in 0..3 {
        assert_eq!(porch.ask().await.unwrap(), "ada[\"staff\"]");
    }
    let porch: PorchClient = house.client_as(user("bob"));
    assert_eq!(porch.ask().await.unwrap(), "bob[]");
    let porch: PorchClient = house.client_of_no_one();
    assert_eq!(kind(porch.ask().await), CallErrorKind::Unauthenticated);
    let porch: PorchClient = house.client_as(service("lobby"));
    assert_eq!(kind(porch.ask().await), CallErrorKind::Forbidden);
    for module in ["porch", "hall", "desk"] {
        assert_eq!(house.process_of(module).unproven_users(), []);
    }
    house.stop().await;
}

/// A client of the desk as another process has it.
fn desk_of(house: &RunningSystem, process: &str) -> DeskClient {
    let listen = house.own().manifest().processes["desk"].listen.clone().unwrap();
    client_of::<dyn Desk>(listen.into(), Peer::new(APP, process, Bounds::default()), None)
}

fn edge() -> Context {
    Context::edge(&CallSettings::default())
}

#[tokio::test]
async fn a_process_that_makes_a_user_up_is_refused_before_its_arguments_are_read() {
    let authority = Authority::new();
    certified(&authority);
    let house = house(signed(authority.files())).await;
    // The hall was broken into. It may call the desk, and is no gateway.
    let hall = desk_of(&house, "hall");
    let ada = || edge().with_principal(user("ada"));
    let before = DECODED.load(Ordering::SeqCst);
    let refused = ada().scope(hall.ask(paper())).await;
    assert_eq!(kind(refused), CallErrorKind::Unauthenticated);
    assert_eq!(DECODED.load(Ordering::SeqCst), before);
    // A method without a rule is open to it, and is not told of a user.
    assert_eq!(ada().scope(hall.look()).await.unwrap(), "no one");
    let doubts = house.process_of("desk").unproven_users();
    assert_eq!(doubts, [("hall".to_owned(), Doubt::Missing, 2)]);
    house.stop().await;
}

#[tokio::test]
async fn what_would_not_be_believed_is_observed_first() {
    let authority = Authority::new();
    certified(&authority);
    let files = authority.files();
    let observed = house(move |manifest| {
        manifest.tls = Some(files.clone());
        manifest.identity.keys.statements = Some(StatementMode::Observe);
    });
    let observed = observed.await;
    let hall = desk_of(&observed, "hall");
    let ada = edge().with_principal(user("ada"));
    assert_eq!(ada.scope(hall.ask(paper())).await.unwrap(), "ada[]");
    let doubts = observed.process_of("desk").unproven_users();
    assert_eq!(doubts, [("hall".to_owned(), Doubt::Missing, 1)]);
    observed.stop().await;

    // Without TLS and without keys there is nothing to prove it by.
    let off = house(|_| {}).await;
    let ada = edge().with_principal(user("ada"));
    assert_eq!(ada.scope(desk_of(&off, "hall").ask(paper())).await.unwrap(), "ada[]");
    off.stop().await;
}

#[tokio::test]
async fn keys_in_files_take_the_place_of_certificates() {
    let authority = Authority::new();
    let key = rcgen::KeyPair::generate_for(&rcgen::PKCS_ED25519).unwrap();
    let (own, public) = (authority.folder.join("own.pem"), authority.folder.join("public.pem"));
    fs::write(&own, key.serialize_pem()).unwrap();
    fs::write(&public, key.public_key_pem()).unwrap();
    let (own, public) = (own.display().to_string(), public.display().to_string());
    let with_keys = move |own: Option<String>| {
        let public = public.clone();
        move |manifest: &mut Manifest| {
            manifest.identity.keys.statement_keys = Some(public.clone());
            manifest.identity.keys.statement_key.clone_from(&own);
        }
    };
    let keyed = house(with_keys(Some(own))).await;
    let porch: PorchClient = keyed.client_as(user("ada"));
    assert_eq!(porch.ask().await.unwrap(), "ada[]");
    let hall = desk_of(&keyed, "hall");
    let refused = edge().with_principal(user("ada")).scope(hall.ask(paper())).await;
    assert_eq!(kind(refused), CallErrorKind::Unauthenticated);
    keyed.stop().await;

    let system =
        |adjust| System::new(Mode::InProcess).fake::<dyn Desk>(Arc::new(Clerk)).manifest(adjust);
    let missing = system(with_keys(None)).try_start().await.unwrap_err().to_string();
    assert!(missing.contains("`identity.statement_key`"), "{missing}");
    let required = |manifest: &mut Manifest| {
        manifest.identity.keys.statements = Some(StatementMode::Require);
    };
    let system = System::new(Mode::InProcess).fake::<dyn Desk>(Arc::new(Clerk));
    let missing = system.manifest(required).try_start().await.unwrap_err().to_string();
    assert!(missing.contains("there is no key for that"), "{missing}");
}

/// A process, as far as it signs and believes.
fn process(app: &str, tls: Tls, signs: bool) -> Statements {
    let may_vouch = Box::new(|process: &str| process == "gateway" || process == "second");
    Statements::new(app, Keys::Tls(tls), signs, Unproven::Refuse, may_vouch)
}

/// The context as the next process reads it.
fn sent(context: &Context) -> Context {
    let envelope =
        Envelope { method: 0, context: context.clone(), payload: Vec::new().into(), timed: false };
    let mut frame = BytesMut::new();
    assert!(Message::Call(1, envelope).write(&mut frame).is_none());
    match Message::read(&mut frame, 1 << 16) {
        Ok(Ok(Message::Call(_, envelope))) => envelope.context.of(Origin { peer: 7, client: 0 }),
        other => panic!("{other:?}"),
    }
}

fn now_ms() -> u64 {
    let now = SystemTime::now().duration_since(SystemTime::UNIX_EPOCH).unwrap();
    u64::try_from(now.as_millis()).unwrap()
}

/// The subject whom a process believes that a call is for, and what it doubts.
fn believed(by: &Statements, context: Context, at: u64) -> (Option<String>, Option<Doubt>) {
    let count = |by: &Statements| -> Vec<_> { by.doubts() };
    let before = count(by);
    let context = by.believe_at(context, "hall", at);
    let new = count(by).into_iter().find(|doubt| !before.contains(doubt));
    (context.principal().map(|who| who.subject.clone()), new.map(|(_, doubt, _)| doubt))
}

#[tokio::test]
async fn a_forged_statement_is_not_believed() {
    let (authority, other) = (Authority::new(), Authority::new());
    let gateway = process(APP, authority.tls("gateway"), true);
    let desk = process(APP, authority.tls("desk"), false);
    let now = now_ms();
    let vouched = |by: &Statements, who: Principal| {
        let mut context = edge().with_principal(who);
        by.vouch_at(&mut context, now);
        sent(&context)
    };
    let ada = || user("ada").with_role("staff");
    let good = || vouched(&gateway, ada());
    let statement = Arc::clone(good().statement().unwrap());
    let proven = (Some("ada".to_owned()), None);
    assert_eq!(believed(&desk, good(), now), proven);
    // Once more, from what is remembered, and as another process passes it on.
    assert_eq!(believed(&desk, good(), now), proven);
    let passed_on = desk.believe_at(good(), "hall", now);
    let another = process(APP, authority.tls("stock"), false);
    assert_eq!(believed(&another, sent(&passed_on), now), proven);

    let refused = |what: &str, context: Context, at: u64, doubt: Doubt| {
        for desk in [&desk, &process(APP, authority.tls("desk"), false)] {
            assert_eq!(believed(desk, context.clone(), at), (None, Some(doubt)), "{what}");
        }
    };
    // It holds for a minute, and clocks may differ by five seconds.
    let end = statement.expires_ms;
    assert_eq!(end, now + 60_000);
    assert_eq!(believed(&desk, good(), end + 4_000), proven);
    refused("replayed", good(), end + 5_000, Doubt::Expired);
    let fresh = process(APP, authority.tls("desk"), false);
    assert_eq!(believed(&fresh, good(), now - 5_001), (None, Some(Doubt::Expired)));
    assert_eq!(believed(&fresh, good(), now - 5_000), proven);

    // Each bit of it counts.
    let with = |entries: Vec<u8>, signed: usize, expires_ms: u64| {
        let signer = statement.signer.clone();
        let entries = Bytes::from(entries);
        let changed = Statement { entries, signed, signer, expires_ms };
        edge().with_principal(ada()).with_statement(Arc::new(changed))
    };
    let whole = statement.entries.to_vec();
    for at in 0..whole.len() {
        let mut bytes = whole.clone();
        bytes[at] ^= 1;
        let changed = with(bytes, statement.signed, end);
        let (who, doubt) = believed(&desk, changed, now);
        assert!(who.is_none() && doubt.is_some(), "byte {at}");
    }
    refused(
        "cut",
        with(whole[..whole.len() - 1].to_vec(), statement.signed, end),
        now,
        Doubt::Signature,
    );
    // A service adds a role, in front of the signature and behind it.
    let eve = vouched(&gateway, user("ada").with_role("staff").with_role("admin"));
    let eve = eve.statement().unwrap();
    let mut extended = eve.principal().to_vec();
    let signed_now = extended.len();
    extended.extend_from_slice(statement.signature());
    refused("extended", with(extended, signed_now, end), now, Doubt::Signature);

    let signed_by = |app: &str, tls: Tls| vouched(&process(app, tls, true), ada());
    refused("signed by a service", signed_by(APP, authority.tls("hall")), now, Doubt::NoGateway);
    refused("of another authority", signed_by(APP, other.tls("gateway")), now, Doubt::Signature);
    let elsewhere = signed_by("elsewhere", authority.tls("gateway"));
    refused("for another application", elsewhere, now, Doubt::Signature);
    let unknown = Statement { signer: None, ..(*statement).clone() };
    let unknown = edge().with_principal(ada()).with_statement(Arc::new(unknown));
    let desk = process(APP, authority.tls("desk"), false);
    assert_eq!(believed(&desk, unknown, now), (None, Some(Doubt::UnknownSigner)));
    // Nobody needs a word for its own work.
    let work = edge().with_principal(service("hall"));
    assert_eq!(believed(&desk, sent(&work), now).0.as_deref(), Some("service:hall"));
}

#[tokio::test]
async fn a_known_user_is_not_decoded_and_nothing_can_be_said_behind_a_statement() {
    let authority = Authority::new();
    let gateway = process(APP, authority.tls("gateway"), true);
    let desk = Arc::new(process(APP, authority.tls("desk"), false));
    let mut context = edge().with_principal(user("ada").with_role("staff"));
    gateway.vouch(&mut context);
    let statement = Arc::clone(context.statement().unwrap());
    let read = |context: &Context| {
        let (context, payload) = (context.clone(), Vec::new().into());
        let envelope = Envelope { method: 0, context, payload, timed: false };
        let mut frame = BytesMut::new();
        assert!(Message::Call(1, envelope).write(&mut frame).is_none());
        let mut seen = Introduced::default();
        seen.believe(Some(Arc::clone(&desk)));
        match Message::read_after(&mut seen, &mut frame, 1 << 16).map(Result::unwrap) {
            Ok(Message::Call(_, envelope)) => Ok(envelope.context),
            Ok(other) => panic!("{other:?}"),
            Err(error) => Err(error.to_string()),
        }
    };
    let saying = |statement: Statement| {
        let principal = user("ada").with_role("staff");
        read(&edge().with_principal(principal).with_statement(Arc::new(statement)))
    };
    // A role, behind what is signed.
    let more = [&statement.entries[..], &[4, 5, 0, 0, 0], b"admin"].concat();
    let more = || Statement { entries: more.clone().into(), ..(*statement).clone() };
    for is_known in [false, true] {
        let first = read(&context).unwrap();
        assert_eq!(first.is_proven(), is_known);
        let believed = desk.believe(first, "hall");
        assert!(believed.is_proven());
        assert_eq!(believed.principal(), context.principal());
        let refused = saying(more()).unwrap_err();
        assert!(refused.contains("behind its statement"), "{refused}");
    }
    // A user in front of it is not the one that it is about.
    let before = [&[3, 3, 0, 0, 0][..], b"eve", &statement.entries[..]].concat();
    let before = Statement { entries: before.into(), ..(*statement).clone() };
    let told = desk.believe(saying(before).unwrap(), "hall");
    assert_eq!(told.principal(), context.principal());
    // One bit, and it is another user, who is not known.
    let mut other = statement.entries.to_vec();
    other[5] ^= 1;
    let other = saying(Statement { entries: other.into(), ..(*statement).clone() }).unwrap();
    assert!(!other.is_proven() && desk.believe(other, "hall").principal().is_none());
}

#[tokio::test]
async fn a_statement_holds_no_longer_than_its_token_and_is_made_once() {
    let authority = Authority::new();
    let tls = authority.tls("gateway");
    let gateway = process(APP, tls.clone(), true);
    let now = now_ms();
    let made = |who: Principal, at: u64| {
        let mut context = edge().with_principal(who);
        gateway.vouch_at(&mut context, at);
        context.statement().cloned()
    };
    let first = made(user("ada"), now).unwrap();
    assert!(Arc::ptr_eq(&first, &made(user("ada"), now + 40_000).unwrap()));
    let later = made(user("ada"), now + 40_001).unwrap();
    assert_eq!(later.expires_ms, now + 100_001);
    let token = |ms: u64| user("bob").until(Duration::from_millis(ms));
    let short = made(token(now + 7_000), now).unwrap();
    assert_eq!(short.expires_ms, now + 7_000);
    assert!(Arc::ptr_eq(&short, &made(token(now + 7_000), now + 6_000).unwrap()));
    // A new token, and an older one.
    assert_eq!(made(token(now + 600_000), now + 6_000).unwrap().expires_ms, now + 66_000);
    assert_eq!(made(token(now + 8_000), now + 6_000).unwrap().expires_ms, now + 8_000);
    assert!(made(token(now + 8_000), now + 8_000).is_none());

    // With a new certificate it signs anew, and a request that began before keeps both.
    let mut running = edge().with_principal(user("ada"));
    gateway.vouch_at(&mut running, now);
    authority.sign("gateway", "gateway");
    assert!(tls.read_again().unwrap());
    let renewed = made(user("ada"), now + 1).unwrap();
    assert_ne!(renewed.signer, first.signer);
    gateway.vouch_at(&mut running, now + 1);
    assert_eq!(running.statement().unwrap().signer, renewed.signer);

    // What another process has said of a user is not this one's to say.
    let mut received = edge().with_principal(user("eve")).of(Origin { peer: 3, client: 0 });
    gateway.vouch_at(&mut received, now);
    assert!(received.statement().is_none());
    let service = process(APP, authority.tls("hall"), false);
    let mut own = edge().with_principal(user("eve"));
    service.vouch_at(&mut own, now);
    assert!(own.statement().is_none());
}

#[tokio::test]
async fn a_restarted_gateway_and_a_second_one_are_believed_and_a_removed_authority_is_not() {
    let (authority, new) = (Authority::new(), Authority::new());
    let tls = authority.tls("desk");
    let desk = process(APP, tls.clone(), false);
    let now = now_ms();
    let vouched = |by: &Statements, who: &str| {
        let mut context = edge().with_principal(user(who));
        by.vouch_at(&mut context, now);
        sent(&context)
    };
    for (gateway, who) in [("gateway", "ada"), ("gateway", "bob"), ("second", "ada")] {
        // Each start has another certificate and another key.
        let gateway = process(APP, authority.tls(gateway), true);
        assert_eq!(believed(&desk, vouched(&gateway, who), now), (Some(who.to_owned()), None));
    }
    let gateway = process(APP, authority.tls("gateway"), true);
    let kept = vouched(&gateway, "ada");
    assert_eq!(believed(&desk, kept.clone(), now).1, None);
    fs::write(authority.folder.join("authority.pem"), &new.pem).unwrap();
    assert!(tls.read_again().unwrap());
    assert_eq!(believed(&desk, kept, now), (None, Some(Doubt::Signature)));
}
