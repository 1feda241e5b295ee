//! What a token says, once its signature has been checked.

use crate::{token::Invalid, verified::Validity};
use monolift_call::Principal;
use serde_json::{Map, Value};
use std::time::Duration;

/// Where a principal's parts are in the claims of an issuer. A path is the name of a claim, or names with dots between
/// them for claims within claims: `realm_access.roles`.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Mapping {
    /// A list of texts.
    pub roles: String,
    /// A list of texts, or one text with spaces between them.
    pub scopes: String,
    /// A text.
    pub tenant: Option<String>,
    /// Further claims that are kept under these paths: texts, numbers and truths.
    pub claims: Vec<String>,
}

impl Default for Mapping {
    fn default() -> Self {
        let (roles, scopes) = ("roles".to_owned(), "scope".to_owned());
        Self { roles, scopes, tenant: None, claims: Vec::new() }
    }
}

/// What the claims must say.
#[derive(Debug)]
pub(crate) struct Expected<'a> {
    pub(crate) issuer: &'a str,
    pub(crate) audience: &'a str,
    /// The time since 1970.
    pub(crate) now: Duration,
    pub(crate) leeway: Duration,
}

/// Checks the claims and makes a principal of them. The times beside it are those between which they count.
pub(crate) fn principal(
    claims: &Map<String, Value>,
    expected: &Expected<'_>,
    mapping: &Mapping,
) -> Result<(Principal, Validity), Invalid> {
    if claims.get("iss").and_then(Value::as_str) != Some(expected.issuer) {
        return Err(Invalid::Issuer);
    }
    let is_audience = match claims.get("aud") {
        Some(Value::String(one)) => one == expected.audience,
        Some(Value::Array(all)) => {
            all.iter().all(Value::is_string) && all.iter().any(|one| one == expected.audience)
        }
        _ => false,
    };
    if !is_audience {
        return Err(Invalid::Audience);
    }
    let (now, leeway) = (expected.now.as_secs_f64(), expected.leeway.as_secs_f64());
    let expires = time(claims, "exp").map_err(|()| Invalid::Expired)?.ok_or(Invalid::Expired)?;
    let mut validity = Validity { from: 0.0, until: expires + leeway };
    if validity.until <= now {
        return Err(Invalid::Expired);
    }
    // What was issued in the future is no more to be trusted than what is not valid before then.
    for name in ["nbf", "iat"] {
        let Some(from) = time(claims, name).map_err(|()| Invalid::NotYet)? else { continue };
        validity.from = validity.from.max(from - leeway);
        if validity.from > now {
            return Err(Invalid::NotYet);
        }
    }
    let subject = claims.get("sub").and_then(Value::as_str).filter(|name| !name.is_empty());
    let mut principal = Principal::user(subject.ok_or(Invalid::Subject)?);
    principal.issuer = Some(expected.issuer.to_owned());
    // A number that no time has is as good as never.
    if let Ok(expires) = Duration::try_from_secs_f64(expires + leeway) {
        principal = principal.until(expires);
    }
    principal.roles = texts(at(claims, &mapping.roles), false);
    principal.scopes = texts(at(claims, &mapping.scopes), true);
    let tenant = mapping.tenant.as_ref().and_then(|path| at(claims, path));
    principal.tenant = tenant.and_then(Value::as_str).map(str::to_owned);
    for path in &mapping.claims {
        let value = match at(claims, path) {
            Some(Value::String(text)) => text.clone(),
            Some(value @ (Value::Number(_) | Value::Bool(_))) => value.to_string(),
            _ => continue,
        };
        principal.claims.insert(path.clone(), value);
    }
    // With some room for what stands around each text on the wire.
    if principal.size(8) > Principal::LONGEST {
        return Err(Invalid::TooMuch);
    }
    Ok((principal, validity))
}

/// A time since 1970 in seconds, if it is there; an error if it is something else.
fn time(claims: &Map<String, Value>, name: &str) -> Result<Option<f64>, ()> {
    match claims.get(name) {
        None => Ok(None),
        Some(Value::Number(number)) => {
            number.as_f64().filter(|time| *time >= 0.0).map(Some).ok_or(())
        }
        Some(_) => Err(()),
    }
}

/// The value at a path. The whole path may also be the name of one claim, such as a URL.
fn at<'a>(claims: &'a Map<String, Value>, path: &str) -> Option<&'a Value> {
    if let Some(value) = claims.get(path) {
        return Some(value);
    }
    let (first, rest) = path.split_once('.')?;
    at(claims.get(first)?.as_object()?, rest)
}

fn texts(value: Option<&Value>, spaced: bool) -> Vec<String> {
    match value {
        Some(Value::String(text)) if spaced => {
            text.split(' ').filter(|one| !one.is_empty()).map(str::to_owned).collect()
        }
        Some(Value::String(text)) => vec![text.clone()],
        Some(Value::Array(all)) => {
            all.iter().filter_map(Value::as_str).map(str::to_owned).collect()
        }
        _ => Vec::new(),
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use serde_json::json;

    #[test]
    fn parts_are_found_by_path() {
        let claims = json!({
            "iss": "i", "aud": ["a", "b"], "exp": 100, "sub": "ada",
            "realm_access": { "roles": ["staff", 7] }, "https://x/tenant": "acme",
            "scope": "orders:read  orders:write", "plan": { "size": 3 },
        });
        let mapping = Mapping {
            roles: "realm_access.roles".into(),
            tenant: Some("https://x/tenant".into()),
            claims: vec!["plan.size".into(), "absent".into()],
            ..Mapping::default()
        };
        let (now, leeway) = (Duration::from_secs(50), Duration::ZERO);
        let expected = Expected { issuer: "i", audience: "b", now, leeway };
        let (principal, validity) =
            principal(claims.as_object().unwrap(), &expected, &mapping).unwrap();
        assert_eq!(validity, Validity { from: 0.0, until: 100.0 });
        let ada = Principal::user("ada")
            .with_issuer("i")
            .with_tenant("acme")
            .with_role("staff")
            .with_scope("orders:read")
            .with_scope("orders:write")
            .with_claim("plan.size", "3");
        assert_eq!(principal, ada);
    }
}
