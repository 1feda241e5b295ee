//! What a process of a Monolift application does, seen from outside: recorded requests, metrics, its log, and the admin
//! address.
//!
//! Applications use it through `monolift`, with the feature `observe`. Nothing here takes part in a call: a recorder is
//! told what has happened, and counters are read.

mod admin;
mod asked;
mod audit;
mod bounded;
#[allow(missing_docs, reason = "the names of plain data say it")]
mod events;
mod events_asked;
mod export;
mod gathered;
mod keep;
#[allow(missing_docs, reason = "the names of plain data say it")]
mod listed;
pub mod log;
mod log_asked;
mod map;
pub mod metrics;
pub mod operate;
#[allow(missing_docs, reason = "the names of plain data say it")]
mod state;
mod statements;
#[allow(missing_docs, reason = "the names of plain data say it")]
mod subject;
mod subject_asked;
#[allow(missing_docs, reason = "the names of plain data say it")]
mod trace;
mod traces;
#[allow(missing_docs, reason = "the names of plain data say it")]
mod work;
mod work_asked;

pub use admin::{AdminState, Description, Figures, Methods, router};
pub use asked::{CHANGES, Neighbour, Observed, ObservedClient, Parts, observed};
pub use events::{
    EventsAnswer, EventsChange, EventsOfModule, EventsQuestion, ListenerOfEvents, ModuleEvents,
    ParkedEvent,
};
pub use export::{Export, ExportFigures};
pub use keep::KeepSettings;
pub use listed::{ListAnswer, ListOf, Summary, TraceFilter};
pub use state::{CallFigures, Listening, OtherState, ProcessState, ReplicaView};
pub use statements::Statements;
pub use subject::{
    Erased, KeptEvent, KeptOfSubject, KeptOffer, KeptPiece, ModuleSubjects, SubjectAnswer,
    SubjectOfModule, SubjectQuestion,
};
pub use trace::{Trace, TraceCall, TraceEntry, TracePart, TraceStatement};
pub use traces::{Kept, KeptBecause, Traces};
pub use work::{
    KindOfWork, ModuleWork, PieceOfWork, WorkAnswer, WorkChange, WorkOfModule, WorkQuestion,
    WorkState,
};

pub(crate) use monolift_call::{call, carry, http, interface, link};
