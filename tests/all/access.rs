//! Who may call a method: rules that stand with it, and hold on every way in.

use crate::support::soon;
use axum::{Extension, Router, routing::put};
use monolift::{
    CallError, CallErrorKind, InterfaceError, Principal, Routes, async_trait,
    testing::{Mode, RunningSystem, System, every_mode, service, user},
};
use monolift_gateway::{HttpLimits, HttpServer};
use monolift_manifest::{Manifest, Rules};
use schemars::JsonSchema;
use serde::{Deserialize, Deserializer, Serialize};
use std::sync::{
    Arc,
    atomic::{AtomicUsize, Ordering},
};
use tokio::{
    io::{AsyncReadExt, AsyncWriteExt},
    net::{TcpListener, TcpStream},
};

/// Boxes of users.
#[monolift::interface(module = "vault", routes = "/plans")]
#[auth(user)]
pub trait Vault {
    /// What is in a box. For its owner.
    #[http(GET, "/boxes/{owner}")]
    #[idempotent]
    async fn open(&self, owner: String) -> Result<String, VaultError>;

    /// When the vault is open.
    #[http(GET, "/hours")]
    #[auth(public)]
    async fn hours(&self) -> Result<String, VaultError>;

    /// Adds a box.
    #[http(POST, "/boxes", body = name)]
    #[auth(role = "staff", scope = "boxes:write")]
    #[auth(service)]
    async fn add(&self, name: Name) -> Result<String, VaultError>;
}

/// A module in front of the vault, which says nothing of who may call it.
#[monolift::interface(module = "lobby")]
pub trait Lobby {
    /// Opens a box of the vault on behalf of the visitor.
    #[http(GET, "/visits/{owner}")]
    async fn visit(&self, owner: String) -> Result<String, VaultError>;

    /// Adds a box, in work of the lobby's own that no request is part of.
    async fn add_at_night(&self, name: Name) -> Result<String, VaultError>;
}

/// Pictures of the boxes, by routes of the module's own.
#[monolift::interface(
    module = "gallery",
    routes = "/pictures",
    auth(role = "staff"),
    auth(scope = "pictures")
)]
pub trait Gallery {
    /// How many pictures it was asked to keep.
    async fn kept(&self) -> Result<usize, VaultError>;
}

#[monolift::module(name = "gallery", provides = Gallery, routes)]
pub struct GalleryModule {
    kept: monolift::State<AtomicUsize>,
}

#[async_trait]
impl Gallery for GalleryModule {
    async fn kept(&self) -> Result<usize, VaultError> {
        Ok(self.kept.load(Ordering::SeqCst))
    }
}

impl Routes for GalleryModule {
    fn routes(self: Arc<Self>) -> Router {
        let keep = async move |who: Option<Extension<Principal>>, picture: String| {
            self.kept.fetch_add(1, Ordering::SeqCst);
            format!("{picture} of {:?}", who.map(|who| who.subject.clone()))
        };
        Router::new().route("/{name}", put(keep))
    }
}

/// A module whose own routes do not say who may ask for them.
#[monolift::interface(module = "attic", routes = "/attic")]
pub trait Attic {}

#[monolift::module(name = "attic", provides = Attic, routes)]
struct AtticModule {}

impl Attic for AtticModule {}

impl Routes for AtticModule {
    fn routes(self: Arc<Self>) -> Router {
        Router::new()
    }
}

#[derive(Debug, thiserror::Error, Serialize, Deserialize, JsonSchema, InterfaceError)]
pub enum VaultError {
    #[error("no box of {0}")]
    #[status(404)]
    NoBox(String),
    #[error(transparent)]
    Call(CallError),
}

/// How many names this program has decoded.
static DECODED: AtomicUsize = AtomicUsize::new(0);

#[derive(Debug, Clone, Serialize, JsonSchema)]
pub struct Name(String);

impl<'de> Deserialize<'de> for Name {
    fn deserialize<D: Deserializer<'de>>(input: D) -> Result<Self, D::Error> {
        DECODED.fetch_add(1, Ordering::SeqCst);
        String::deserialize(input).map(Self)
    }
}

struct Steel;

#[async_trait]
impl Vault for Steel {
    async fn open(&self, owner: String) -> Result<String, VaultError> {
        Principal::current()?.is(&owner).or(Err(VaultError::NoBox(owner)))?;
        Ok("gold".to_owned())
    }

