//! On whose behalf a call is made: a user, or a module's work of its own.

use super::{
    CallError, CallErrorKind, Context, Statement,
    rule::{Passed, Rule},
};
use serde::{Deserialize, Serialize};
use std::{
    collections::BTreeMap,
    fmt,
    sync::{Arc, OnceLock},
    time::Duration,
};

/// On whose behalf a call is made. The edge of the application says so, and every call below has it.
///
/// ```
/// # use monolift_call::Principal;
/// let ada = Principal::user("ada").with_role("staff").with_scope("orders:write");
/// assert!(ada.is("ada").is_ok());
/// assert!(ada.is("bob").is_err());
/// ```
///
/// Its texts are bounded, because every call carries them: a context of more than 8 KiB is not sent to another process.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
#[serde(try_from = "Stored")]
#[non_exhaustive]
pub struct Principal {
    /// Who: a user's own name for itself, as its issuer writes it. `service:orders` for work of the module `orders`.
    pub subject: String,
    /// The customer that the subject belongs to.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub tenant: Option<String>,
    /// Who vouches for it.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub issuer: Option<String>,
    /// What it may act as.
    #[serde(skip_serializing_if = "Vec::is_empty")]
    pub roles: Vec<String>,
    /// What it has been allowed to do.
    #[serde(skip_serializing_if = "Vec::is_empty")]
    pub scopes: Vec<String>,
    /// What else its issuer says of it, as far as the application asked for it.
    #[serde(skip_serializing_if = "BTreeMap::is_empty")]
    pub claims: BTreeMap<String, String>,
    /// Whether it is a module's own work. No token and no stored value can say so.
    #[serde(skip)]
    service: bool,
    /// Until when its token holds, since 1970. It is known where the token is read.
    #[serde(skip)]
    expires: Expiry,
}

/// A time that says nothing about who somebody is: two principals that differ in it are equal.
#[derive(Debug, Clone, Copy, Default)]
struct Expiry(Option<Duration>);

impl PartialEq for Expiry {
    fn eq(&self, _: &Self) -> bool {
        true
    }
}

impl Eq for Expiry {}

impl Principal {
    /// The longest principal that is read, in bytes of all its texts.
    pub const LONGEST: usize = 7 * 1024;

    /// A user of this name.
    pub fn user(subject: impl Into<String>) -> Self {
        Self {
            subject: subject.into(),
            tenant: None,
            issuer: None,
            roles: Vec::new(),
            scopes: Vec::new(),
            claims: BTreeMap::new(),
            service: false,
            expires: Expiry::default(),
        }
    }

    /// The own work of a module.
    pub fn service(module: &str) -> Self {
        Self { service: true, ..Self::user(format!("{SERVICE}{module}")) }
    }

    /// The same, of this customer.
    #[must_use]
    pub fn with_tenant(mut self, tenant: impl Into<String>) -> Self {
        self.tenant = Some(tenant.into());
        self
    }

    /// The same, vouched for by this issuer.
    #[must_use]
    pub fn with_issuer(mut self, issuer: impl Into<String>) -> Self {
        self.issuer = Some(issuer.into());
        self
    }

    /// The same, with this role too.
    #[must_use]
    pub fn with_role(mut self, role: impl Into<String>) -> Self {
        self.roles.push(role.into());
        self
    }

    /// The same, with this scope too.
    #[must_use]
    pub fn with_scope(mut self, scope: impl Into<String>) -> Self {
        self.scopes.push(scope.into());
        self
    }

    /// The same, with this claim too.
    #[must_use]
    pub fn with_claim(mut self, name: impl Into<String>, value: impl Into<String>) -> Self {
        self.claims.insert(name.into(), value.into());
        self
    }

    /// The same, known until this time since 1970, when its token expires. What a gateway tells other processes of it holds
    /// no longer.
    #[must_use]
    pub fn until(mut self, expires: Duration) -> Self {
        self.expires = Expiry(Some(expires));
        self
    }

    /// Until when its token holds, since 1970.
    #[doc(hidden)]
    pub fn expires(&self) -> Option<Duration> {
        self.expires.0
    }

