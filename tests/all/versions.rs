//! Two versions of one interface: a process that was built before, or after, the other.
//!
//! Both are registered in this program, as two interfaces of one name; each side uses its own.

use crate::{
    log::Log,
    peers::{client_of, serve_any, unix, us},
    support::soon,
};
use monolift::{
    CallError, CallErrorKind, async_trait,
    testing::{Mode, System},
};
use monolift_call::link::Interface;
use monolift_manifest::{Address, Connect};
use monolift_seam::{
    serve::{Limits, Server},
    wire::{Bounds, Interfaces, NUMBERED, OUTLINES, Peer, codec, connect, greet},
};
use std::{fmt::Debug, sync::Arc, time::Duration};

/// As it was.
mod v1 {
    use monolift::{CallError, InterfaceError};
    use schemars::JsonSchema;
    use serde::{Deserialize, Serialize};

    #[monolift::interface(module = "catalog")]
    pub trait Catalog {
        async fn find(&self, id: u64, options: Options) -> Result<Book, CatalogError>;
        async fn retired(&self) -> Result<(), CatalogError>;
    }

    #[derive(Debug, Clone, PartialEq, Serialize, Deserialize, JsonSchema)]
    pub struct Options {
        pub pages: Option<u64>,
        pub copies: Option<u64>,
        pub order: Order,
    }

    #[derive(Debug, Clone, PartialEq, Serialize, Deserialize, JsonSchema)]
    pub enum Order {
        Title,
    }

    #[derive(Debug, Clone, PartialEq, Serialize, Deserialize, JsonSchema)]
    pub struct Book {
        pub id: u64,
        pub title: String,
        #[serde(default)]
        pub shelf: Option<String>,
    }

    #[derive(Debug, thiserror::Error, Serialize, Deserialize, JsonSchema, InterfaceError)]
    pub enum CatalogError {
        #[error("no book {0}")]
        Unknown(u64),
        #[error(transparent)]
        Call(CallError),
    }
}

/// As it is: fields and arguments in another order, some more and one less; a method more and one
/// less; a variant more, of an argument and of the error; an interface more.
mod v2 {
    use monolift::{CallError, InterfaceError};
    use schemars::JsonSchema;
    use serde::{Deserialize, Serialize};

    #[monolift::interface(module = "catalog")]
    pub trait Catalog {
        async fn count(&self) -> Result<u64, CatalogError>;
        async fn find(
            &self,
            options: Options,
            #[serde(default)]
            #[may_be_ignored]
            language: Option<String>,
            id: u64,
        ) -> Result<Book, CatalogError>;
    }

    #[monolift::interface(module = "catalog")]
    pub trait Reviews {
        async fn count(&self) -> Result<u64, CatalogError>;
    }

    #[derive(Debug, Clone, PartialEq, Serialize, Deserialize, JsonSchema)]
    pub struct Options {
        pub order: Order,
        pub copies: Option<u64>,
        pub pages: Option<u64>,
        pub most: Option<u32>,
    }

    #[derive(Debug, Clone, PartialEq, Serialize, Deserialize, JsonSchema)]
    pub enum Order {
        Author,
        Title,
    }

    #[derive(Debug, Clone, PartialEq, Serialize, Deserialize, JsonSchema)]
    pub struct Book {
        pub title: String,
        pub id: u64,
        #[serde(default)]
        pub authors: Vec<String>,
    }

    #[derive(Debug, thiserror::Error, Serialize, Deserialize, JsonSchema, InterfaceError)]
    pub enum CatalogError {
        #[error("book {0} is lent")]
        Lent(u64),
        #[error("no book {0}")]
        Unknown(u64),
        #[error(transparent)]
        Call(CallError),
    }
}

// Two numbers of one type: read by position, each would be taken for the other.
fn old_options() -> v1::Options {
    v1::Options { pages: Some(1), copies: Some(2), order: v1::Order::Title }
}

fn new_options() -> v2::Options {
    v2::Options { pages: Some(1), copies: Some(2), order: v2::Order::Title, most: Some(3) }
}

struct Old;

#[async_trait]
impl v1::Catalog for Old {
    async fn find(&self, id: u64, options: v1::Options) -> Result<v1::Book, v1::CatalogError> {
        assert_eq!(options, old_options());
        match id {
            1 => Ok(v1::Book { id, title: "Old".into(), shelf: Some("A".into()) }),
            _ => Err(v1::CatalogError::Unknown(id)),
        }
    }

