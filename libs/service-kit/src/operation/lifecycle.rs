//! The analytic events of a request: one START, and its end unless that comes from elsewhere
//! ([`Completed::success`] is `None`).

use super::{Call, Completed};
use crate::{
    analytics::{Data, Recorder, RequestContext},
    problem::Problem,
};
use events_schema::analytics::{Operation, Phase};
use std::sync::Arc;

/// The ends of requests that were dropped or panicked.
const CLIENT_CLOSED: (&str, &str) = ("ClientClosedRequest", "The client went away before the answer");
const PANICKED: (&str, &str) = ("InternalServerError", "Internal Server Error");

/// Follows one request. If it is dropped without an end, because the future was dropped or
/// panicked, it records what is missing.
pub(super) struct Lifecycle {
    recorder: Recorder,
    context: Arc<RequestContext>,
    operation: Operation,
    fail: Data,
    is_started: bool,
    is_ended: bool,
}

impl Lifecycle {
    pub(super) fn new(call: &Call) -> Self {
        Self {
            recorder: call.recorder.clone(),
            context: call.context.clone(),
            operation: call.operation,
            fail: Data::default(),
            is_started: false,
            is_ended: false,
        }
    }

    /// Records START. Keeps the data of a possible FAIL.
    pub(super) fn start(&mut self, start: Data, fail: Data) {
        self.is_started = true;
        self.fail = fail;
        self.record(Phase::Start, start);
    }

    /// Records the end and returns the response.
    pub(super) fn end<R>(mut self, outcome: Result<Completed<R>, Problem>) -> Result<R, Problem> {
        self.is_ended = true;
        match outcome {
            Ok(Completed { response, success }) => {
                if let Some(data) = success {
                    self.record(Phase::Success, data);
                }
                Ok(response)
            }
            Err(problem) => {
                self.fail(&format!("{:?}", problem.code), &problem.message);
                Err(problem)
            }
        }
    }

    fn fail(&mut self, error_type: &str, message: &str) {
        let about = std::mem::take(&mut self.fail);
        self.record(Phase::Fail, about.failed(error_type, message));
    }

    fn record(&self, phase: Phase, data: Data) {
        self.recorder.record(&self.context, self.operation, phase, data);
    }
}

impl Drop for Lifecycle {
    fn drop(&mut self) {
        if !self.is_started {
            self.record(Phase::Start, Data::default());
        }
        if !self.is_ended {
            let (error_type, message) = if std::thread::panicking() { PANICKED } else { CLIENT_CLOSED };
            self.fail(error_type, message);
        }
    }
}
