//! The end of a request that was answered before it was known what would become of it.

use crate::{metrics, problems, rejection::Rejection};
use events_schema::analytics::Phase;
use service_kit::{analytics::Data, operation::Call, problem::Problem};

/// A request without its end. SUCCESS comes from the log, so only a failure is left to be said.
pub(crate) struct OpenEnd {
    pub(crate) call: Call,
    /// What FAIL says beside the error.
    pub(crate) about: Data,
    /// If another writer came first.
    pub(crate) superseded: Problem,
    /// If the user turned out to be deleted.
    pub(crate) deleted: Problem,
}

impl OpenEnd {
    /// Its event has no effect.
    pub(crate) fn rejected(self, rejection: Rejection) {
        let problem = match rejection {
            Rejection::Superseded => self.superseded.clone(),
            Rejection::Deleted => self.deleted.clone(),
            Rejection::Parked => problems::queued(),
        };
        if rejection != Rejection::Parked {
            metrics::superseded();
        }
        self.fail(&problem);
    }

    /// Records FAIL.
    pub(crate) fn fail(self, problem: &Problem) {
        let failed = self.about.failed(&format!("{:?}", problem.code), &problem.message);
        self.call.recorder.record(&self.call.context, self.call.operation, Phase::Fail, failed);
    }
}