    /// On whose behalf the call is made that is running. An error (401) if the request says of no one.
    ///
    /// ```
    /// # use monolift_call::{CallError, Principal};
    /// # struct Order { user: String }
    /// fn shown(order: Order) -> Result<Order, CallError> {
    ///     Principal::current()?.is(&order.user)?; // 401 without a user, 403 for another one
    ///     Ok(order)
    /// }
    /// ```
    pub fn current() -> Result<Arc<Self>, CallError> {
        let current = Context::look(Context::shared_principal).flatten();
        current.ok_or_else(|| {
            let text = "the call needs a user, and was made on behalf of no one";
            CallError::new(CallErrorKind::Unauthenticated, text)
        })
    }

    /// The user on whose behalf the call is made that is running. `None` for work that no request has caused, which
    /// `#[auth(service)]` lets through; an error (401) if the request says of no one.
    ///
    /// ```
    /// # use monolift_call::{CallError, Principal};
    /// # struct Order { user: String }
    /// fn shown(order: Order) -> Result<Order, CallError> {
    ///     if let Some(user) = Principal::current_user()? {
    ///         user.is(&order.user)?; // modules may see all orders
    ///     }
    ///     Ok(order)
    /// }
    /// ```
    pub fn current_user() -> Result<Option<Arc<Self>>, CallError> {
        let look = |context: &Context| (context.shared_principal(), context.is_own_work());
        match Context::look(look).unwrap_or((None, true)) {
            (Some(principal), _) => Ok(Some(principal).filter(|one| !one.is_service())),
            (None, true) => Ok(None),
            (None, false) => Self::current().map(Some),
        }
    }

    /// Refuses all but this user, for what belongs to one. Work of a module is no user.
    ///
    /// `?` makes the refusal a 403. A method that must not show that something of another user exists gives an error of
    /// its own: `.is(&order.user).or(Err(OrdersError::UnknownOrder(id)))?`.
    pub fn is(&self, user: impl AsRef<str>) -> Result<(), NotTheirs> {
        if !self.service && self.subject == user.as_ref() { Ok(()) } else { Err(NotTheirs) }
    }

    /// Whether it may act as `role`.
    pub fn has_role(&self, role: &str) -> bool {
        self.roles.iter().any(|has| has == role)
    }

    /// Whether it has been allowed `scope`.
    pub fn has_scope(&self, scope: &str) -> bool {
        self.scopes.iter().any(|has| has == scope)
    }

    /// Whether it is a module's own work, which no request has caused.
    pub fn is_service(&self) -> bool {
        self.service
    }

    /// The module whose own work it is.
    #[doc(hidden)]
    pub fn serving_module(&self) -> Option<&str> {
        self.subject.strip_prefix(SERVICE).filter(|_| self.service)
    }

    /// The bytes of all its texts, with `entry` more for each.
    #[doc(hidden)]
    pub fn size(&self, entry: usize) -> usize {
        let lists = self.roles.iter().chain(&self.scopes).chain(&self.tenant).chain(&self.issuer);
        let texts = lists.chain([&self.subject]).map(|text| text.len() + entry);
        let claims = self.claims.iter().map(|(name, value)| name.len() + value.len() + 2 * entry);
        texts.chain(claims).sum()
    }
}

/// Before a module's name, in the subject of its own work.
const SERVICE: &str = "service:";

/// What is asked for belongs to another user. As a [`CallError`] it is `forbidden`, a 403.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct NotTheirs;

impl fmt::Display for NotTheirs {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("this belongs to another user")
    }
}

impl std::error::Error for NotTheirs {}

impl From<NotTheirs> for CallError {
    fn from(error: NotTheirs) -> Self {
        Self::new(CallErrorKind::Forbidden, error.to_string())
    }
}

/// A principal as it is read, before its length is known to be in bounds.
#[derive(Deserialize)]
struct Stored {
    subject: String,
    #[serde(default)]
    tenant: Option<String>,
    #[serde(default)]
    issuer: Option<String>,
    #[serde(default)]
    roles: Vec<String>,
    #[serde(default)]
    scopes: Vec<String>,
    #[serde(default)]
    claims: BTreeMap<String, String>,
}

impl TryFrom<Stored> for Principal {
    type Error = String;

