//! The seam: what a client holds. It points at a module in this process or at a way to another.
//!
//! A process has one link for each interface, shared by all who call it. Which way it points is
//! fixed once, when the process starts; module code cannot tell.

mod checked;
mod erased;
mod fake;
mod handler;
mod limit;
mod local;
mod loopback;
mod registry;
mod undeclared;

pub use erased::{AnyLink, ErasedInterface};
pub use fake::Fake;
pub use handler::{Answering, Handler, answering};
pub use limit::Limited;
pub use loopback::Loopback;
pub use registry::{InterfaceEntry, Links, interfaces};
pub use undeclared::{Undeclared, undeclared};

use self::checked::Checked;

use crate::{
    call::{
        CallError, CallErrorKind, CallSettings, Context, Guarded, InterfaceError, Side,
        access::Acting,
        guard,
        stages::{Probe, Stage},
    },
    carry::{Answer, Bounds, Carrier, Outgoing},
    interface::{Carried, InterfaceDescriptor, Protocol},
};
use futures_util::future::BoxFuture;
use serde::Serialize;
use std::{
    future::Future,
    marker::PhantomData,
    pin::Pin,
    sync::{Arc, OnceLock},
    task::{Poll, ready},
};

/// Implemented by `#[monolift::interface]` for the trait object `dyn Trait`, which stands for the
/// interface wherever a type is needed: `app.provide::<dyn Stock>(…)`.
#[diagnostic::on_unimplemented(
    message = "`{Self}` is not an interface of Monolift",
    note = "put `#[monolift::interface]` on the trait"
)]
pub trait Interface: Send + Sync + 'static {
    /// The client beside the trait, such as `StockClient`.
    type Client: Client<Interface = Self>;

    /// The module that owns it, such as `stock`.
    const MODULE: &'static str;

    /// What it offers.
    fn descriptor() -> &'static InterfaceDescriptor;

    /// The client that calls through `link`.
    fn client(link: Link<Self>) -> Self::Client;

    /// Reads the arguments of method number `method` from `input`, calls it through `client`, and
    /// writes its answer: the one place where a call that arrives as data becomes a call again.
    fn invoke<P: Protocol>(
        client: Self::Client,
        method: usize,
        input: P::Input,
    ) -> BoxFuture<'static, P::Output>;
}

/// The client beside a trait, such as `StockClient`.
pub trait Client: Clone + Send + Sync + 'static {
    /// The interface that it calls, such as `dyn Stock`.
    type Interface: Interface<Client = Self> + ?Sized;
}

/// Where the calls of an interface go.
pub struct Link<I: ?Sized> {
    shared: Arc<Shared<I>>,
    /// The call of a method with a limit that was admitted where it arrived.
    admitted: limit::Admitted,
}

struct Shared<I: ?Sized> {
    target: OnceLock<Destination<I>>,
    settings: Arc<CallSettings>,
    checked: Checked,
    limits: limit::Limits,
    /// The module's own link, where calls within this process are encoded.
    looped: OnceLock<Link<I>>,
}

enum Destination<I: ?Sized> {
    Local(Arc<I>),
    Carried(Arc<dyn Carrier>),
}

impl<I: ?Sized> Clone for Link<I> {
    fn clone(&self) -> Self {
        Self { shared: Arc::clone(&self.shared), admitted: self.admitted.clone() }
    }
}

impl<I: Interface + ?Sized> std::fmt::Debug for Link<I> {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        let to = match self.shared.target.get() {
            None => "nothing yet",
            Some(Destination::Local(_)) => "a module in this process",
            Some(Destination::Carried(_)) => "another process",
        };
        write!(f, "Link({} to {to})", I::descriptor().name)
    }
}

impl<I: Interface + ?Sized> Link<I> {
    /// A link that points nowhere yet.
    pub fn unbound(settings: Arc<CallSettings>) -> Self {
        let limits = limit::Limits::of(I::descriptor());
        let checked = Checked::default();
        let (target, looped) = (OnceLock::new(), OnceLock::new());
        let shared = Shared { target, settings, checked, limits, looped };
        Self { shared: Arc::new(shared), admitted: limit::Admitted::default() }
    }

    /// A link to `module`, for a client outside of any process: in a test, or by hand.
    pub fn to(module: Arc<I>) -> Self {
        let link = Self::unbound(Arc::default());
        link.bind(module);
        link
    }

    /// Points it at a module in this process, if it points nowhere yet.
    pub fn bind(&self, module: Arc<I>) -> bool {
        self.shared.target.set(Destination::Local(module)).is_ok()
    }

    /// Points it at a way to another process, if it points nowhere yet.
    pub fn bind_carrier(&self, carrier: Arc<dyn Carrier>) -> bool {
        self.shared.target.set(Destination::Carried(carrier)).is_ok()
    }

    /// Points it at a way back into this process, to the module that `served` is bound to, if it points nowhere yet.
    pub fn bind_loopback(&self, served: &Arc<Links>, bounds: Bounds) -> bool {
        let is_first = self.shared.looped.set(served.link::<I>()).is_ok();
        is_first && self.bind_carrier(Arc::new(Loopback::to(Arc::clone(served), bounds)))
    }

