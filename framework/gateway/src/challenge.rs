//! What a client that is refused is asked for: the header `www-authenticate`.

use crate::call::{Grant, Rule};
use axum::http::HeaderValue;

/// The challenge beside a status. A 403 has one where the method asks for scopes: a client can ask its issuer for them.
pub(crate) fn of(status: u16, rule: Option<&'static Rule>) -> Option<HeaderValue> {
    match status {
        401 => Some(HeaderValue::from_static("Bearer")),
        403 => {
            let scopes = rule?.any_of.iter().find_map(|grant| match grant {
                Grant::User { scopes, .. } if !scopes.is_empty() => Some(scopes.join(" ")),
                _ => None,
            })?;
            let text = format!("Bearer error=\"insufficient_scope\", scope=\"{scopes}\"");
            HeaderValue::try_from(text).ok()
        }
        _ => None,
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn scopes_are_asked_for() {
        static WRITE: Rule =
            Rule { any_of: &[Grant::User { roles: &[], scopes: &["orders:write", "orders"] }] };
        let shown =
            |status| of(status, Some(&WRITE)).map(|value| value.to_str().unwrap().to_owned());
        assert_eq!(shown(401).as_deref(), Some("Bearer"));
        let wanted = "Bearer error=\"insufficient_scope\", scope=\"orders:write orders\"";
        assert_eq!((shown(403).as_deref(), shown(200)), (Some(wanted), None));
    }
}
