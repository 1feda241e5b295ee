//! 201 for a call that made something, with the place where it is: `created = "/orders/{id}"`.

use super::{HttpAnswer, HttpCall};
use crate::{
    call::{CallError, CallErrorKind},
    interface::Route,
};
use serde_json::Value;

/// The location of the resource that a call created.
pub(super) struct Created {
    place: &'static str,
    /// The arguments in the request's path. A place may name them too.
    path: Vec<(&'static str, String)>,
}

impl Created {
    /// `None` if the route does not say that it makes something. Takes the path out of the call.
    pub(super) fn of(call: &mut HttpCall) -> Option<Self> {
        Some(Self { place: call.route.created?, path: std::mem::take(&mut call.path) })
    }

    /// The same answer as a 201 with a location.
    pub(super) fn answered(&self, answer: HttpAnswer) -> Result<HttpAnswer, CallError> {
        let fields: Value = serde_json::from_slice(&answer.body).unwrap_or_default();
        let mut place = self.place.to_owned();
        for name in Route::names(self.place) {
            let text = self.text(name, &fields).ok_or_else(|| {
                let text = format!(
                    "`created = \"{}\"` names the field `{name}`, and the answer has no text or number \
                     of this name",
                    self.place
                );
                CallError::new(CallErrorKind::BadAnswer, text)
            })?;
            place = place.replace(&format!("{{{name}}}"), &encoded(&text));
        }
        Ok(HttpAnswer { status: 201, location: Some(place), ..answer })
    }

    fn text(&self, name: &str, fields: &Value) -> Option<String> {
        if let Some((_, text)) = self.path.iter().find(|(known, _)| *known == name) {
            return Some(text.clone());
        }
        match &fields[name] {
            Value::String(text) => Some(text.clone()),
            Value::Number(number) => Some(number.to_string()),
            _ => None,
        }
    }
}

/// As one segment of a path: what is not unreserved in RFC 3986 is percent-encoded.
fn encoded(text: &str) -> String {
    let mut out = String::with_capacity(text.len());
    for byte in text.bytes() {
        if byte.is_ascii_alphanumeric() || b"-._~".contains(&byte) {
            out.push(char::from(byte));
        } else {
            out.push_str(&format!("%{byte:02X}"));
        }
    }
    out
}

#[cfg(test)]
mod tests {
    use super::*;

    fn answered(place: &'static str, body: &'static str) -> Result<HttpAnswer, CallError> {
        let body = body.as_bytes().into();
        let answer = HttpAnswer {
            status: 200,
            content_type: None,
            location: None,
            body,
            retry_after: None,
            failure: None,
        };
        Created { place, path: vec![("cart", "a/b".to_owned())] }.answered(answer)
    }

    #[test]
    fn a_location_is_made_of_the_path_and_the_answer() {
        let place = |place, body| answered(place, body).unwrap().location.unwrap();
        assert_eq!(place("/orders/{id}", r#"{"id":"a b/ü"}"#), "/orders/a%20b%2F%C3%BC");
        assert_eq!(place("/carts/{cart}/items/{id}", r#"{"id":7}"#), "/carts/a%2Fb/items/7");
        assert_eq!(answered("/orders/{id}", r#"{"id":7}"#).unwrap().status, 201);
    }

    #[test]
    fn an_answer_without_the_field_is_a_bad_answer() {
        for body in ["{}", "null", r#"{"id":null}"#, r#"{"id":{}}"#] {
            let error = answered("/orders/{id}", body).unwrap_err();
            assert_eq!(error.kind(), CallErrorKind::BadAnswer, "{body}");
        }
    }
}
