//! Injection: what can be a field of a module, and what makes it.

use crate::{
    StartError,
    call::CallSettings,
    link::{Client, InterfaceEntry, Links},
};
use std::{
    any::{Any, TypeId},
    fmt,
    future::Future,
    sync::Arc,
};

/// What can be a field of a module.
///
/// The process looks at what every module needs before it makes the first one. So what is missing is
/// reported before a database is opened.
#[diagnostic::on_unimplemented(
    message = "`{Self}` cannot be a field of a module",
    label = "this cannot be injected",
    note = "a module's fields are clients of interfaces, `Db`, `Config<T>`, `State<T>`, `Shared<T>`, `Work`, `Tasks`, or a type of yours that implements `monolift::Inject`"
)]
pub trait Inject: Sized + Send {
    /// The module that this calls, when it is a client.
    const CALLS: Option<&'static str> = None;

    /// What must be there.
    fn need() -> Need {
        Need::Nothing
    }

    /// Makes it for the field and the module that `injector` stands for.
    fn inject(injector: &Injector) -> impl Future<Output = Result<Self, StartError>> + Send;
}

/// What a field needs to be there.
#[derive(Debug)]
#[non_exhaustive]
pub enum Need {
    /// Nothing that could be missing.
    Nothing,
    /// A provider of this interface.
    Interface(InterfaceEntry),
    /// Something that the crate of the field's type and the process know by its type.
    Other(Box<dyn Any + Send + Sync>),
}

impl Need {
    /// Something that the process knows by its type.
    pub fn other(what: impl Any + Send + Sync) -> Self {
        Self::Other(Box::new(what))
    }
}

/// What a process has for one of its modules. Each crate asks for what it knows, by type.
pub trait Provide: Send + Sync + 'static {
    /// What clients call through.
    fn links(&self) -> &Links;

    /// The value of this type.
    fn get(&self, kind: TypeId) -> Option<&(dyn Any + Send + Sync)>;
}

/// One module's view of the process, while it is made.
#[derive(Clone)]
pub struct Injector {
    module: &'static str,
    field: &'static str,
    process: Arc<dyn Provide>,
}

impl Injector {
    /// The view of `module`.
    pub fn new(module: &'static str, process: Arc<dyn Provide>) -> Self {
        Self { module, field: "", process }
    }

    /// Makes the value of one field.
    pub async fn field<T: Inject>(&self, name: &'static str) -> Result<T, StartError> {
        T::inject(&Self { field: name, ..self.clone() }).await
    }

    /// The module that is being made.
    pub fn module(&self) -> &'static str {
        self.module
    }

    /// A client, for an [`Inject`] of yours that wraps one.
    pub fn client<C: Client>(&self) -> C {
        self.process.links().client()
    }

    /// How calls begin in the process.
    #[doc(hidden)]
    pub fn settings(&self) -> &Arc<CallSettings> {
        self.process.links().settings()
    }

    /// What the process has of this type for the module.
    pub fn provided<T: Any + Send + Sync>(&self) -> Option<&T> {
        self.process.get(TypeId::of::<T>())?.downcast_ref()
    }

    /// An error that names the module and the field.
    pub fn error(&self, message: impl Into<String>) -> StartError {
        StartError::new(message).of(self.module, self.field)
    }
}

impl fmt::Debug for Injector {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "Injector({})", self.module)
    }
}
