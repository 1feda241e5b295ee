//! Two versions of one interface: a process that was built before, or after, the other.
//!
//! Both are registered in this program, as two interfaces of one name; each side uses its own.

use monolift::{
    CallError, CallErrorKind, async_trait,
    testing::{Mode, System},
};
use std::{fmt::Debug, sync::Arc};

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
            #[serde(default)] language: Option<String>,
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
    use monolift_call::link::Interface;
    let (one, two) = (<dyn v1::Catalog>::descriptor(), <dyn v2::Catalog>::descriptor());
    assert_ne!(one.fingerprint(), two.fingerprint());
    assert_eq!(one.fingerprint(), one.fingerprint());
}
