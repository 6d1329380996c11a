//! The outcome of a request that was answered before its outcome was known.

use crate::{metrics, problems};
use events_schema::analytics::Phase;
use read_model::RejectionReason;
use service_kit::{analytics::Data, operation::Call, problem::Problem};

/// A request whose analytic end is still to be recorded, if it failed.
pub(crate) struct DeferredOutcome {
    pub(crate) call: Call,
    /// What the FAIL event says besides the error.
    pub(crate) about: Data,
    /// The problem if another writer's event came first.
    pub(crate) superseded: Problem,
    /// The problem if the user turns out to be deleted.
    pub(crate) deleted: Problem,
}

impl DeferredOutcome {
    /// Records that the event has no effect.
    pub(crate) fn rejected(self, reason: RejectionReason) {
        let problem = match reason {
            RejectionReason::Superseded | RejectionReason::Discarded => self.superseded.clone(),
            RejectionReason::Deleted => self.deleted.clone(),
            RejectionReason::Parked => problems::queued_behind_dead_letter(),
        };
        if reason != RejectionReason::Parked {
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
