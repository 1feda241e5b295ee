//! What a method asks of its caller: `#[auth(user)]`, `#[auth(role = "staff")]`.
//!
//! A rule is a constant of the program. So a principal that has satisfied one keeps its address, and is compared with that
//! at the next call.

use super::Principal;
use std::{
    fmt, ptr,
    sync::atomic::{AtomicPtr, Ordering::Relaxed},
};

/// Who may call a method: a caller that satisfies one of these.
#[derive(Debug, PartialEq, Eq)]
pub struct Rule {
    /// The attributes `#[auth(…)]`, in the order of the source.
    pub any_of: &'static [Grant],
}

/// What one `#[auth(…)]` says.
#[derive(Debug, PartialEq, Eq)]
pub enum Grant {
    /// All callers, also those that do not say who they are.
    Public,
    /// Users, with all of these roles and scopes.
    User {
        /// The roles that the user must have.
        roles: &'static [&'static str],
        /// The scopes that the user must have.
        scopes: &'static [&'static str],
    },
    /// Work of a module that no request has caused.
    Service,
}

impl Rule {
    /// Whether it asks for nothing.
    #[inline]
    pub fn is_public(&self) -> bool {
        self.any_of.iter().any(|grant| matches!(grant, Grant::Public))
    }

    /// Whether it lets a call through that no request has caused.
    pub fn lets_services(&self) -> bool {
        self.any_of.iter().any(|grant| matches!(grant, Grant::Public | Grant::Service))
    }

    /// Whether it lets this caller through.
    pub fn lets(&self, principal: &Principal) -> bool {
        self.any_of.iter().any(|grant| match grant {
            Grant::Public => true,
            Grant::Service => principal.is_service(),
            Grant::User { roles, scopes } => {
                !principal.is_service()
                    && roles.iter().all(|role| principal.has_role(role))
                    && scopes.iter().all(|scope| principal.has_scope(scope))
            }
        })
    }
}

/// ```text
/// a user with the role `staff`, or a service
/// ```
impl fmt::Display for Rule {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        for (number, grant) in self.any_of.iter().enumerate() {
            f.write_str(if number == 0 { "" } else { ", or " })?;
            grant.fmt(f)?;
        }
        Ok(())
    }
}

impl fmt::Display for Grant {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::Public => f.write_str("anyone"),
            Self::Service => f.write_str("a service"),
            Self::User { roles, scopes } => {
                f.write_str("a user")?;
                let roles = roles.iter().map(|name| ("role", name));
                let all = roles.chain(scopes.iter().map(|name| ("scope", name)));
                for (number, (what, name)) in all.enumerate() {
                    let before = if number == 0 { "with" } else { "and" };
                    write!(f, " {before} the {what} `{name}`")?;
                }
                Ok(())
            }
        }
    }
}

/// How many rules a principal remembers that it satisfies: a request meets few methods with different ones.
const REMEMBERED: usize = 4;

/// The addresses of rules that a principal satisfies.
#[derive(Debug, Default)]
pub(super) struct Passed([AtomicPtr<Rule>; REMEMBERED]);

impl Passed {
    #[inline]
    pub(super) fn has(&self, rule: &'static Rule) -> bool {
        self.0.iter().any(|place| ptr::eq(place.load(Relaxed), rule))
    }

    /// Nothing is read through the address, so no order of memory is needed. Without a free place the rule is looked at
    /// again by the next call.
    pub(super) fn note(&self, rule: &'static Rule) {
        let address = ptr::from_ref(rule).cast_mut();
        let free = |place: &&AtomicPtr<Rule>| place.load(Relaxed).is_null();
        if let Some(place) = self.0.iter().find(free) {
            place.store(address, Relaxed);
        }
    }
}

impl Clone for Passed {
    fn clone(&self) -> Self {
        Self(std::array::from_fn(|at| AtomicPtr::new(self.0[at].load(Relaxed))))
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_rule_lets_through_whom_it_names() {
        static STAFF: Rule = Rule {
            any_of: &[Grant::User { roles: &["staff"], scopes: &["stock:write"] }, Grant::Service],
        };
        static USER: Rule = Rule { any_of: &[Grant::User { roles: &[], scopes: &[] }] };
        let ada = || Principal::user("ada").with_role("staff");
        assert!(STAFF.lets(&ada().with_scope("stock:write")));
        assert!(
            !STAFF.lets(&ada()) && !STAFF.lets(&Principal::user("ada").with_scope("stock:write"))
        );
        assert!(STAFF.lets(&Principal::service("orders")) && STAFF.lets_services());
        assert!(USER.lets(&ada()) && !USER.lets(&Principal::service("orders")));
        assert!(!USER.lets_services() && !USER.is_public());
        let text = "a user with the role `staff` and the scope `stock:write`, or a service";
        assert_eq!(STAFF.to_string(), text);
    }

    #[test]
    fn rules_are_remembered_as_far_as_there_is_room() {
        static RULES: [Rule; 6] = [const { Rule { any_of: &[Grant::Service] } }; 6];
        let passed = Passed::default();
        RULES.iter().for_each(|rule| passed.note(rule));
        let has: Vec<bool> = RULES.iter().map(|rule| passed.has(rule)).collect();
        assert_eq!(has, [true, true, true, true, false, false]);
    }
}