    /// A link to the same place whose calls are made for another caller, where no call is around them: for tests. It
    /// points where this one points by now.
    #[doc(hidden)]
    #[must_use]
    pub fn acting(&self, acting: Acting) -> Self {
        let settings = Arc::new(CallSettings { acting, ..(*self.shared.settings).clone() });
        let target = match self.shared.target.get() {
            None => OnceLock::new(),
            Some(Destination::Local(module)) => Destination::Local(Arc::clone(module)).into(),
            Some(Destination::Carried(carrier)) => Destination::Carried(Arc::clone(carrier)).into(),
        };
        let looped = self.shared.looped.clone();
        let (checked, limits) = (Checked::default(), self.shared.limits.clone());
        let shared = Shared { target, settings, checked, limits, looped };
        Self { shared: Arc::new(shared), admitted: limit::Admitted::default() }
    }

    /// The module, when it is in this process.
    #[inline]
    pub fn local(&self) -> Option<&Arc<I>> {
        match self.shared.target.get() {
            Some(Destination::Local(module)) => Some(module),
            _ => None,
        }
    }

    /// Awaits a call in this process: `call` is the module's own method, its arguments moved in.
    #[inline]
    pub fn call<F, T, E>(&self, method: usize, call: F) -> Guarded<'_, F>
    where
        F: Future<Output = Result<T, E>> + Unpin + Send,
        T: Send,
        E: InterfaceError,
    {
        let callee = &I::descriptor().methods[method].callee;
        guard(callee, &self.shared.settings, Side::Module, call)
    }

    /// As [`Link::call`], of a method that has a limit: the call waits for a place.
    pub fn call_limited<'a, F, T, E>(
        &'a self,
        method: usize,
        call: F,
    ) -> Guarded<'a, Limited<'a, F>>
    where
        F: Future<Output = Result<T, E>> + Unpin + Send,
        T: Send,
        E: InterfaceError,
    {
        self.call(method, Limited::new(self.shared.limits.get(method), self.admitted.clone(), call))
    }

    /// Sends a call to where the module is; `arguments` has a field for each.
    pub fn send<'a, A, T, E>(
        &'a self,
        method: usize,
        arguments: &'a A,
    ) -> Guarded<'a, Sending<'a, I, A, T, E>>
    where
        A: Serialize + Sync,
        T: Carried,
        E: InterfaceError,
    {
        let callee = &I::descriptor().methods[method].callee;
        let sending =
            Sending { link: self, method, arguments, way: None, probe: None, answer: PhantomData };
        guard(callee, &self.shared.settings, Side::Caller, sending)
    }
}

/// A call on its way to another process and back.
#[must_use = "a call does nothing unless it is awaited"]
pub struct Sending<'a, I: ?Sized, A, T, E> {
    link: &'a Link<I>,
    method: usize,
    arguments: &'a A,
    way: Option<Way<'a>>,
    probe: Option<Probe>,
    answer: PhantomData<fn() -> Result<T, E>>,
}

type Way<'a> = (Bounds, BoxFuture<'a, Result<Answer, CallError>>);

impl<'a, I, A, T, E> Sending<'a, I, A, T, E>
where
    I: Interface + ?Sized,
    A: Serialize + Sync,
{
    fn begin(&self, timed: bool) -> Result<Way<'a>, CallError> {
        let descriptor = I::descriptor();
        let Some(Destination::Carried(carrier)) = self.link.shared.target.get() else {
            return Err(not_running(descriptor));
        };
        let context = Context::current().expect("the guard around it has set one").outgoing();
        if !context.is_carried() {
            return Err(CallError::new(
                CallErrorKind::TooLarge,
                "the principal and the idempotency key are longer than a call may carry",
            ));
        }
        let (interface, method, arguments) = (descriptor, self.method, self.arguments);
        let call = Outgoing { interface, method, context, arguments, timed };
        if self.link.shared.settings.checked {
            self.link.shared.checked.arguments(&call, carrier.bounds())?;
        }
        Ok((carrier.bounds(), carrier.carry(call)))
    }
}

impl<I, A, T, E> Future for Sending<'_, I, A, T, E>
where
    I: Interface + ?Sized,
    A: Serialize + Sync,
    T: Carried,
    E: InterfaceError,
{
    type Output = Result<T, E>;

    fn poll(self: Pin<&mut Self>, cx: &mut std::task::Context<'_>) -> Poll<Self::Output> {
        let this = self.get_mut();
        if this.way.is_none() {
            let probe = *this.probe.insert(Probe::begin());
            this.way = Some(this.begin(probe.is_timed())?);
        }
        let (Some((bounds, way)), Some(probe)) = (&mut this.way, this.probe) else {
            return Poll::Pending;
        };
        let answer = ready!(way.as_mut().poll(cx))?;
        let shared = &this.link.shared;
        if shared.settings.checked {
            shared.checked.answer(I::descriptor(), this.method, &answer, *bounds)?;
        }
        let decoding = Probe::of(probe.is_timed());
        let result = answer.read(*bounds);
        decoding.end(Stage::Decode);
        probe.end(Stage::Whole);
        Poll::Ready(result)
    }
}

fn not_running(interface: &InterfaceDescriptor) -> CallError {
    CallError::new(
        CallErrorKind::NotRunning,
        format!("the module `{}` has not started in this process", interface.module),
    )
}
