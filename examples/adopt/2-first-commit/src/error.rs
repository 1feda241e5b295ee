//! The program's error bodies, as its clients know them: `{"error": "…"}`.

use axum::{
    Json,
    http::StatusCode,
    response::{IntoResponse, Response},
};
use monolift::{CallError, CallErrorKind};
use serde_json::json;

#[derive(Debug)]
pub enum AppError {
    NoToken,
    NotYours,
    NoProfile,
    Database(sqlx::Error),
    Call(CallError),
}

impl IntoResponse for AppError {
    fn into_response(self) -> Response {
        let (status, text) = match self {
            Self::NoToken => (StatusCode::UNAUTHORIZED, "no valid token"),
            Self::NotYours => (StatusCode::FORBIDDEN, "this profile is not yours"),
            Self::NoProfile => (StatusCode::NOT_FOUND, "no profile"),
            Self::Database(error) => {
                tracing::error!(%error, "a query failed");
                (StatusCode::INTERNAL_SERVER_ERROR, "something went wrong")
            }
            Self::Call(error) if error.kind() == CallErrorKind::Internal => {
                (StatusCode::INTERNAL_SERVER_ERROR, "something went wrong")
            }
            Self::Call(error) => {
                tracing::error!(%error, "a call failed");
                (StatusCode::SERVICE_UNAVAILABLE, "try again later")
            }
        };
        (status, Json(json!({ "error": text }))).into_response()
    }
}

impl From<sqlx::Error> for AppError {
    fn from(error: sqlx::Error) -> Self {
        Self::Database(error)
    }
}