    async fn hours(&self) -> Result<String, VaultError> {
        Ok("always".to_owned())
    }

    async fn add(&self, name: Name) -> Result<String, VaultError> {
        let Name(name) = name;
        let by = Principal::current().map(|principal| principal.subject.clone());
        Ok(format!("{name} by {}", by.unwrap_or_else(|_| "its own work".to_owned())))
    }
}

struct Marble(VaultClient);

#[async_trait]
impl Lobby for Marble {
    async fn visit(&self, owner: String) -> Result<String, VaultError> {
        self.0.open(owner).await
    }

    async fn add_at_night(&self, name: Name) -> Result<String, VaultError> {
        let vault = self.0.clone();
        tokio::spawn(async move { vault.add(name).await }).await?
    }
}

fn house(mode: Mode) -> System {
    System::new(mode)
        .fake::<dyn Vault>(Arc::new(Steel))
        .fake_with::<dyn Lobby>(|app| Arc::new(Marble(app.client())))
}

fn kind<T>(answer: Result<T, VaultError>) -> CallErrorKind {
    match answer {
        Err(VaultError::Call(error)) => error.kind(),
        Err(other) => panic!("{other}"),
        Ok(_) => panic!("it was let through"),
    }
}

fn name(text: &str) -> Name {
    Name(text.to_owned())
}

#[every_mode]
async fn users_reach_what_is_theirs(mode: Mode) {
    let house = house(mode).start().await;
    let ada: VaultClient = house.client_as(user("ada"));
    assert_eq!(ada.open("ada".into()).await.unwrap(), "gold");
    assert!(
        matches!(ada.open("bob".into()).await, Err(VaultError::NoBox(owner)) if owner == "bob")
    );
    assert_eq!(ada.hours().await.unwrap(), "always");
    let nobody: VaultClient = house.client_of_no_one();
    assert_eq!(kind(nobody.open("ada".into()).await), CallErrorKind::Unauthenticated);
    assert_eq!(nobody.hours().await.unwrap(), "always");
    // The program's own work is no user.
    let own: VaultClient = house.client();
    assert_eq!(kind(own.open("ada".into()).await), CallErrorKind::Forbidden);
    house.stop().await;
}

#[every_mode]
async fn roles_and_scopes_are_asked_for_and_services_only_where_they_are_named(mode: Mode) {
    let house = house(mode).start().await;
    let add = async |who: Principal| {
        let vault: VaultClient = house.client_as(who);
        vault.add(name("box")).await
    };
    let staff = || user("eve").with_role("staff");
    assert_eq!(add(staff().with_scope("boxes:write")).await.unwrap(), "box by eve");
    for who in [user("eve"), staff(), user("eve").with_scope("boxes:write").with_role("Staff")] {
        assert_eq!(kind(add(who).await), CallErrorKind::Forbidden);
    }
    assert_eq!(add(service("lobby")).await.unwrap(), "box by service:lobby");
    let lobby: LobbyClient = house.client_as(user("ada"));
    assert_eq!(lobby.add_at_night(name("box")).await.unwrap(), "box by its own work");
    house.stop().await;
}

#[every_mode]
async fn a_module_calls_on_behalf_of_the_request(mode: Mode) {
    let house = house(mode).start().await;
    let ada: LobbyClient = house.client_as(user("ada"));
    assert_eq!(ada.visit("ada".into()).await.unwrap(), "gold");
    assert!(matches!(ada.visit("bob".into()).await, Err(VaultError::NoBox(_))));
    let nobody: LobbyClient = house.client_of_no_one();
    let error = nobody.visit("ada".into()).await.unwrap_err();
    let error = error.call_error().unwrap();
    assert_eq!((error.kind(), error.call()), (CallErrorKind::Unauthenticated, "vault.open"));
    house.stop().await;
}

#[every_mode]
async fn a_stranger_is_refused_before_the_arguments_are_read(mode: Mode) {
    let house = house(mode).start().await;
    let before = DECODED.load(Ordering::SeqCst);
    let vault: VaultClient = house.client_as(user("eve"));
    assert_eq!(kind(vault.add(name("box")).await), CallErrorKind::Forbidden);
    assert_eq!(DECODED.load(Ordering::SeqCst), before);
    let vault: VaultClient = house.client_as(service("lobby"));
    vault.add(name("box")).await.unwrap();
    assert_eq!(DECODED.load(Ordering::SeqCst), before + usize::from(mode.encodes()));
    house.stop().await;
}

