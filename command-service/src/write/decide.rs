//! Step 3: decide which event to append.

use super::{Failure, Write, Writer};
use crate::problems;
use domain::{
    command::User,
    decide::{Decision, Refusal, decide},
};
use service_kit::position::LogPosition;

impl Writer {
    /// Decides on a write. `lost` is the position of its last event that lost against another
    /// writer's, if there is one.
    pub(super) fn decide(
        &self,
        write: &Write,
        user: &User,
        lost: Option<LogPosition>,
    ) -> Result<Decision, Failure> {
        let decision = decide(&write.command, user, write.precondition.as_ref());
        let decision = decision.map_err(|refusal| self.refused(refusal, lost))?;
        if self.log_watch.is_replaced() {
            return Err(problems::log_replaced().into());
        }
        Ok(decision)
    }

    /// A refusal must not rest on a read model that lags behind the log. Once an event of this
    /// write was folded, the user's partition has caught up.
    fn refused(&self, refusal: Refusal, lost: Option<LogPosition>) -> Failure {
        if lost.is_none() && self.projection.is_catching_up() {
            return problems::catching_up().into();
        }
        Failure::Refused { refusal, position: lost }
    }
}
