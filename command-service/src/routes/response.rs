//! Responses of writes. A write runs in a task of its own, so its response becomes an
//! `HttpResponse` only at the end.

use crate::{request_headers::etag, write::Appended};
use actix_web::{
    HttpResponse,
    http::{StatusCode, header},
};
use service_kit::{position::LogPosition, problem::Problem};

/// A response other than a problem.
pub(super) struct WriteResponse {
    status: StatusCode,
    headers: Vec<(&'static str, String)>,
    body: Option<String>,
}

impl WriteResponse {
    fn of(status: StatusCode, body: Option<String>) -> Self {
        Self { status, headers: Vec::new(), body }
    }

    /// The user after an accepted event.
    pub(super) fn user(status: StatusCode, appended: Appended) -> Self {
        Self::of(status, appended.body).version(appended.version).position(appended.position)
    }

    /// 200: the user exists already.
    pub(super) fn existing(version: u64, body: String) -> Self {
        Self::of(StatusCode::OK, Some(body)).version(version)
    }

    /// 204: the user was deleted.
    pub(super) fn deleted(appended: &Appended) -> Self {
        Self::of(StatusCode::NO_CONTENT, None).position(appended.position)
    }

    /// 202: the event is in the log. After a delete there is no version to name.
    pub(super) fn pending(appended: &Appended, is_async: bool) -> Self {
        let response = Self::of(StatusCode::ACCEPTED, None).position(appended.position);
        let response = if appended.body.is_some() { response.version(appended.version) } else { response };
        if is_async { response.header("Preference-Applied", "respond-async".to_owned()) } else { response }
    }

    /// 503: the event may be in the log. Its outcome is still open, so this is not a failure.
    pub(super) fn unconfirmed(problem: Problem) -> Self {
        let response = Self::of(problem.code.status(), serde_json::to_string(&problem).ok());
        let response = response.header("Cache-Control", "no-store".to_owned());
        problem.headers.into_iter().fold(response, |response, (name, value)| response.header(name, value))
    }

    pub(super) fn position(self, position: LogPosition) -> Self {
        self.header("Log-Position", position.to_string())
    }

    pub(super) fn location(self, location: String) -> Self {
        self.header("Location", location)
    }

    fn version(self, version: u64) -> Self {
        self.header("ETag", etag(version))
    }

    fn header(mut self, name: &'static str, value: String) -> Self {
        self.headers.push((name, value));
        self
    }
}

impl From<WriteResponse> for HttpResponse {
    fn from(response: WriteResponse) -> Self {
        let mut http = Self::build(response.status);
        for header in response.headers {
            http.insert_header(header);
        }
        match response.body {
            Some(body) => http.insert_header((header::CONTENT_TYPE, "application/json")).body(body),
            None => http.finish(),
        }
    }
}
