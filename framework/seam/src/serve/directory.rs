//! What a process serves, and to whom.

use super::{Handler, Web, habit::Habit};
use crate::link::undeclared;
use crate::{
    call::{
        CallError, CallErrorKind, Context,
        record::{Entry, Recorder, Recording, RecordingEnd},
    },
    interface::{InterfaceDescriptor, Method},
    wire::{Interfaces, OUTLINES, Peer, Statements},
};
use std::{
    fmt,
    sync::{Arc, OnceLock},
};

/// Decides whether a process may call a method: `(caller, interface, method)`.
pub type CallerCheck = Box<dyn Fn(&str, &InterfaceDescriptor, &Method) -> bool + Send + Sync>;

/// Decides whether a process may ask for the routes of modules' own.
pub type WebCheck = Box<dyn Fn(&str) -> bool + Send + Sync>;

/// Every method that a process serves, by its number.
pub struct Directory {
    handlers: Vec<Arc<dyn Handler>>,
    methods: Vec<ServedMethod>,
    said: OnceLock<Said>,
    may_call: CallerCheck,
    web: Option<(Arc<dyn Web>, WebCheck)>,
    recorder: Option<Arc<dyn Recorder>>,
    statements: Option<Arc<Statements>>,
}

/// What a process serves, as a hello says it. It is made for the first one, since that takes the schemas of all methods, and
/// many processes are never called.
struct Said {
    /// To a peer that compares outlines.
    outlined: Arc<Interfaces>,
    /// To one that does not.
    plain: Arc<Interfaces>,
}

impl Said {
    fn of(handlers: &[Arc<dyn Handler>]) -> Self {
        let descriptors = handlers.iter().map(|handler| handler.descriptor());
        let outlined = Interfaces::with_outlines(descriptors);
        let plain = Arc::new(outlined.without_outlines());
        Self { outlined: Arc::new(outlined), plain }
    }
}

/// A method of a directory.
pub(super) struct ServedMethod {
    pub(super) handler: Arc<dyn Handler>,
    /// Its number in its interface.
    pub(super) number: usize,
    pub(super) habit: Arc<Habit>,
}

impl fmt::Debug for Directory {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let names = self.handlers.iter().map(|handler| handler.descriptor().name);
        f.debug_list().entries(names).finish()
    }
}

impl Directory {
    /// Serves `handlers` to whom `may_call` lets in.
    pub fn new(handlers: Vec<Arc<dyn Handler>>, may_call: CallerCheck) -> Self {
        let methods_of = |handler: &Arc<dyn Handler>| {
            let handler = Arc::clone(handler);
            (0..handler.descriptor().methods.len()).map(move |number| ServedMethod {
                handler: Arc::clone(&handler),
                number,
                habit: Arc::default(),
            })
        };
        let methods = handlers.iter().flat_map(methods_of).collect();
        Self {
            handlers,
            methods,
            said: OnceLock::new(),
            may_call,
            web: None,
            recorder: None,
            statements: None,
        }
    }

    /// Serves `web` too, to whom `may_ask` lets in.
    #[must_use]
    pub fn with_web(mut self, web: Arc<dyn Web>, may_ask: WebCheck) -> Self {
        self.web = Some((web, may_ask));
        self
    }

    /// Has calls recorded that are part of a recorded request.
    #[must_use]
    pub fn recorded_by(mut self, recorder: Option<Arc<dyn Recorder>>) -> Self {
        self.recorder = recorder;
        self
    }

    /// Has callers prove on whose behalf they call.
    #[must_use]
    pub fn believing(mut self, statements: Option<Arc<Statements>>) -> Self {
        self.statements = statements;
        self
    }

    /// What is believed of callers' users.
    pub(super) fn statements(&self) -> Option<Arc<Statements>> {
        self.statements.clone()
    }

    /// The context of a call of `caller`, on behalf of whom that is proven to be.
    pub(super) fn believe(&self, context: Context, caller: &str) -> Context {
        match &self.statements {
            Some(statements) => statements.believe(context, caller),
            None => context,
        }
    }

    /// Records a call of `caller` in `context`, if the caller records its request.
    pub(super) fn record(
        &self,
        context: Context,
        caller: &Arc<str>,
    ) -> (Context, Option<RecordingEnd>) {
        match &self.recorder {
            Some(recorder) if context.is_recorded() => {
                Recording::begin(recorder, context, || Entry::Call { from: Arc::clone(caller) })
            }
            _ => (context, None),
        }
    }

    /// What `caller` is served in HTTP, if anything.
    pub(super) fn web_for(&self, caller: &str) -> Option<&Arc<dyn Web>> {
        self.web.as_ref().filter(|(_, may_ask)| may_ask(caller)).map(|(web, _)| web)
    }

    /// As the hello of `us` says it to `peer`. One that goes on in HTTP makes no calls.
    pub(super) fn interfaces(&self, us: &Peer, peer: &Peer) -> Arc<Interfaces> {
        let compares = us.shares(peer, OUTLINES) && !peer.http;
        let said = self.said.get_or_init(|| Said::of(&self.handlers));
        Arc::clone(if compares { &said.outlined } else { &said.plain })
    }

    /// For each method's number, whether `caller` may call it.
    pub(super) fn rights_of(&self, caller: &str) -> Vec<bool> {
        let may_call = |method: &ServedMethod| {
            let interface = method.handler.descriptor();
            (self.may_call)(caller, interface, &interface.methods[method.number])
        };
        self.methods.iter().map(may_call).collect()
    }

    /// The method of this number, for a caller with these rights.
    pub(super) fn find(
        &self,
        number: u32,
        rights: &[bool],
        caller: &str,
    ) -> Result<&ServedMethod, CallError> {
        let number = number as usize;
        let Some(method) = self.methods.get(number) else {
            return Err(CallError::new(CallErrorKind::UnknownMethod, "no such method here"));
        };
        if !rights[number] {
            let callee = &method.handler.descriptor().methods[method.number].callee;
            return Err(undeclared(caller, callee.module).during(callee.to_string()));
        }
        Ok(method)
    }
}
