//! What the macros make of unusual code.

use monolift::{
    CallError, InterfaceError, async_trait,
    testing::{Mode, System, every_mode},
};
use monolift_call::link::Interface;
use schemars::JsonSchema;
use serde::{Deserialize, Serialize};
use std::sync::Arc;

#[derive(Debug, thiserror::Error, Serialize, Deserialize, JsonSchema, InterfaceError)]
pub enum OddError {
    #[error(transparent)]
    Call(CallError),
}

/// An alias serves as a `Result`.
type Result<T> = std::result::Result<T, OddError>;

/// A type that is called as one of the expansion's own.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize, JsonSchema)]
pub struct Arguments(pub u8);

/// "Quotes" in docs, and \ backslashes.
#[monolift::interface(module = "odd")]
pub(crate) trait Odd: std::fmt::Debug {
    /// Arguments that are called as the expansion's own names.
    #[allow(clippy::too_many_arguments)]
    async fn names(
        &self,
        module: u8,
        arguments: Arguments,
        client: u8,
        input: u8,
        method: u8,
        link: &Arguments,
        p: &str,
    ) -> Result<String>;

    /// Names that are words of the language.
    #[http(GET, "/odd/{type}")]
    #[deadline("2m")]
    async fn r#move(&self, r#type: u32, #[serde(default)] r#in: Option<u32>) -> Result<u32>;

    async fn next(&self, mut_: u8) -> Result<u8>;

    async fn nothing(&self) -> Result<()>;
}

#[derive(Debug)]
struct Module;

#[async_trait]
impl Odd for Module {
    async fn names(
        &self,
        module: u8,
        arguments: Arguments,
        client: u8,
        input: u8,
        method: u8,
        link: &Arguments,
        p: &str,
    ) -> Result<String> {
        Ok(format!("{module} {arguments:?} {client} {input} {method} {link:?} {p}"))
    }

    async fn r#move(&self, r#type: u32, r#in: Option<u32>) -> Result<u32> {
        Ok(r#type + r#in.unwrap_or_default())
    }

    async fn next(&self, mut_: u8) -> Result<u8> {
        Ok(mut_ + 1)
    }

    async fn nothing(&self) -> Result<()> {
        Ok(())
    }
}

#[every_mode]
async fn unusual_names_do_not_meet_the_expansions_own(mode: Mode) {
    let system = System::new(mode).fake::<dyn Odd>(Arc::new(Module)).start().await;
    let odd: OddClient = system.client();
    let told = odd.names(1, Arguments(2), 3, 4, 5, &Arguments(6), "7").await.unwrap();
    assert_eq!(told, "1 Arguments(2) 3 4 5 Arguments(6) 7");
    assert_eq!(odd.r#move(1, Some(2)).await.unwrap(), 3);
    assert_eq!(odd.r#move(1, None).await.unwrap(), 1);
    assert_eq!(odd.next(1).await.unwrap(), 2);
    odd.nothing().await.unwrap();
    system.stop().await;
}

#[tokio::test]
async fn a_client_is_an_implementation_itself() {
    fn take(odd: impl Odd) -> OddClient {
        OddClient::new(odd)
    }
    let odd = take(OddClient::new(Module));
    assert_eq!(odd.next(1).await.unwrap(), 2);
}

#[test]
fn the_descriptor_says_what_was_written() {
    let odd = <dyn Odd>::descriptor();
    assert_eq!((odd.module, odd.name), ("odd", "Odd"));
    assert_eq!(odd.docs, "\"Quotes\" in docs, and \\ backslashes.");
    let method = &odd.methods[1];
    assert_eq!(method.name(), "move");
    assert_eq!(method.callee.deadline, Some(std::time::Duration::from_secs(120)));
    let names: Vec<_> = method.arguments.iter().map(|argument| argument.name).collect();
    assert_eq!(names, ["type", "in"]);
    assert_eq!(method.route.unwrap().path, "/odd/{type}");
    assert!(!method.idempotent);
    let schema = method.schema();
    assert_eq!(schema["arguments"]["type"]["type"], "integer", "{schema}");
}
