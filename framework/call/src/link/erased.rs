//! Links with their interface's type taken away, for what treats all interfaces alike.

use super::{Handler, Interface, Link, Links, limit::Admitted};
use crate::{
    call::{CallSettings, Context, access},
    carry::{Answer, Bounds, Carrier, Encoded, Incoming, refuse},
    interface::InterfaceDescriptor,
};
use futures_util::future::BoxFuture;
use std::{any::Any, fmt, future::ready, sync::Arc};

/// A link of any interface.
pub trait AnyLink: Handler + fmt::Debug {
    /// Points it at a way to another process, if it points nowhere yet.
    fn bind_carrier(&self, carrier: Arc<dyn Carrier>) -> bool;

    /// Points it at a way back into this process, if it points nowhere yet.
    fn bind_loopback(&self, served: &Arc<Links>, bounds: Bounds) -> bool;

    /// Whether its module runs in this process.
    fn is_local(&self) -> bool;

    /// The `Link<I>` itself.
    fn as_any(&self) -> &dyn Any;
}

impl<I: Interface + ?Sized> AnyLink for Link<I> {
    fn bind_carrier(&self, carrier: Arc<dyn Carrier>) -> bool {
        Link::bind_carrier(self, carrier)
    }

    fn bind_loopback(&self, served: &Arc<Links>, bounds: Bounds) -> bool {
        Link::bind_loopback(self, served, bounds)
    }

    fn is_local(&self) -> bool {
        self.local().is_some()
    }

    fn as_any(&self) -> &dyn Any {
        self
    }
}

impl<I: Interface + ?Sized> Handler for Link<I> {
    fn descriptor(&self) -> &'static InterfaceDescriptor {
        I::descriptor()
    }

    fn handle(&self, method: usize, incoming: Incoming) -> BoxFuture<'static, Answer> {
        let callee = &I::descriptor().methods[method].callee;
        // Before the arguments are read, so that a stranger costs nothing.
        if callee.rule.is_some()
            && let Some(Err(refused)) = Context::look(|context| {
                access::admit_arrival(callee, &self.shared.settings, Some(context))
            })
        {
            return Box::pin(ready(refuse(&refused)));
        }
        let Some(limit) = self.shared.limits.get(method) else {
            return I::invoke::<Encoded>(I::client(self.clone()), method, incoming);
        };
        // Refused here, a call was not begun: its caller may make it elsewhere.
        let admitted = match limit.admit() {
            Ok(waiting) => Admitted::new(waiting),
            Err(full) => {
                let call = callee.to_string();
                return Box::pin(ready(refuse(&full.during(call))));
            }
        };
        let link = Link { admitted, ..self.clone() };
        I::invoke::<Encoded>(I::client(link), method, incoming)
    }
}

/// How to make a link of an interface whose type is not known here.
#[derive(Clone, Copy)]
pub struct ErasedInterface {
    link: fn(Arc<CallSettings>) -> Arc<dyn AnyLink>,
}

impl ErasedInterface {
    /// That of `I`.
    pub const fn of<I: Interface + ?Sized>() -> Self {
        Self { link: |settings| Arc::new(Link::<I>::unbound(settings)) }
    }

    /// A new link that points nowhere yet.
    pub fn link(&self, settings: Arc<CallSettings>) -> Arc<dyn AnyLink> {
        (self.link)(settings)
    }
}

impl fmt::Debug for ErasedInterface {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("ErasedInterface")
    }
}
