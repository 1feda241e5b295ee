//! Lines that a module logs itself, in both shapes: each names the call and the trace, wherever the module runs.

use crate::ecs;
use monolift::{
    CallError, Context, InterfaceError,
    app::{App, Linked, Program},
    async_trait,
    observe::log::{LogControl, LogLayer, Service, Shape},
    testing::{Mode, System},
};
use schemars::JsonSchema;
use serde::{Deserialize, Serialize};
use serde_json::Value;
use std::{
    collections::BTreeMap,
    io,
    sync::{Arc, Mutex},
};
use tracing_subscriber::{Registry, layer::SubscriberExt};

#[derive(Debug, thiserror::Error, Serialize, Deserialize, JsonSchema, InterfaceError)]
pub enum DiaryError {
    #[error(transparent)]
    Call(CallError),
}

/// A module that logs what it is told.
#[monolift::interface(module = "diary")]
pub trait Diary {
    #[idempotent]
    async fn write(&self, text: String) -> Result<(), DiaryError>;
    /// Fails with an error that only the log may show.
    async fn lose(&self) -> Result<(), DiaryError>;
}

/// A module that has another one write, in a task of its own.
#[monolift::interface(module = "author")]
pub trait Author {
    async fn tell(&self, text: String) -> Result<(), DiaryError>;
}

struct Paper;

#[async_trait]
impl Diary for Paper {
    async fn write(&self, text: String) -> Result<(), DiaryError> {
        tokio::task::yield_now().await;
        tracing::info!(target: "diary", text, "a page");
        Ok(())
    }

    async fn lose(&self) -> Result<(), DiaryError> {
        Err(io::Error::other("the ink is dry"))?
    }
}

struct Writer(DiaryClient);

#[async_trait]
impl Author for Writer {
    async fn tell(&self, text: String) -> Result<(), DiaryError> {
        let thought = text.clone();
        monolift::spawn(async move { tracing::info!(target: "author", thought, "an idea") })
            .await
            .map_err(io::Error::other)?;
        self.0.write(text).await
    }
}

#[derive(Clone, Default)]
pub(crate) struct Page(Arc<Mutex<Vec<u8>>>);

impl io::Write for Page {
    fn write(&mut self, bytes: &[u8]) -> io::Result<usize> {
        self.0.lock().unwrap().extend_from_slice(bytes);
        Ok(bytes.len())
    }

    fn flush(&mut self) -> io::Result<()> {
        Ok(())
    }
}

impl Page {
    fn layer(&self, shape: Shape) -> LogLayer<impl Fn() -> Page + use<>> {
        let page = self.clone();
        LogLayer::new(shape, Service::new("notes", "back")).with_writer(move || page.clone())
    }

    pub(crate) fn text(&self) -> String {
        String::from_utf8(self.0.lock().unwrap().clone()).unwrap()
    }

    /// The line whose message is this one.
    fn fields(&self, message: &str) -> BTreeMap<String, Value> {
        let text = self.text();
        let lines = text
            .lines()
            .map(|line| ecs::check(line).unwrap_or_else(|wrong| panic!("{wrong}: {line}")));
        let mut found =
            lines.filter(|fields| fields["message"].as_str().unwrap().starts_with(message));
        found.next().unwrap_or_else(|| panic!("no `{message}` in {text}"))
    }
}

/// Both shapes of what is logged on this thread. A host puts them beside its own layers like this.
pub(crate) fn both() -> (Page, Page, tracing::subscriber::DefaultGuard) {
    let (text, ecs) = (Page::default(), Page::default());
    let subscriber = Registry::default()
        .with(tracing_subscriber::EnvFilter::new("info"))
        .with(text.layer(Shape::Text { colours: false }))
        .with(ecs.layer(Shape::Ecs));
    let guard = tracing::subscriber::set_default(subscriber);
    (text, ecs, guard)
}

#[tokio::test]
async fn a_modules_own_line_names_the_call_and_its_trace_in_every_mode() {
    for mode in [Mode::InProcess, Mode::Encoded, Mode::OverAConnection] {
        let system = System::new(mode)
            .fake::<dyn Diary>(Arc::new(Paper))
            .fake_with::<dyn Author>(|app| Arc::new(Writer(app.client())))
            .start()
            .await;
        let (text, ecs, _guard) = both();
        let context =
            Context::until(tokio::time::Instant::now() + std::time::Duration::from_secs(5));
        let trace = context.trace();
        let author: AuthorClient = system.client();
        context.scope(author.tell("once".into())).await.unwrap();
        let id = format!("{:032x}", trace.trace_id);
        for (message, module, method) in
            [("a page", "diary", "write"), ("an idea", "author", "tell")]
        {
            let line = ecs.fields(message);
            assert_eq!(line["trace.id"], *id, "{mode:?}");
            assert_eq!(line["labels.module"], module);
            assert_eq!(line["labels.method"], method);
            let text = text.text();
            let line = text.lines().find(|line| line.contains(message)).unwrap();
            assert!(line.contains(&format!(" INFO {module}.{method}: {message} ")), "{line}");
            assert!(line.ends_with(&format!(" trace={}", &id[..8])), "{line}");
        }
        // The cause of an internal error is in the log, with the call and under the number that callers get.
        let diary: DiaryClient = system.client();
        let DiaryError::Call(error) = diary.lose().await.unwrap_err();
        let line = ecs.fields("internal error: the ink is dry");
        assert_eq!(line["error.message"], "internal error: the ink is dry");
        assert_eq!(line["error.id"], error.reference().unwrap().to_string());
        assert_eq!(
            line["log.origin.file.name"].as_str().unwrap().rsplit('/').next(),
            Some("log_lines.rs")
        );
        assert_eq!(line["labels.method"], "lose");
        system.stop().await;
    }
}

/// A host that hands over the levels of its log reaches them in the running app.
#[tokio::test]
async fn a_host_hands_over_its_levels() {
    let linked = Linked {
        manifest: "app = \"notes\"\nhost = \"desk\"\n[modules]\ndiary = \"desk\"\n",
        file: "the test's manifest",
        root: "/nonexistent",
        kind: Program::Host,
        modules: &[],
        calls: &[],
        host_calls: &["diary"],
        circles: &[],
        local_calls: &[],
    };
    let app = || App::new(linked).unwrap().provide::<dyn Diary>(Arc::new(Paper));
    let without = app().start().await.unwrap();
    assert!(without.log().is_none());
    without.stop().await;

    let (filter, control) = LogControl::new("warn").unwrap();
    let page = Page::default();
    let subscriber = Registry::default().with(filter).with(page.layer(Shape::Ecs));
    let _guard = tracing::subscriber::set_default(subscriber);
    let running = app().log(control).start().await.unwrap();
    let diary: DiaryClient = running.client();
    diary.write("before".into()).await.unwrap();
    running.log().unwrap().set("diary=info").unwrap();
    diary.write("after".into()).await.unwrap();
    assert_eq!(page.fields("a page")["labels.text"], "after");
    assert_eq!(page.text().matches("a page").count(), 1);
    running.stop().await;
}