#[every_mode]
async fn what_would_be_refused_is_counted_first(mode: Mode) {
    let observed = |manifest: &mut Manifest| {
        manifest.identity.keys.rules = Rules::read("enforce,vault=observe").unwrap();
    };
    let house = house(mode).manifest(observed).start().await;
    let nobody: LobbyClient = house.client_of_no_one();
    for _ in 0..3 {
        // Its own check is not a rule.
        assert_eq!(kind(nobody.visit("ada".into()).await), CallErrorKind::Unauthenticated);
    }
    let eve: VaultClient = house.client_as(user("eve"));
    assert_eq!(eve.add(name("box")).await.unwrap(), "box by eve");
    let counts = house.process_of("vault").refused_calls();
    let counts: Vec<_> = counts
        .iter()
        .map(|(refused, count)| {
            (&*refused.method, refused.by, &*refused.rule, refused.observed, *count)
        })
        .collect();
    let rule = "a user with the role `staff` and the scope `boxes:write`, or a service";
    assert_eq!(counts.len(), 2, "{counts:?}");
    assert!(counts.contains(&("vault.open", "nobody", "a user", true, 3)), "{counts:?}");
    assert!(counts.contains(&("vault.add", "user", rule, true, 1)), "{counts:?}");
    let callers = house.process_of("vault").refused_calls();
    let opened = callers.iter().find(|(refused, _)| refused.method == "vault.open").unwrap();
    match mode {
        Mode::InProcess => assert_eq!(opened.0.caller, "lobby"),
        Mode::OverAConnection => assert_eq!(opened.0.caller, "process"),
        // The call that encodes it stands between.
        Mode::Encoded => {}
    }
    house.stop().await;
}

/// The status, the head in lower case, and the body of an answer to a request of `who`.
async fn ask(house: &RunningSystem, who: Option<Principal>, request: &str) -> (u16, String) {
    let listener = TcpListener::bind("127.0.0.1:0").await.unwrap();
    let address = listener.local_addr().unwrap();
    let routes = house.own().routes().unwrap();
    let routes = match who {
        Some(who) => routes.layer(axum::Extension(who)),
        None => routes,
    };
    let _http = HttpServer::start(listener, routes, HttpLimits::default());
    let mut socket = TcpStream::connect(address).await.unwrap();
    let (first, body) = request.split_once('\n').unwrap_or((request, ""));
    let length = body.len();
    let request = format!(
        "{first} HTTP/1.1\r\nhost: vault\r\nconnection: close\r\ncontent-type: application/json\r\n\
         content-length: {length}\r\n\r\n{body}"
    );
    socket.write_all(request.as_bytes()).await.unwrap();
    let mut answer = String::new();
    soon(socket.read_to_string(&mut answer)).await.unwrap();
    (answer[9..12].parse().unwrap(), answer)
}