    fn try_from(stored: Stored) -> Result<Self, String> {
        let Stored { subject, tenant, issuer, roles, scopes, claims } = stored;
        let expires = Expiry::default();
        let principal =
            Self { subject, tenant, issuer, roles, scopes, claims, service: false, expires };
        if principal.size(0) > Self::LONGEST {
            return Err(format!("a principal is no longer than {} bytes", Self::LONGEST));
        }
        Ok(principal)
    }
}

/// The principal of a context, with the rules that it is known to satisfy.
#[derive(Debug, Clone)]
pub(super) struct Known {
    pub(super) principal: Arc<Principal>,
    passed: Passed,
    /// As other processes are told of it, once one is.
    pub(super) statement: OnceLock<Arc<Statement>>,
    /// Whether it came from another process with a statement that is known to be true.
    pub(super) proven: bool,
}

impl Known {
    pub(super) fn new(principal: Principal) -> Self {
        let (passed, statement) = (Passed::default(), OnceLock::new());
        Self { principal: Arc::new(principal), passed, statement, proven: false }
    }

    pub(super) fn stated(
        principal: Arc<Principal>,
        statement: Arc<Statement>,
        proven: bool,
    ) -> Self {
        let (passed, statement) = (Passed::default(), OnceLock::from(statement));
        Self { principal, passed, statement, proven }
    }

    /// Whether a rule lets it through. A rule that did is found again by its address.
    #[inline]
    pub(super) fn satisfies(&self, rule: &'static Rule) -> bool {
        self.passed.has(rule) || self.satisfies_now(rule)
    }

    #[cold]
    fn satisfies_now(&self, rule: &'static Rule) -> bool {
        let satisfies = rule.lets(&self.principal);
        if satisfies {
            self.passed.note(rule);
        }
        satisfies
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::call::CallSettings;

    #[test]
    fn a_stored_principal_is_bounded_and_is_never_a_service() {
        let ada = Principal::user("ada").with_tenant("t1").with_role("staff").with_claim("a", "b");
        let text = serde_json::to_string(&ada).unwrap();
        assert_eq!(serde_json::from_str::<Principal>(&text).unwrap(), ada);
        let long = format!(r#"{{"subject":"{}"}}"#, "x".repeat(Principal::LONGEST + 1));
        assert!(serde_json::from_str::<Principal>(&long).is_err());
        let text = serde_json::to_string(&Principal::service("orders")).unwrap();
        let forged: Principal = serde_json::from_str(&text).unwrap();
        assert_eq!((&*forged.subject, forged.is_service()), ("service:orders", false));
        assert_eq!(Principal::service("orders").serving_module(), Some("orders"));
    }

    #[tokio::test]
    async fn what_is_theirs_is_told_from_what_is_not() {
        let error = Principal::current().unwrap_err();
        assert_eq!(error.kind(), CallErrorKind::Unauthenticated);
        let whose = |owner: &'static str| async move {
            Principal::current()?.is(owner)?;
            Ok::<_, CallError>(())
        };
        let edge = || Context::edge(&CallSettings::default());
        let ada = edge().with_principal(Principal::user("ada"));
        assert_eq!(ada.clone().scope(whose("ada")).await, Ok(()));
        let error = ada.scope(whose("bob")).await.unwrap_err();
        assert_eq!((error.kind(), error.kind().status()), (CallErrorKind::Forbidden, 403));
        let error = edge().scope(whose("bob")).await.unwrap_err();
        assert_eq!((error.kind(), error.kind().status()), (CallErrorKind::Unauthenticated, 401));
        let service = edge().with_principal(Principal::service("bob"));
        assert!(service.clone().scope(whose("service:bob")).await.is_err());

        let user = || async { Principal::current_user() };
        assert_eq!(user().await, Ok(None));
        assert_eq!(service.scope(user()).await, Ok(None));
        assert_eq!(edge().of_own_work().scope(user()).await, Ok(None));
        let ada = edge().with_principal(Principal::user("ada")).scope(user()).await.unwrap();
        assert_eq!(ada.unwrap().subject, "ada");
        let error = edge().scope(user()).await.unwrap_err();
        assert_eq!(error.kind(), CallErrorKind::Unauthenticated);
    }
}
