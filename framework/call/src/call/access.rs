//! Whether a call is let through, and what is said and counted of one that is not.
//!
//! A call of a method without a rule pays a comparison with null. Everything else here is for refused calls.

use super::{
    CallError, CallErrorKind, CallSettings, Callee, Context, Principal, RetryAdvice, meter::Caller,
    rule::Rule,
};
use std::{
    collections::BTreeMap,
    sync::{Arc, Mutex, PoisonError},
};

/// The refused callers and methods that are counted one by one; calls of others are counted together.
const MOST_COUNTED: usize = 1_000;

/// What becomes of a call that a rule refuses.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default)]
pub enum Enforce {
    /// It fails.
    #[default]
    Refuse,
    /// It is logged and counted, and goes on.
    Observe,
}

/// What becomes of refused calls, for each module.
#[derive(Debug, Clone, Default)]
pub struct Access {
    /// Where nothing else is said of a module.
    pub all: Enforce,
    /// What is said of single modules.
    pub modules: BTreeMap<String, Enforce>,
    /// Calls that a rule refuses, since the start.
    pub refused: Arc<Refusals>,
}

impl Access {
    fn of(&self, module: &str) -> Enforce {
        self.modules.get(module).copied().unwrap_or(self.all)
    }
}

/// On whose behalf a client calls where no call is around it.
#[derive(Debug, Clone, Default)]
pub enum Acting {
    /// On that of the program itself: its background tasks.
    #[default]
    Own,
    /// On that of a request that does not say who makes it.
    Anonymous,
    /// On that of this one.
    For(Principal),
}

/// Calls that rules have refused, or would have.
#[derive(Debug, Default)]
pub struct Refusals(Mutex<BTreeMap<Refused, u64>>);

/// Calls of one method that its rule refuses, by one caller.
#[derive(Debug, Clone, PartialEq, Eq, PartialOrd, Ord)]
pub struct Refused {
    /// The module that calls, or `edge`, or `process` for another process; `others` beyond a number of them.
    pub caller: String,
    /// `user`, `service` for a module's own work, or `nobody` if the request does not say who makes it.
    pub by: &'static str,
    /// The method, as `module.method`; empty for `others`.
    pub method: String,
    /// What it asks for.
    pub rule: String,
    /// Whether the calls went on.
    pub observed: bool,
}

impl Refusals {
    fn count(&self, refused: Refused) -> u64 {
        let mut counts = self.0.lock().unwrap_or_else(PoisonError::into_inner);
        let is_known = counts.contains_key(&refused) || counts.len() < MOST_COUNTED;
        let refused = if is_known {
            refused
        } else {
            let (caller, method, rule) = ("others".to_owned(), String::new(), String::new());
            Refused { caller, method, rule, ..refused }
        };
        let count = counts.entry(refused).or_default();
        *count += 1;
        *count
    }

    /// What is counted so far.
    pub fn all(&self) -> Vec<(Refused, u64)> {
        let counts = self.0.lock().unwrap_or_else(PoisonError::into_inner);
        counts.iter().map(|(refused, count)| (refused.clone(), *count)).collect()
    }
}

/// Lets a call through that its method's rule admits. `around` is the context that it is made in.
///
/// This is asked where the module runs, and there a call that is only observed is counted.
#[inline]
pub fn admit(
    callee: &Callee,
    settings: &CallSettings,
    around: Option<&Context>,
) -> Result<(), CallError> {
    ask(callee, settings, around, true)
}

/// Lets a call through that has just arrived and whose arguments are not read yet. It meets [`admit`] after that.
#[inline]
pub fn admit_arrival(
    callee: &Callee,
    settings: &CallSettings,
    around: Option<&Context>,
) -> Result<(), CallError> {
    ask(callee, settings, around, false)
}

#[inline]
fn ask(
    callee: &Callee,
    settings: &CallSettings,
    around: Option<&Context>,
    is_last: bool,
) -> Result<(), CallError> {
    match callee.rule {
        Some(rule) if !lets(rule, around) => refuse(callee, rule, settings, around, is_last),
        _ => Ok(()),
    }
}

#[inline]
fn lets(rule: &'static Rule, around: Option<&Context>) -> bool {
    match around {
        Some(context) => context.satisfies(rule),
        // Nothing around it: the program's own work.
        None => rule.lets_services(),
    }
}

#[cold]
fn refuse(
    callee: &Callee,
    rule: &Rule,
    settings: &CallSettings,
    around: Option<&Context>,
    is_last: bool,
) -> Result<(), CallError> {
    let observed = settings.access.of(callee.module) == Enforce::Observe;
    if observed && !is_last {
        return Ok(());
    }
    let principal = around.and_then(Context::principal);
    let is_own = around.is_none_or(Context::is_own_work);
    let by = match principal {
        Some(principal) if principal.is_service() => "service",
        Some(_) => "user",
        None if is_own => "service",
        None => "nobody",
    };
    let subject = principal.map_or(by, |principal| &principal.subject);
    let of_a_peer = around.is_some_and(|context| context.origin().peer != 0);
    let caller = match Caller::now(of_a_peer) {
        Caller::Module(module) => module,
        Caller::Process => "process",
        Caller::Edge | Caller::Other => "edge",
    };
    let (method, rule) = (callee.to_string(), rule.to_string());
    let refused = Refused {
        caller: caller.to_owned(),
        by,
        method: method.clone(),
        rule: rule.clone(),
        observed,
    };
    let count = settings.access.refused.count(refused);
    if observed {
        // The first one, and then ever fewer.
        if count.is_power_of_two() {
            tracing::warn!(
                call = %method, caller, subject, rule, count,
                "this call would be refused, and is only observed"
            );
        }
        return Ok(());
    }
    tracing::info!(call = %method, caller, subject, rule, count, "this call is refused");
    let error = if by == "nobody" {
        let text = format!("this is for {rule}, and the request does not say who makes it");
        CallError::new(CallErrorKind::Unauthenticated, text)
    } else {
        CallError::new(CallErrorKind::Forbidden, format!("this is for {rule}"))
    };
    Err(error.with_retry_advice(RetryAdvice::Never).during(method))
}
