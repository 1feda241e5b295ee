//! The error bodies of the API: `{"error": {"code": "…", "message": "…"}}`, with `fields` where single fields
//! are wrong.

use axum::{
    Json,
    http::StatusCode,
    response::{IntoResponse, Response},
};
use serde_json::json;
use std::collections::BTreeMap;

#[derive(Debug)]
pub enum AppError {
    /// The request has no valid token.
    Unauthorized,
    /// The article or comment belongs to another user.
    Forbidden,
    NotFound(&'static str),
    NotAllowed,
    /// The request cannot be read.
    BadRequest(String),
    /// Fields that are wrong, each with what is wrong with it.
    Invalid(BTreeMap<&'static str, String>),
    Conflict(&'static str, &'static str),
    TooLarge,
    Internal(Box<dyn std::error::Error + Send + Sync>),
}

impl AppError {
    pub fn invalid(field: &'static str, message: &str) -> Self {
        Self::Invalid(BTreeMap::from([(field, message.to_owned())]))
    }

    fn status(&self) -> StatusCode {
        match self {
            Self::Unauthorized => StatusCode::UNAUTHORIZED,
            Self::Forbidden => StatusCode::FORBIDDEN,
            Self::NotFound(_) => StatusCode::NOT_FOUND,
            Self::NotAllowed => StatusCode::METHOD_NOT_ALLOWED,
            Self::BadRequest(_) => StatusCode::BAD_REQUEST,
            Self::Invalid(_) => StatusCode::UNPROCESSABLE_ENTITY,
            Self::Conflict(..) => StatusCode::CONFLICT,
            Self::TooLarge => StatusCode::PAYLOAD_TOO_LARGE,
            Self::Internal(_) => StatusCode::INTERNAL_SERVER_ERROR,
        }
    }

    fn code(&self) -> &'static str {
        match self {
            Self::Unauthorized => "unauthorized",
            Self::Forbidden => "forbidden",
            Self::NotFound(_) => "not_found",
            Self::NotAllowed => "not_allowed",
            Self::BadRequest(_) => "bad_request",
            Self::Invalid(_) => "invalid",
            Self::Conflict(..) => "conflict",
            Self::TooLarge => "too_large",
            Self::Internal(_) => "internal",
        }
    }

    fn message(&self) -> String {
        match self {
            Self::Unauthorized => "sign in first".to_owned(),
            Self::Forbidden => "this is not yours".to_owned(),
            Self::NotFound(what) => format!("no such {what}"),
            Self::NotAllowed => "this page does not know that method".to_owned(),
            Self::BadRequest(message) => message.clone(),
            Self::Invalid(_) => "some fields are not valid".to_owned(),
            Self::Conflict(_, message) => (*message).to_owned(),
            Self::TooLarge => "the body is too large".to_owned(),
            Self::Internal(_) => "something went wrong".to_owned(),
        }
    }
}

impl IntoResponse for AppError {
    fn into_response(self) -> Response {
        if let Self::Internal(error) = &self {
            log::error!("a request failed: {error}");
        }
        let mut error = json!({ "code": self.code(), "message": self.message() });
        match &self {
            Self::Invalid(fields) => error["fields"] = json!(fields),
            Self::Conflict(field, message) => error["fields"] = json!({ *field: message }),
            _ => {}
        }
        (self.status(), Json(json!({ "error": error }))).into_response()
    }
}

impl From<sqlx::Error> for AppError {
    fn from(error: sqlx::Error) -> Self {
        let constraint = error.as_database_error().and_then(|error| error.constraint());
        match constraint {
            Some("username_taken") => Self::Conflict("username", "is taken"),
            Some("email_taken") => Self::Conflict("email", "is taken"),
            _ => Self::Internal(error.into()),
        }
    }
}
