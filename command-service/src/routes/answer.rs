//! Responses of writes. A write runs in a task of its own, so its response becomes an
//! `HttpResponse` only at the end.

use crate::{request_headers::etag, write::Appended};
use actix_web::{
    HttpResponse,
    http::{StatusCode, header},
};
use service_kit::{position::LogPosition, problem::Problem};

/// A response other than a problem.
pub(super) struct Answer {
    status: StatusCode,
    headers: Vec<(&'static str, String)>,
    body: Option<String>,
}

impl Answer {
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
        let answer = Self::of(StatusCode::ACCEPTED, None).position(appended.position);
        let answer = if appended.body.is_some() { answer.version(appended.version) } else { answer };
        if is_async { answer.header("Preference-Applied", "respond-async".to_owned()) } else { answer }
    }

    /// 503: the event may be in the log. Its outcome is still open, so this is not a failure.
    pub(super) fn unconfirmed(problem: Problem) -> Self {
        let answer = Self::of(problem.code.status(), serde_json::to_string(&problem).ok());
        let answer = answer.header("Cache-Control", "no-store".to_owned());
        problem.headers.into_iter().fold(answer, |answer, (name, value)| answer.header(name, value))
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

impl From<Answer> for HttpResponse {
    fn from(answer: Answer) -> Self {
        let mut response = Self::build(answer.status);
        for header in answer.headers {
            response.insert_header(header);
        }
        match answer.body {
            Some(body) => response.insert_header((header::CONTENT_TYPE, "application/json")).body(body),
            None => response.finish(),
        }
    }
}
