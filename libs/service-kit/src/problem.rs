//! The error body of the API: a closed list of codes, each with its status.

use actix_web::{HttpResponse, http::StatusCode, http::header};
use serde::Serialize;
use std::fmt;

/// The codes that a client can get.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize)]
pub enum Code {
    /// 400
    BadRequest,
    /// 401
    Unauthorized,
    /// 403
    Forbidden,
    /// 404
    NotFound,
    /// 405
    MethodNotAllowed,
    /// 409
    Conflict,
    /// 412
    PreconditionFailed,
    /// 413
    PayloadTooLarge,
    /// 415
    UnsupportedMediaType,
    /// 422
    UnprocessableEntity,
    /// 500: a bug in the service, never caused by input alone
    InternalServerError,
    /// 503
    ServiceUnavailable,
}

impl Code {
    /// Every code.
    pub const ALL: [Self; 12] = [
        Self::BadRequest,
        Self::Unauthorized,
        Self::Forbidden,
        Self::NotFound,
        Self::MethodNotAllowed,
        Self::Conflict,
        Self::PreconditionFailed,
        Self::PayloadTooLarge,
        Self::UnsupportedMediaType,
        Self::UnprocessableEntity,
        Self::InternalServerError,
        Self::ServiceUnavailable,
    ];

    /// The HTTP status of the code.
    pub fn status(self) -> StatusCode {
        match self {
            Self::BadRequest => StatusCode::BAD_REQUEST,
            Self::Unauthorized => StatusCode::UNAUTHORIZED,
            Self::Forbidden => StatusCode::FORBIDDEN,
            Self::NotFound => StatusCode::NOT_FOUND,
            Self::MethodNotAllowed => StatusCode::METHOD_NOT_ALLOWED,
            Self::Conflict => StatusCode::CONFLICT,
            Self::PreconditionFailed => StatusCode::PRECONDITION_FAILED,
            Self::PayloadTooLarge => StatusCode::PAYLOAD_TOO_LARGE,
            Self::UnsupportedMediaType => StatusCode::UNSUPPORTED_MEDIA_TYPE,
            Self::UnprocessableEntity => StatusCode::UNPROCESSABLE_ENTITY,
            Self::InternalServerError => StatusCode::INTERNAL_SERVER_ERROR,
            Self::ServiceUnavailable => StatusCode::SERVICE_UNAVAILABLE,
        }
    }
}

/// Where in the request a refused value was.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize)]
#[serde(rename_all = "lowercase")]
pub enum Location {
    /// The JSON body.
    Body,
    /// The query string.
    Query,
    /// The path.
    Params,
    /// The headers.
    Headers,
}

/// The number of refused values that one response names at most.
pub const MAX_DETAILS: usize = 20;

/// One refused value.
#[derive(Clone, PartialEq, Eq, Serialize)]
pub struct Detail {
    /// The value as sent. Omitted if it could be personal data.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub value: Option<String>,
    /// What is wrong with it.
    pub msg: String,
    /// The parameter, or the path in the body (`claims.address.street`).
    pub param: String,
    /// Where it was.
    pub location: Location,
}

/// An error response: the documented `{code, message, details?}`.
#[derive(Clone, PartialEq, Eq, Serialize)]
pub struct Problem {
    /// The code.
    pub code: Code,
    /// A text for people: fixed words, never a value of the request.
    pub message: String,
    /// The refused values, if any.
    #[serde(skip_serializing_if = "Vec::is_empty")]
    pub details: Vec<Detail>,
    /// Additional response headers, such as `Retry-After`.
    #[serde(skip)]
    pub headers: Vec<(&'static str, String)>,
}

impl Problem {
    /// An error with that code and a text for people.
    pub fn new(code: Code, message: impl Into<String>) -> Self {
        Self { code, message: message.into(), details: Vec::new(), headers: Vec::new() }
    }

    /// 400 `Validation Error` about one value. `value` is echoed, so never pass one from the
    /// claims.
    pub fn invalid(
        value: Option<&str>,
        msg: impl Into<String>,
        param: impl Into<String>,
        location: Location,
    ) -> Self {
        Self::new(Code::BadRequest, "Validation Error").detail(Detail {
            // Truncate long values; an error must not echo without limit.
            value: value.map(|value| value.chars().take(256).collect()),
            msg: msg.into(),
            param: param.into(),
            location,
        })
    }

    /// 503 with `Retry-After` in seconds.
    pub fn unavailable(message: impl Into<String>, retry_after: u64) -> Self {
        Self::new(Code::ServiceUnavailable, message).header("Retry-After", retry_after.to_string())
    }

    /// 500. The cause is logged under the request's id; the client sees a fixed text.
    pub fn internal() -> Self {
        Self::new(Code::InternalServerError, "Internal Server Error")
    }

    /// Adds a refused value, unless there are [`MAX_DETAILS`].
    #[must_use]
    pub fn detail(mut self, detail: Detail) -> Self {
        if self.details.len() < MAX_DETAILS {
            self.details.push(detail);
        }
        self
    }

    /// Adds a header.
    #[must_use]
    pub fn header(mut self, name: &'static str, value: impl Into<String>) -> Self {
        self.headers.push((name, value.into()));
        self
    }

    /// The HTTP response.
    pub fn response(&self) -> HttpResponse {
        let mut response = HttpResponse::build(self.code.status());
        for (name, value) in &self.headers {
            response.insert_header((*name, value.as_str()));
        }
        response.insert_header((header::CACHE_CONTROL, "no-store")).json(self)
    }
}

// A detail may hold what a client sent. `{:?}` must not carry it into a log.
impl fmt::Debug for Problem {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "Problem({:?}: {})", self.code, self.message)
    }
}

impl fmt::Display for Problem {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(&self.message)
    }
}

impl std::error::Error for Problem {}

impl actix_web::ResponseError for Problem {
    fn status_code(&self) -> StatusCode {
        self.code.status()
    }

    fn error_response(&self) -> HttpResponse {
        self.response()
    }
}
