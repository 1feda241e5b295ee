//! axum's extractors, with the program's own error bodies.

use crate::error::AppError;
use axum::{
    extract::{
        FromRequest, FromRequestParts, Request,
        rejection::{JsonRejection, PathRejection, QueryRejection},
    },
    http::{StatusCode, request::Parts},
};
use serde::{Deserialize, de::DeserializeOwned};
use std::collections::BTreeMap;

pub struct Json<T>(pub T);

impl<T: DeserializeOwned, S: Send + Sync> FromRequest<S> for Json<T> {
    type Rejection = AppError;

    async fn from_request(request: Request, state: &S) -> Result<Self, AppError> {
        match axum::Json::from_request(request, state).await {
            Ok(axum::Json(value)) => Ok(Self(value)),
            Err(JsonRejection::BytesRejection(error))
                if error.status() == StatusCode::PAYLOAD_TOO_LARGE =>
            {
                Err(AppError::TooLarge)
            }
            Err(JsonRejection::MissingJsonContentType(_)) => {
                Err(AppError::BadRequest("the content type is not application/json".to_owned()))
            }
            Err(error) => Err(AppError::BadRequest(error.body_text())),
        }
    }
}

pub struct Path<T>(pub T);

impl<T: DeserializeOwned + Send, S: Send + Sync> FromRequestParts<S> for Path<T> {
    type Rejection = AppError;

    async fn from_request_parts(parts: &mut Parts, state: &S) -> Result<Self, AppError> {
        let path = axum::extract::Path::from_request_parts(parts, state).await;
        let bad = |error: PathRejection| AppError::BadRequest(error.body_text());
        path.map(|axum::extract::Path(value)| Self(value)).map_err(bad)
    }
}

pub struct Query<T>(pub T);

impl<T: DeserializeOwned, S: Send + Sync> FromRequestParts<S> for Query<T> {
    type Rejection = AppError;

    async fn from_request_parts(parts: &mut Parts, state: &S) -> Result<Self, AppError> {
        let query = axum::extract::Query::from_request_parts(parts, state).await;
        let bad = |error: QueryRejection| AppError::BadRequest(error.body_text());
        query.map(|axum::extract::Query(value)| Self(value)).map_err(bad)
    }
}

/// The part of a list that is asked for.
#[derive(Debug, Clone, Copy, Deserialize)]
pub struct Page {
    pub limit: Option<i64>,
    pub offset: Option<i64>,
}

impl Page {
    pub fn limit(self) -> i64 {
        self.limit.unwrap_or(20).clamp(1, 100)
    }

    pub fn offset(self) -> i64 {
        self.offset.unwrap_or(0).max(0)
    }
}

/// Collects what is wrong with the fields of a request.
#[derive(Default)]
pub struct Checks {
    wrong: BTreeMap<&'static str, String>,
}

impl Checks {
    pub fn that(mut self, holds: bool, field: &'static str, message: &str) -> Self {
        if !holds {
            self.wrong.entry(field).or_insert_with(|| message.to_owned());
        }
        self
    }

    /// A text that is not blank, of at most `longest` characters.
    pub fn text(self, text: &str, field: &'static str, longest: usize) -> Self {
        let short_enough = text.chars().count() <= longest;
        self.that(!text.trim().is_empty(), field, "is empty")
            .that(short_enough, field, &format!("is longer than {longest} characters"))
            .that(!text.contains('\0'), field, "has a character that is not allowed")
    }

    pub fn done(self) -> Result<(), AppError> {
        if self.wrong.is_empty() { Ok(()) } else { Err(AppError::Invalid(self.wrong)) }
    }
}