    async fn retired(&self) -> Result<(), v1::CatalogError> {
        Ok(())
    }
}

struct New;

#[async_trait]
impl v2::Catalog for New {
    async fn count(&self) -> Result<u64, v2::CatalogError> {
        Ok(1)
    }

    async fn find(
        &self,
        options: v2::Options,
        language: Option<String>,
        id: u64,
    ) -> Result<v2::Book, v2::CatalogError> {
        assert_eq!(options, v2::Options { most: None, ..new_options() });
        match id {
            1 => {
                let authors = vec!["Ada".to_owned(), language.unwrap_or_default()];
                Ok(v2::Book { id, title: "New".into(), authors })
            }
            2 => Err(v2::CatalogError::Lent(id)),
            _ => Err(v2::CatalogError::Unknown(id)),
        }
    }
}

fn old_error<T: Debug>(answer: Result<T, v1::CatalogError>) -> CallError {
    match answer {
        Err(v1::CatalogError::Call(error)) => error,
        other => panic!("no call error: {other:?}"),
    }
}

fn new_error<T: Debug>(answer: Result<T, v2::CatalogError>) -> CallError {
    match answer {
        Err(v2::CatalogError::Call(error)) => error,
        other => panic!("no call error: {other:?}"),
    }
}

async fn an_older_caller(mode: Mode) {
    let system = System::new(mode).fake::<dyn v2::Catalog>(Arc::new(New)).start().await;
    let catalog: v1::CatalogClient = system.client();
    let book = catalog.find(1, old_options()).await.unwrap();
    assert_eq!(book, v1::Book { id: 1, title: "New".into(), shelf: None });
    let error = catalog.find(3, old_options()).await.unwrap_err();
    assert!(matches!(error, v1::CatalogError::Unknown(3)), "{error}");
    // A way to fail that it does not know is an error that says so.
    let lent = old_error(catalog.find(2, old_options()).await);
    assert_eq!((lent.kind(), lent.call()), (CallErrorKind::BadAnswer, "catalog.find"));
    assert!(lent.message().contains("Lent"), "{lent}");
    // And so is a method that is gone; the others are as before.
    let retired = old_error(catalog.retired().await);
    assert_eq!((retired.kind(), retired.call()), (CallErrorKind::UnknownMethod, "catalog.retired"));
    assert!(catalog.find(1, old_options()).await.is_ok());
    system.stop().await;
}

async fn a_newer_caller(mode: Mode) {
    let system = System::new(mode).fake::<dyn v1::Catalog>(Arc::new(Old)).start().await;
    let catalog: v2::CatalogClient = system.client();
    let book = catalog.find(new_options(), Some("en".into()), 1).await.unwrap();
    assert_eq!(book, v2::Book { id: 1, title: "Old".into(), authors: Vec::new() });
    let error = catalog.find(new_options(), None, 9).await.unwrap_err();
    assert!(matches!(error, v2::CatalogError::Unknown(9)), "{error}");
    // What the other side cannot know of is an error that says so.
    let by_author = v2::Options { order: v2::Order::Author, ..new_options() };
    let unread = new_error(catalog.find(by_author, None, 1).await);
    assert_eq!((unread.kind(), unread.call()), (CallErrorKind::BadArguments, "catalog.find"));
    assert!(unread.message().contains("Author"), "{unread}");
    let count = new_error(catalog.count().await);
    assert_eq!((count.kind(), count.call()), (CallErrorKind::UnknownMethod, "catalog.count"));
    // Nor does a whole interface that is missing become another one with such a method.
    let reviews: v2::ReviewsClient = system.client();
    assert_eq!(new_error(reviews.count().await).kind(), CallErrorKind::UnknownMethod);
    assert!(catalog.find(new_options(), None, 1).await.is_ok());
    system.stop().await;
}

/// In process there is one version, or it would not compile.
#[test]
fn peers_of_two_versions_understand_each_other() {
    for mode in [Mode::Encoded, Mode::OverAConnection] {
        monolift::testing::run(an_older_caller(mode));
        monolift::testing::run(a_newer_caller(mode));
    }
}

#[test]
fn a_fingerprint_tells_versions_apart_and_not_docs() {
    let (one, two) = (<dyn v1::Catalog>::descriptor(), <dyn v2::Catalog>::descriptor());
    assert_ne!(one.fingerprint(), two.fingerprint());
    assert_eq!(one.fingerprint(), one.fingerprint());
}

