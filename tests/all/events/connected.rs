//! The publisher's process, which its listener reaches over a connection.

use super::kills::Process;
use monolift::{
    CallError, Db, Events, InterfaceError, Shared, StartError, async_trait,
    link::{InterfaceEntry, Links},
    module::{Inject, Injector, Module, ModuleFacts},
    testing::{Mode, System},
};
use schemars::JsonSchema;
use serde::{Deserialize, Serialize};
use std::sync::{Arc, OnceLock};

#[derive(Debug, thiserror::Error, Serialize, Deserialize, JsonSchema, InterfaceError)]
pub enum SourceError {
    #[error(transparent)]
    Call(CallError),
}

/// What a listener declares that it depends on.
#[monolift::interface(module = "source")]
pub trait Source {
    async fn is_there(&self) -> Result<(), SourceError>;
}

/// Takes what publishes the module's events out of it, for the test.
#[derive(Clone, Default)]
struct Slot(Arc<OnceLock<Events>>);

/// The publisher. Its process answers listeners.
struct SourceModule;

impl Module for SourceModule {
    fn facts() -> &'static ModuleFacts {
        static FACTS: ModuleFacts = ModuleFacts {
            name: "source",
            package: "source",
            calls: &[],
            provides: &[InterfaceEntry::of::<dyn Source>()],
            needs: &[
                ("events", <Events as Inject>::need),
                ("slot", <Shared<Slot> as Inject>::need),
            ],
            migrations: &[],
            work: &[],
            on: &[],
            routes: false,
        };
        &FACTS
    }

    async fn inject(injector: Injector) -> Result<Self, StartError> {
        let slot: Shared<Slot> = injector.field("slot").await?;
        slot.0.set(injector.field("events").await?).expect("it starts once");
        Ok(Self)
    }

    fn publish(this: &Arc<Self>, links: &Links) {
        let source: Arc<dyn Source> = this.clone();
        links.link::<dyn Source>().bind(source);
    }
}

#[async_trait]
impl Source for SourceModule {
    async fn is_there(&self) -> Result<(), SourceError> {
        Ok(())
    }
}

/// Stands in the listener's process, which is connected to the publisher's. The test itself listens there.
struct HandsModule;

impl Module for HandsModule {
    fn facts() -> &'static ModuleFacts {
        static FACTS: ModuleFacts = ModuleFacts {
            name: "hands",
            package: "hands",
            calls: &["source"],
            provides: &[],
            needs: &[("db", <Db as Inject>::need)],
            migrations: &[],
            work: &[],
            on: &[("source", "moved"), ("source", "seen")],
            routes: false,
        };
        &FACTS
    }

    async fn inject(injector: Injector) -> Result<Self, StartError> {
        injector.field::<Db>("db").await?;
        Ok(Self)
    }

    fn publish(_: &Arc<Self>, _: &Links) {}
}

/// Starts the process of a publisher on its database, and one of its listener.
pub async fn process(publisher: Db) -> Process {
    let slot = Slot::default();
    let system = System::new(Mode::OverAConnection)
        .module::<SourceModule>()
        .pool("source", publisher.pool().clone())
        .share("source", slot.clone())
        .module::<HandsModule>()
        .start()
        .await;
    let events = slot.0.get().expect("the module has started").clone();
    let feed = system.process_of("hands").feeds().of("source").expect("it is connected");
    Process { events, feed, _running: Box::new(system) }
}
