//! On whose behalf a transaction runs, for policies of PostgreSQL's row-level security.
//!
//! A transaction has the user and the tenant of its call as the settings `app.user` and `app.tenant`, and for a module's own work
//! `app.service`, its name. A user can be called as they like, so a service is not told by `app.user`. They are set in the batch
//! that begins the transaction, so that they cost no round trip, and are gone when it ends: nothing of them is left on a
//! connection that other callers, or other modules, use next.

use crate::call::{Context, Principal};
use sqlx::{AssertSqlSafe, Error, SqlSafeStr, SqlStr};

/// What is told of a caller.
#[derive(Debug, Default)]
struct Told {
    user: String,
    tenant: String,
    service: String,
}

impl Told {
    fn of(caller: &Principal) -> Self {
        match caller.serving_module() {
            Some(module) => Self { service: module.to_owned(), ..Self::default() },
            None => Self {
                user: caller.subject.clone(),
                tenant: caller.tenant.clone().unwrap_or_default(),
                ..Self::default()
            },
        }
    }
}

/// The beginning of a transaction, with the caller of the call that is running. All settings are empty where there is none.
pub(super) fn with_caller(begin: &SqlStr) -> Result<SqlStr, Error> {
    let told = Context::look(|context| context.principal().map(Told::of)).flatten();
    let Told { user, tenant, service } = told.unwrap_or_default();
    let mut whole = begin.as_str().to_owned();
    // `user` is a word of SQL.
    for (name, value) in [("\"user\"", user), ("tenant", tenant), ("service", service)] {
        whole.push_str(&format!("; SET LOCAL app.{name} TO {}", literal(&value)?));
    }
    Ok(AssertSqlSafe(whole).into_sql_str())
}

/// A text as a statement has it. In this form a backslash means the same whatever `standard_conforming_strings` says.
fn literal(text: &str) -> Result<String, Error> {
    if text.contains('\0') {
        let refused =
            "the subject or the tenant of the caller holds a NUL, which PostgreSQL cannot store";
        return Err(Error::InvalidArgument(refused.to_owned()));
    }
    Ok(format!("E'{}'", text.replace('\\', r"\\").replace('\'', "''")))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_name_is_nothing_but_a_text() {
        assert_eq!(literal("ada").unwrap(), "E'ada'");
        assert_eq!(literal(r"a'; DROP TABLE b; --\").unwrap(), r"E'a''; DROP TABLE b; --\\'");
        assert_eq!(literal(r"\'").unwrap(), r"E'\\'''");
        assert!(literal("a\0b").is_err());
    }

    #[test]
    fn a_user_is_no_service_by_name() {
        let named = Principal::user("service:orders").with_tenant("acme");
        let Told { user, tenant, service } = Told::of(&named);
        assert_eq!((&*user, &*tenant, &*service), ("service:orders", "acme", ""));
        let Told { user, tenant, service } = Told::of(&Principal::service("orders"));
        assert_eq!((&*user, &*tenant, &*service), ("", "", "orders"));
    }

    #[test]
    fn without_a_caller_all_are_empty() {
        let begin = with_caller(&SqlStr::from_static("BEGIN")).unwrap();
        let expected = "BEGIN; SET LOCAL app.\"user\" TO E''; SET LOCAL app.tenant TO E''; \
                        SET LOCAL app.service TO E''";
        assert_eq!(begin.as_str(), expected);
    }
}
