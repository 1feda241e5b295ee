//! Two versions of one interface: a process that was built before, or after, the other.
//!
//! Both are registered in this program, as two interfaces of one name; each side uses its own.

use monolift::{
    CallErrorKind, async_trait,
    testing::{Mode, System},
};
use std::sync::Arc;

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

/// As it is: fields in another order, one more and one less; an argument more; a method more and one
/// less; a way to fail more.
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

    #[derive(Debug, Clone, PartialEq, Serialize, Deserialize, JsonSchema)]
    pub struct Options {
        pub copies: Option<u64>,
        pub pages: Option<u64>,
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

struct Old;

#[async_trait]
impl v1::Catalog for Old {
    async fn find(&self, id: u64, options: v1::Options) -> Result<v1::Book, v1::CatalogError> {
        assert_eq!(options, v1::Options { pages: Some(1), copies: Some(2) });
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
        assert_eq!(options, v2::Options { pages: Some(1), copies: Some(2) });
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

async fn an_older_caller(mode: Mode) {
    let system = System::new(mode).fake::<dyn v2::Catalog>(Arc::new(New)).start().await;
    let catalog: v1::CatalogClient = system.client();
    let options = v1::Options { pages: Some(1), copies: Some(2) };
    let book = catalog.find(1, options.clone()).await.unwrap();
    assert_eq!(book, v1::Book { id: 1, title: "New".into(), shelf: None });
    let error = catalog.find(3, options.clone()).await.unwrap_err();
    assert!(matches!(error, v1::CatalogError::Unknown(3)), "{error}");
    // A way to fail that it does not know is an error that says so.
    let v1::CatalogError::Call(error) = catalog.find(2, options).await.unwrap_err() else {
        panic!("no call error")
    };
    assert_eq!(error.kind(), CallErrorKind::BadAnswer);
    assert!(error.message().contains("Lent"), "{error}");
    let v1::CatalogError::Call(error) = catalog.retired().await.unwrap_err() else {
        panic!("no call error")
    };
    assert_eq!(error.kind(), CallErrorKind::UnknownMethod);
    assert_eq!(error.call(), "catalog.retired");
    system.stop().await;
}

async fn a_newer_caller(mode: Mode) {
    let system = System::new(mode).fake::<dyn v1::Catalog>(Arc::new(Old)).start().await;
    let catalog: v2::CatalogClient = system.client();
    let options = v2::Options { pages: Some(1), copies: Some(2) };
    let book = catalog.find(options.clone(), Some("en".into()), 1).await.unwrap();
    assert_eq!(book, v2::Book { id: 1, title: "Old".into(), authors: Vec::new() });
    let v2::CatalogError::Call(error) = catalog.count().await.unwrap_err() else {
        panic!("no call error")
    };
    assert_eq!(error.kind(), CallErrorKind::UnknownMethod);
    let error = catalog.find(options, None, 9).await.unwrap_err();
    assert!(matches!(error, v2::CatalogError::Unknown(9)), "{error}");
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
    use monolift::link::Interface;
    let (one, two) = (<dyn v1::Catalog>::descriptor(), <dyn v2::Catalog>::descriptor());
    assert_ne!(one.fingerprint(), two.fingerprint());
    assert_eq!(one.fingerprint(), one.fingerprint());
}