/// A library before an argument was renamed, and after.
mod before {
    use monolift::{CallError, InterfaceError};
    use schemars::JsonSchema;
    use serde::{Deserialize, Serialize};

    #[monolift::interface(module = "library")]
    pub trait Library {
        async fn search(
            &self,
            text: String,
            limit: Option<usize>,
            #[serde(default)] newest: bool,
        ) -> Result<Vec<String>, LibraryError>;
        async fn lend(&self, loan: Loan) -> Result<Receipt, LibraryError>;
    }

    #[derive(Debug, Clone, Serialize, Deserialize, JsonSchema)]
    pub struct Loan {
        pub book: u64,
    }

    #[derive(Debug, PartialEq, Serialize, Deserialize, JsonSchema)]
    pub struct Receipt {
        pub book: u64,
        pub fee: u64,
    }

    #[derive(Debug, thiserror::Error, Serialize, Deserialize, JsonSchema, InterfaceError)]
    pub enum LibraryError {
        #[error(transparent)]
        Call(CallError),
    }
}

mod after {
    use monolift::{CallError, InterfaceError};
    use schemars::JsonSchema;
    use serde::{Deserialize, Serialize};

    #[monolift::interface(module = "library")]
    pub trait Library {
        async fn search(
            &self,
            text: String,
            most: Option<usize>,
        ) -> Result<Vec<String>, LibraryError>;
        async fn lend(&self, loan: Loan) -> Result<Receipt, LibraryError>;
    }

    #[derive(Debug, Clone, Serialize, Deserialize, JsonSchema)]
    pub struct Loan {
        pub book: u64,
        pub reader: String,
    }

    #[derive(Debug, PartialEq, Serialize, Deserialize, JsonSchema)]
    pub struct Receipt {
        pub book: u64,
    }

    #[derive(Debug, thiserror::Error, Serialize, Deserialize, JsonSchema, InterfaceError)]
    pub enum LibraryError {
        #[error(transparent)]
        Call(CallError),
    }
}

/// Ten books for every search, or as many as its caller wants.
struct Books;

#[async_trait]
impl after::Library for Books {
    async fn search(
        &self,
        text: String,
        most: Option<usize>,
    ) -> Result<Vec<String>, after::LibraryError> {
        Ok(vec![text; most.unwrap_or(10)])
    }

    async fn lend(&self, loan: after::Loan) -> Result<after::Receipt, after::LibraryError> {
        Ok(after::Receipt { book: loan.book })
    }
}

fn library_error<T: Debug>(answer: Result<T, before::LibraryError>) -> CallError {
    let before::LibraryError::Call(error) = answer.unwrap_err();
    error
}

/// What holds with a caller of the version before, however its calls go.
async fn a_renamed_argument_is_refused(library: &before::LibraryClient) {
    let found = library.search("tea".into(), None, false).await.unwrap();
    assert_eq!(found.len(), 10, "what has its default is as good as not sent");
    for (limit, newest, named) in [(Some(1), false, "`limit`"), (None, true, "`newest`")] {
        let error = library_error(library.search("tea".into(), limit, newest).await);
        assert_eq!((error.kind(), error.call()), (CallErrorKind::BadArguments, "library.search"));
        for part in [named, "the method takes `text`, `most`"] {
            assert!(error.message().contains(part), "{error}");
        }
    }
}

#[test]
fn a_renamed_argument_is_an_error_and_not_ignored() {
    for mode in [Mode::Encoded, Mode::OverAConnection] {
        monolift::testing::run(async move {
            let library: Arc<dyn after::Library> = Arc::new(Books);
            let system = System::new(mode).fake::<dyn after::Library>(library).start().await;
            a_renamed_argument_is_refused(&system.client()).await;
            system.stop().await;
        });
    }
}

async fn serve_library() -> (Server, Address) {
    let library: Arc<dyn after::Library> = Arc::new(Books);
    serve_any(&unix(), library, Limits::default(), None).await
}

/// A process without the feature of the hello: it knows nothing of what the other side knows.
fn an_older_release() -> Peer {
    Peer { features: Default::default(), ..us() }
}

