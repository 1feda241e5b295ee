//! What the gateway holds a request to, and an answer: the same in front of one process and of several.

use crate::{support::soon, system};
use monolift::{
    CallError, CallErrorKind, InterfaceError, async_trait,
    testing::{Mode, RunningSystem, System, every_mode},
};
use monolift_gateway::{HttpLimits, HttpServer};
use schemars::JsonSchema;
use serde::{Deserialize, Serialize};
use serde_json::{Value, json};
use std::{
    net::SocketAddr,
    sync::{
        Arc,
        atomic::{AtomicUsize, Ordering},
    },
};
use tokio::net::TcpListener;

const FRAME: usize = 64 * 1024;

#[derive(Debug, thiserror::Error, Serialize, Deserialize, JsonSchema, InterfaceError)]
pub enum DeskError {
    #[error("nobody wrote this: {0}")]
    #[status(404)]
    Unknown(String),
    #[error(transparent)]
    Call(CallError),
}

#[derive(Debug, Clone, PartialEq, Serialize, Deserialize, JsonSchema)]
#[serde(transparent)]
pub struct Id(#[schemars(length(max = 8))] pub String);

#[derive(Debug, Clone, PartialEq, Serialize, Deserialize, JsonSchema)]
pub struct Line {
    #[schemars(range(min = 1, max = 10))]
    pub quantity: u32,
}

#[derive(Debug, Clone, PartialEq, Serialize, Deserialize, JsonSchema)]
pub struct Note {
    pub id: Id,
    #[schemars(length(max = 5))]
    pub lines: Vec<Line>,
    #[serde(default)]
    #[schemars(pattern(r"^\w*$"))]
    pub word: Option<String>,
    #[serde(default)]
    pub any: Value,
}

/// A copy of a note.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize, JsonSchema)]
pub struct Copied {
    pub name: String,
}

/// Notes, with bounds.
#[monolift::interface(module = "desk")]
pub trait Desk {
    /// Writes one.
    #[http(POST, "/notes", body = note)]
    async fn write(&self, note: Note) -> Result<Note, DeskError>;

    /// Writes some lines.
    #[http(POST, "/notes/{id}/lines")]
    async fn lines(
        &self,
        id: Id,
        #[schemars(length(min = 1))] lines: Vec<Line>,
    ) -> Result<usize, DeskError>;

    /// Copies one.
    ///
    /// # Errors
    ///
    /// `DeskError::Unknown` in Rust.
    #[http(POST, "/notes/{id}/copies", created = "/notes/{id}/copies/{name}", idempotency_key)]
    #[errors(Unknown)]
    async fn copy(&self, id: Id, name: Option<String>) -> Result<Copied, DeskError>;

    /// Reads some.
    #[http(GET, "/notes")]
    #[idempotent]
    async fn read(
        &self,
        #[serde(default)] of: Vec<Id>,
        #[serde(default)]
        #[schemars(range(min = 1, max = 100))]
        limit: Option<u32>,
    ) -> Result<u32, DeskError>;

    /// One of so many characters.
    #[http(GET, "/long/{length}")]
    #[idempotent]
    #[errors()]
    async fn long(&self, length: usize) -> Result<String, DeskError>;

    /// A list in a list, so often.
    #[http(GET, "/deep/{depth}")]
    #[idempotent]
    async fn deep(&self, depth: usize) -> Result<Value, DeskError>;

    /// An error of so many characters.
    #[http(GET, "/wrong/{length}")]
    #[idempotent]
    async fn wrong(&self, length: usize) -> Result<(), DeskError>;

    /// An answer that its own type does not allow.
    #[idempotent]
    async fn broken(&self) -> Result<Vec<Id>, DeskError>;
}

#[derive(Debug, Default)]
struct Wooden(AtomicUsize);

#[async_trait]
impl Desk for Wooden {
    async fn write(&self, note: Note) -> Result<Note, DeskError> {
        self.0.fetch_add(1, Ordering::SeqCst);
        Ok(note)
    }

    async fn lines(&self, _: Id, lines: Vec<Line>) -> Result<usize, DeskError> {
        self.0.fetch_add(1, Ordering::SeqCst);
        Ok(lines.len())
    }

    async fn copy(&self, _: Id, name: Option<String>) -> Result<Copied, DeskError> {
        let name = name.ok_or_else(|| DeskError::Unknown("a note without a name".to_owned()))?;
        Ok(Copied { name })
    }

    async fn read(&self, _: Vec<Id>, limit: Option<u32>) -> Result<u32, DeskError> {
        self.0.fetch_add(1, Ordering::SeqCst);
        Ok(limit.unwrap_or_default())
    }

    async fn long(&self, length: usize) -> Result<String, DeskError> {
        Ok("x".repeat(length))
    }

    async fn deep(&self, depth: usize) -> Result<Value, DeskError> {
        Ok((1..depth).fold(json!([]), |inner, _| json!([inner])))
    }

    async fn wrong(&self, length: usize) -> Result<(), DeskError> {
        Err(DeskError::Unknown("x".repeat(length)))
    }

    async fn broken(&self) -> Result<Vec<Id>, DeskError> {
        Ok(vec![Id("short".into()), Id("much too long".into())])
    }
}

struct Front {
    system: RunningSystem,
    _http: HttpServer,
    address: SocketAddr,
    desk: Arc<Wooden>,
}

impl Front {
    async fn start(mode: Mode) -> Self {
        let desk = Arc::new(Wooden::default());
        let system = System::new(mode)
            .fake::<dyn Desk>(Arc::clone(&desk) as Arc<dyn Desk>)
            .manifest(|manifest| manifest.limits.frame = FRAME)
            .start()
            .await;
        let listener = TcpListener::bind("127.0.0.1:0").await.unwrap();
        let address = listener.local_addr().unwrap();
        let http =
            HttpServer::start(listener, system.own().routes().unwrap(), HttpLimits::default());
        Self { system, _http: http, address, desk }
    }

    async fn ask(&self, verb: &str, path: &str, body: &str) -> (u16, String) {
        let answer = self.answered(verb, path, body).await;
        (answer.status, answer.body)
    }

    /// The whole answer.
    async fn answered(&self, verb: &str, path: &str, body: &str) -> system::Response {
        let (address, verb, path) = (self.address.to_string(), verb.to_owned(), path.to_owned());
        let body = body.to_owned();
        let headers = [("content-type", "application/json")];
        let asking = tokio::task::spawn_blocking(move || {
            system::request(&address, &verb, &path, &headers, &body)
        });
        soon(asking).await.unwrap().unwrap()
    }

    /// The status and the detail of a problem.
    async fn problem(&self, verb: &str, path: &str, body: &str) -> (u16, String, String) {
        let (status, said) = self.ask(verb, path, body).await;
        let problem: Value = serde_json::from_str(&said).expect(&said);
        let text = |key: &str| problem[key].as_str().unwrap().to_owned();
        (status, text("code"), text("detail"))
    }

    fn calls(&self) -> usize {
        self.desk.0.load(Ordering::SeqCst)
    }
}

fn note(lines: &[u32]) -> Value {
    let lines: Vec<Value> = lines.iter().map(|count| json!({ "quantity": count })).collect();
    json!({ "id": "first", "lines": lines })
}

#[every_mode]
async fn bounds_are_kept_before_a_call_is_made(mode: Mode) {
    let front = Front::start(mode).await;
    let within = note(&[1, 2, 3, 10]).to_string();
    assert_eq!(front.ask("POST", "/notes", &within).await.0, 200);
    assert_eq!(front.ask("POST", "/notes/a/lines", r#"{"lines":[{"quantity":1}]}"#).await.0, 200);
    assert_eq!(front.ask("GET", "/notes?limit=100&of=a&of=b", "").await, (200, "100".into()));
    assert_eq!(front.ask("GET", "/notes", "").await.0, 200);
    assert_eq!(front.calls(), 4);
    let mut long = note(&[1]);
    long["id"] = json!("ninechars");
    let mut word = note(&[]);
    word["word"] = json!("two words");
    for (verb, path, body, expected) in [
        (
            "POST",
            "/notes",
            note(&[1, 2, 3, 0]).to_string(),
            "argument `note`: `lines[3].quantity` is 0, and must be at least 1",
        ),
        (
            "POST",
            "/notes",
            note(&[1; 6]).to_string(),
            "argument `note`: `lines` has more than 5 items",
        ),
        (
            "POST",
            "/notes",
            long.to_string(),
            "argument `note`: `id` has 9 characters, and may have at most 8",
        ),
        (
            "POST",
            "/notes",
            word.to_string(),
            "argument `note`: `word` does not match the pattern `^\\w*$`",
        ),
        (
            "POST",
            "/notes/a/lines",
            json!({ "lines": [] }).to_string(),
            "argument `lines` has 0 items, and must have at least 1",
        ),
        (
            "POST",
            "/notes/a/lines",
            json!({ "lines": [{ "quantity": 11 }] }).to_string(),
            "argument `lines`: `[0].quantity` is 11, and must be at most 10",
        ),
        (
            "POST",
            "/notes/ninechars/lines",
            json!({ "lines": [{ "quantity": 1 }] }).to_string(),
            "argument `id` has 9 characters, and may have at most 8",
        ),
        (
            "GET",
            "/notes?limit=101",
            String::new(),
            "argument `limit` is 101, and must be at most 100",
        ),
        (
            "GET",
            "/notes?of=a&of=ninechars",
            String::new(),
            "argument `of`: `[1]` has 9 characters, and may have at most 8",
        ),
    ] {
        let found = front.problem(verb, path, &body).await;
        assert_eq!(found, (400, "bad-arguments".into(), expected.into()), "{verb} {path}");
    }
    assert_eq!(front.calls(), 4, "no module heard of them");
    front.system.stop().await;
}

#[every_mode]
async fn between_modules_bounds_show_where_calls_are_encoded(mode: Mode) {
    let front = Front::start(mode).await;
    let client: DeskClient = front.system.client();
    let wrong = Note {
        id: Id("a".into()),
        lines: vec![Line { quantity: 0 }],
        word: None,
        any: Value::Null,
    };
    let (written, broken) = (client.write(wrong).await, client.broken().await);
    if mode.encodes() {
        let Err(DeskError::Call(error)) = written else { panic!("{written:?}") };
        assert_eq!(error.kind(), CallErrorKind::BadArguments);
        let expected = "argument `note`: `lines[0].quantity` is 0, and must be at least 1";
        assert_eq!((error.message(), error.call()), (expected, "desk.write"));
        let Err(DeskError::Call(error)) = broken else { panic!("{broken:?}") };
        assert_eq!(error.kind(), CallErrorKind::BadAnswer);
        let expected = "the answer: `[1]` has 13 characters, and may have at most 8";
        assert_eq!(error.message(), expected);
        assert_eq!(front.calls(), 0);
    } else {
        // Nothing is serialised, and nothing is looked at.
        assert_eq!(written.unwrap().lines.len(), 1);
        assert_eq!(broken.unwrap().len(), 2);
    }
    front.system.stop().await;
}

#[every_mode]
async fn no_text_holds_a_nul(mode: Mode) {
    let front = Front::start(mode).await;
    for (verb, path, body, place) in [
        ("POST", "/notes", r#"{"id":"a\u0000","lines":[]}"#, "the body"),
        ("POST", "/notes", r#"{"id":"a","lines":[],"any":{"\u0000":1}}"#, "the body"),
        ("POST", "/notes", r#"{"id":"a","lines":[],"any":["\\\u0000"]}"#, "the body"),
        ("POST", "/notes/a/lines", r#"{"lines":[{"quantity":1}],"\u0000":1}"#, "the body"),
        ("POST", "/notes/a%00/lines", r#"{"lines":[{"quantity":1}]}"#, "argument `id`"),
        ("GET", "/notes?of=%00", "", "argument `of`"),
        ("GET", "/notes?of=a&of=b%00c", "", "argument `of`"),
    ] {
        let (status, code, detail) = front.problem(verb, path, body).await;
        assert_eq!((status, code.as_str()), (400, "bad-arguments"), "{verb} {path} {body}");
        assert!(detail.starts_with(place) && detail.contains("NUL"), "{detail}");
    }
    assert_eq!(front.calls(), 0);
    // A backslash before those letters is something else.
    let fine = r#"{"id":"\\u0000","lines":[]}"#;
    assert_eq!(front.ask("POST", "/notes", fine).await.0, 200);
    front.system.stop().await;
}

#[every_mode]
async fn an_answer_that_no_frame_holds_is_one_error(mode: Mode) {
    let front = Front::start(mode).await;
    // Three bytes of a frame say how long the text is.
    let most = FRAME - 3;
    let (status, text) = front.ask("GET", &format!("/long/{most}"), "").await;
    assert_eq!((status, text.len()), (200, most + 2));
    let (status, code, detail) = front.problem("GET", &format!("/long/{}", most + 1), "").await;
    assert_eq!((status, code.as_str()), (413, "too-large"));
    assert_eq!(detail, "the answer is longer than a frame may be (65536 bytes)");
    let (status, code, _) = front.problem("GET", &format!("/wrong/{FRAME}"), "").await;
    assert_eq!((status, code.as_str()), (413, "too-large"));
    assert_eq!(front.problem("GET", "/wrong/10", "").await.0, 404);
    assert_eq!(front.ask("GET", "/deep/60", "").await.0, 200);
    let (status, code, _) = front.problem("GET", "/deep/65", "").await;
    assert_eq!((status, code.as_str()), (502, "bad-answer"));
    front.system.stop().await;
}

#[every_mode]
async fn a_whole_number_has_many_spellings(mode: Mode) {
    let front = Front::start(mode).await;
    for quantity in ["3", "3.0", "3e0", "0.3e1"] {
        let body = format!(r#"{{"id":"a","lines":[{{"quantity":{quantity}}}]}}"#);
        let (status, said) = front.ask("POST", "/notes", &body).await;
        assert_eq!(status, 200, "{quantity}: {said}");
        let note: Note = serde_json::from_str(&said).unwrap();
        assert_eq!(note.lines, [Line { quantity: 3 }]);
    }
    for quantity in ["3.5", "11.0", "0.0", "\"3\""] {
        let body = format!(r#"{{"id":"a","lines":[{{"quantity":{quantity}}}]}}"#);
        assert_eq!(front.problem("POST", "/notes", &body).await.0, 400, "{quantity}");
    }
    front.system.stop().await;
}

#[every_mode]
async fn bounds_stand_in_the_description(mode: Mode) {
    let front = Front::start(mode).await;
    let (_, text) = front.ask("GET", "/openapi.json", "").await;
    let document: Value = serde_json::from_str(&text).unwrap();
    let read = &document["paths"]["/notes"]["get"]["parameters"];
    let limit = read.as_array().unwrap().iter().find(|one| one["name"] == "limit").unwrap();
    assert_eq!(
        (&limit["schema"]["minimum"], &limit["schema"]["maximum"]),
        (&json!(1), &json!(100))
    );
    assert_eq!(limit["required"], json!(false));
    let schemas = &document["components"]["schemas"];
    assert_eq!(schemas["Id"]["maxLength"], json!(8));
    // What is not known is refused beside arguments, and passed over in a note.
    let lines = &document["paths"]["/notes/{id}/lines"]["post"]["requestBody"];
    let members = &lines["content"]["application/json"]["schema"];
    assert_eq!(members["additionalProperties"], json!(false));
    assert_eq!(members["properties"]["lines"]["minItems"], json!(1));
    let body = r#"{"lines":[{"quantity":1}],"colour":1}"#;
    assert_eq!(front.problem("POST", "/notes/a/lines", body).await.0, 400);
    assert_eq!(schemas["Note"].get("additionalProperties"), None);
    let body = r#"{"id":"a","lines":[],"colour":1}"#;
    assert_eq!(front.ask("POST", "/notes", body).await.0, 200);
    front.system.stop().await;
}

#[every_mode]
async fn what_is_made_has_a_place(mode: Mode) {
    let front = Front::start(mode).await;
    let made = front.answered("POST", "/notes/a%2Fb/copies", r#"{"name":"c d"}"#).await;
    assert_eq!((made.status, made.body.as_str()), (201, r#"{"name":"c d"}"#));
    assert_eq!(made.header("location"), Some("/notes/a%2Fb/copies/c%20d"));
    let refused = front.answered("POST", "/notes/a/copies", "{}").await;
    assert_eq!((refused.status, refused.header("location")), (404, None));
    front.system.stop().await;
}

#[every_mode]
async fn a_description_says_what_a_method_does_and_no_more(mode: Mode) {
    let front = Front::start(mode).await;
    let (_, text) = front.ask("GET", "/openapi.json", "").await;
    let document: Value = serde_json::from_str(&text).unwrap();
    let paths = &document["paths"];
    let copy = &paths["/notes/{id}/copies"]["post"];
    assert_eq!(copy["description"], "Copies one.");
    let made = &copy["responses"]["201"];
    assert_eq!(made["headers"]["Location"]["schema"]["type"], "string", "{copy:#}");
    assert_eq!(copy["responses"].get("200"), None);
    assert!(copy["responses"].get("404").is_some(), "{copy:#}");
    let has_key = |operation: &Value| {
        let parameters = operation["parameters"].as_array();
        parameters.is_some_and(|all| all.iter().any(|one| one["name"] == "Idempotency-Key"))
    };
    assert!(has_key(copy));
    assert!(!has_key(&paths["/notes"]["post"]), "the module does not read it");
    // All errors are listed, unless the method names those that it gives.
    assert!(paths["/notes"]["get"]["responses"].get("404").is_some());
    assert_eq!(paths["/long/{length}"]["get"]["responses"].get("404"), None);
    front.system.stop().await;
}
