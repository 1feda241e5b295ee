//! The query of a request: its pairs, decoded.

use super::Problem;
use axum::http::StatusCode;
use percent_encoding::percent_decode_str;
use std::borrow::Cow;

/// The pairs of `query` whose keys are `wanted`; what else clients add is not ours to judge.
pub(super) fn pairs(
    query: &str,
    wanted: impl Fn(&str) -> bool,
) -> Result<Vec<(String, String)>, Problem> {
    let mut pairs = Vec::new();
    for pair in query.split('&') {
        let (key, value) = pair.split_once('=').unwrap_or((pair, ""));
        let Some(key) = decode(key).filter(|key| wanted(key)) else { continue };
        let Some(value) = decode(value) else {
            return Err(Problem::new(
                StatusCode::BAD_REQUEST,
                "bad-arguments",
                format!("argument `{key}`: what the query gives is not UTF-8"),
            ));
        };
        pairs.push((key, value));
    }
    Ok(pairs)
}

/// As forms are encoded: `+` is a space, and the rest percent-encoded UTF-8.
fn decode(text: &str) -> Option<String> {
    let spaced = if text.contains('+') { Cow::Owned(text.replace('+', " ")) } else { text.into() };
    percent_decode_str(&spaced).decode_utf8().ok().map(Cow::into_owned)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn pairs_are_decoded_and_strangers_left_out() {
        let read = pairs("a=1+2%2B3&b&%61=x&utm=%ff&&c==", |key| "abc".contains(key)).unwrap();
        let read: Vec<_> = read.iter().map(|(k, v)| (k.as_str(), v.as_str())).collect();
        assert_eq!(read[..2], [("a", "1 2+3"), ("b", "")]);
        assert!(read.contains(&("a", "x")) && read.contains(&("c", "=")), "{read:?}");
    }

    #[test]
    fn a_value_must_be_utf_8() {
        let problem = pairs("a=%ff", |_| true).unwrap_err();
        assert_eq!(problem.status(), StatusCode::BAD_REQUEST);
    }
}