#[every_mode]
async fn the_gateway_says_what_it_asks_for(mode: Mode) {
    let house = house(mode).start().await;
    let (status, text) = ask(&house, None, "GET /boxes/ada").await;
    assert!(status == 401 && text.contains("www-authenticate: Bearer\r\n"), "{text}");
    assert!(text.contains(r#""code":"unauthenticated""#), "{text}");
    let (status, text) = ask(&house, Some(user("ada")), "GET /boxes/ada").await;
    assert!(status == 200 && text.ends_with("\"gold\""), "{text}");
    let (status, text) = ask(&house, Some(user("ada")), "GET /boxes/bob").await;
    assert!(status == 404 && text.contains("no box of bob"), "{text}");
    assert_eq!(ask(&house, None, "GET /hours").await.0, 200);
    let (status, text) = ask(&house, None, "GET /visits/ada").await;
    assert!(status == 401 && text.contains("www-authenticate"), "{text}");
    // A body that is none is not looked at.
    let (status, text) = ask(&house, Some(user("ada")), "POST /boxes\n{").await;
    let challenge = r#"www-authenticate: Bearer error="insufficient_scope", scope="boxes:write""#;
    assert!(status == 403 && text.contains(challenge), "{text}");
    let (status, text) = ask(&house, None, "GET /openapi.json").await;
    let (_, document) = text.split_once("\r\n\r\n").unwrap();
    let document: serde_json::Value = serde_json::from_str(document).unwrap();
    assert_eq!(status, 200);
    let add = &document["paths"]["/boxes"]["post"];
    assert_eq!(add["security"], serde_json::json!([{ "bearer": ["staff", "boxes:write"] }]));
    assert!(add["responses"]["401"].is_object() && add["responses"]["403"].is_object());
    assert_eq!(document["paths"]["/hours"]["get"]["security"], serde_json::json!([{}]));
    let visits = &document["paths"]["/visits/{owner}"]["get"];
    assert!(visits.get("security").is_none() && visits["responses"].get("401").is_none());
    assert_eq!(document["components"]["securitySchemes"]["bearer"]["scheme"], "bearer");
    house.stop().await;
}

/// The rule of a module's own routes holds at the gateway, wherever the module runs.
#[every_mode]
async fn a_modules_own_routes_have_a_rule_too(mode: Mode) {
    let house = System::new(mode).module::<GalleryModule>().start().await;
    let gallery: GalleryClient = house.client();
    let (status, text) = ask(&house, None, "PUT /pictures/box\ngold").await;
    assert!(status == 401 && text.contains("www-authenticate: Bearer\r\n"), "{text}");
    assert!(text.contains(r#""code":"unauthenticated""#), "{text}");
    let (status, text) = ask(&house, Some(user("ada")), "PUT /pictures/box\ngold").await;
    let challenge = r#"www-authenticate: Bearer error="insufficient_scope", scope="pictures""#;
    assert!(status == 403 && text.contains(challenge), "{text}");
    // Nor is it told which routes there are.
    assert_eq!(ask(&house, None, "GET /pictures").await.0, 401);
    assert_eq!(ask(&house, None, "GET /pictures/a/b/c").await.0, 401);
    assert_eq!(gallery.kept().await.unwrap(), 0);
    for staff in [user("eve").with_role("staff"), user("bob").with_scope("pictures")] {
        let (status, text) = ask(&house, Some(staff), "PUT /pictures/box\ngold").await;
        assert!(status == 200 && text.ends_with("gold of None"), "{text}");
    }
    assert_eq!(gallery.kept().await.unwrap(), 2);
    let counts = house.own().refused_calls();
    let counts: Vec<_> =
        counts.iter().map(|(refused, count)| (&*refused.method, refused.by, *count)).collect();
    assert_eq!(counts, [("gallery.routes", "nobody", 3), ("gallery.routes", "user", 1)]);
    house.stop().await;
}

#[every_mode]
async fn what_own_routes_would_refuse_is_counted_first(mode: Mode) {
    let observed = |manifest: &mut Manifest| {
        manifest.identity.keys.rules = Rules::read("enforce,gallery=observe").unwrap();
    };
    let house = System::new(mode).module::<GalleryModule>().manifest(observed).start().await;
    let (status, text) = ask(&house, None, "PUT /pictures/box\ngold").await;
    assert!(status == 200 && text.ends_with("gold of None"), "{text}");
    let counts = house.own().refused_calls();
    assert!(matches!(&counts[..], [(refused, 1)] if refused.observed), "{counts:?}");
    house.stop().await;
}

#[tokio::test]
async fn own_routes_are_not_open_by_omission_where_there_is_identity() {
    let identity = |manifest: &mut Manifest| manifest.identity.stated = true;
    let attic = System::new(Mode::InProcess).module::<AtticModule>().manifest(identity);
    let text = attic.try_start().await.unwrap_err().to_string();
    assert!(
        text.contains("/attic/…") && text.contains("routes = \"/attic\", auth(user)"),
        "{text}"
    );
    let gallery = System::new(Mode::InProcess).module::<GalleryModule>().manifest(identity);
    let text = gallery.try_start().await.err().map(|error| error.to_string());
    assert_eq!(text, None);
}

/// The lobby has a route and does not say who may call it.
#[tokio::test]
async fn nothing_is_open_by_omission_where_there_is_identity() {
    let identity = |manifest: &mut Manifest| manifest.identity.stated = true;
    let refused = house(Mode::InProcess).manifest(identity).try_start().await.unwrap_err();
    let text = refused.to_string();
    assert!(text.contains("GET /visits/{owner}") && text.contains("`Lobby::visit`"), "{text}");
    assert!(!text.contains("Vault"), "{text}");
    let vault = System::new(Mode::InProcess).fake::<dyn Vault>(Arc::new(Steel));
    vault.manifest(identity).start().await.stop().await;
}
