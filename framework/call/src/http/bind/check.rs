//! What a request is held to before its call is made: the bounds that its arguments' types state, and
//! texts without NUL.
//!
//! Nothing is read into arguments here. So it costs no more than a look at each byte, and what is refused
//! is refused alike wherever the module runs.

use super::{Source, bad};
use crate::{
    http::{HttpCall, Problem},
    interface::{Checks, Part, Violation},
};
use serde::de::DeserializeSeed;

/// Refuses a call whose arguments are out of bounds.
pub fn check(checks: Option<&Checks>, call: &HttpCall) -> Result<(), Problem> {
    refuse_nul(call)?;
    match checks {
        Some(checks) => within_bounds(checks, call).map_err(|violation| bad(violation.to_string())),
        None => Ok(()),
    }
}

fn within_bounds(checks: &Checks, call: &HttpCall) -> Result<(), Violation> {
    for (name, text) in &call.path {
        checks.text(name, &[text])?;
    }
    let source = Source::of(call);
    let in_body = match source {
        Source::Query => None,
        Source::Body(name) => Some(Part::Argument(name)),
        Source::Members => Some(Part::Arguments),
    };
    if source != Source::Members {
        for (at, (name, _)) in call.query.iter().enumerate() {
            let is_first = call.query[..at].iter().all(|(earlier, _)| earlier != name);
            let elsewhere = call.path.iter().any(|(known, _)| known == name)
                || in_body == Some(Part::Argument(name));
            if is_first && !elsewhere {
                let all = call.query.iter().filter(|(key, _)| key == name);
                let texts: Vec<&str> = all.map(|(_, text)| text.as_str()).collect();
                checks.text(name, &texts)?;
            }
        }
    }
    match in_body {
        Some(part) if call.json && !call.body.is_empty() => checks.check(part, |walk| {
            walk.deserialize(&mut serde_json::Deserializer::from_slice(&call.body))
        }),
        _ => Ok(()),
    }
}

/// No text may hold a NUL: PostgreSQL cannot store it, and what one database refuses has to be refused
/// in front of every other one too.
fn refuse_nul(call: &HttpCall) -> Result<(), Problem> {
    let path = call.path.iter().map(|(name, text)| (*name, text));
    let query = call.query.iter().map(|(name, text)| (name.as_str(), text));
    if let Some((name, _)) = path.chain(query).find(|(_, text)| text.contains('\0')) {
        return Err(bad(format!("argument `{name}` holds the character NUL, which no text may")));
    }
    match nul_in_json(&call.body) {
        Some(at) if !matches!(Source::of(call), Source::Query) => Err(bad(format!(
            "the body holds the character NUL (`\\u0000` at byte {at}), which no text may"
        ))),
        _ => Ok(()),
    }
}

/// Where the first NUL of a JSON document is written. In JSON, a backslash stands in texts only, and
/// NUL has no other form there.
fn nul_in_json(json: &[u8]) -> Option<usize> {
    let mut from = 0;
    while let Some(found) = json.get(from..)?.iter().position(|byte| *byte == b'\\') {
        let at = from + found;
        if json[at..].starts_with(b"\\u0000") {
            return Some(at);
        }
        // What follows is escaped, and may be a backslash itself.
        from = at + 2;
    }
    None
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_nul_is_found_where_it_is_one() {
        for (json, at) in [
            (r#"{"a":"\u0000"}"#, Some(6)),
            (r#"{"\u0000":1}"#, Some(2)),
            (r#"["\\\u0000"]"#, Some(4)),
            (r#"["\\u0000"]"#, None),
            (r#"["\u00000"]"#, Some(2)),
            (r#"["\u00001","\u0001"]"#, Some(2)),
            (r#"["u0000\u0001"]"#, None),
            ("\\", None),
            ("", None),
        ] {
            assert_eq!(nul_in_json(json.as_bytes()), at, "{json}");
        }
    }
}