#[tokio::test]
async fn the_callee_refuses_by_itself_what_it_does_not_know() {
    let (_server, address) = serve_library().await;
    let log = Log::start();
    let library = client_of::<dyn before::Library>(address.into(), an_older_release(), None);
    let error = library_error(library.search("tea".into(), Some(1), false).await);
    assert_eq!(error.kind(), CallErrorKind::BadArguments);
    assert!(error.message().contains("`limit`") || error.message().contains("`newest`"), "{error}");
    // That versions differ is still known by their fingerprints.
    assert!(log.line("another version").await.contains("INFO"));
}

#[tokio::test]
async fn a_caller_is_warned_once_of_what_does_not_fit() {
    let (first, second) = (serve_library().await, serve_library().await);
    let log = Log::start();
    let replicas = Connect::Addresses(vec![first.1.clone(), second.1.clone()]);
    let library = client_of::<dyn before::Library>(replicas, us(), None);
    a_renamed_argument_is_refused(&library).await;
    // Over both connections.
    soon(async {
        for _ in 0..100 {
            library.search("tea".into(), None, false).await.unwrap();
        }
    })
    .await;
    let line = log.line("does not fit").await;
    for part in [
        "WARN",
        "process=\"worker\"",
        "interface=library.Library",
        "the callee does not know `limit` of `search`",
        "the callee does not know `newest` of `search`",
        "the callee requires `loan.reader` of `lend`, which the caller lacks",
        "the caller requires `answer.fee` of `lend`, which the callee lacks",
    ] {
        assert!(line.contains(part), "no {part} in {line}");
    }
    // The call itself says so, too, as it did.
    let error = library_error(library.lend(before::Loan { book: 7 }).await);
    assert_eq!(error.kind(), CallErrorKind::BadArguments);
    assert!(error.message().contains("reader"), "{error}");
    assert_eq!(log.lines("version").len(), 1);
}

#[tokio::test]
async fn equal_versions_are_not_told_of() {
    let (_server, address) = serve_library().await;
    let log = Log::start();
    let library = client_of::<dyn after::Library>(address.into(), us(), None);
    let found = library.search("tea".into(), Some(1)).await;
    assert_eq!(found.unwrap(), ["tea"]);
    assert_eq!(log.lines("version"), [""; 0]);
}

#[tokio::test]
async fn outlines_are_said_to_those_who_know_the_feature() {
    let (_server, address) = serve_library().await;
    for (us, has_outline) in [(us(), true), (an_older_release(), false)] {
        let mut socket = connect(&address, None, "worker").await.unwrap();
        let (peer, served, _) = greet(&mut socket, &us, Duration::from_secs(5)).await.unwrap();
        assert!(peer.features.contains(OUTLINES));
        let outline = served.0[0].outline.as_ref();
        assert_eq!(outline.map(|outline| outline.read().is_some()), has_outline.then_some(true));
    }
}

/// Over plain TCP a peer has proved nothing, and nothing is kept of it, whatever is between the two.
#[tokio::test]
async fn numbers_of_statements_are_understood_where_something_is_kept_of_a_peer() {
    for (at, is_kept) in [(unix(), true), (Address::Tcp("127.0.0.1:0".into()), false)] {
        let library: Arc<dyn after::Library> = Arc::new(Books);
        let (_server, address) = serve_any(&at, library, Limits::default(), None).await;
        let mut socket = connect(&address, None, "worker").await.unwrap();
        let (peer, ..) = greet(&mut socket, &us(), Duration::from_secs(5)).await.unwrap();
        assert_eq!(us().shares(&peer, NUMBERED), is_kept, "{at}");
    }
}

#[test]
fn a_hello_is_bounded_and_holds_a_hundred_modules() {
    let descriptor = <dyn crate::support::Worker>::descriptor();
    let hello = |modules: usize| {
        let said = Interfaces::with_outlines(std::iter::repeat_n(descriptor, modules));
        let mut bytes = Vec::new();
        codec::encode(&said, Bounds::default(), &mut bytes).unwrap();
        (said.0, bytes.len())
    };
    let whole = hello(1).0.remove(0).outline.unwrap().read().unwrap();
    let (hundred, bytes) = hello(100);
    assert!(bytes < 256 * 1024, "{bytes}");
    let read = |said: &monolift_seam::wire::Served| said.outline.as_ref()?.read();
    assert_eq!(hundred.iter().map(read).collect::<Vec<_>>(), vec![Some(whole.clone()); 100]);
    let (many, bytes) = hello(2_000);
    assert!(bytes < 1024 * 1024, "{bytes}");
    assert_eq!((read(&many[0]), read(&many[1_999])), (Some(whole), None));
}
