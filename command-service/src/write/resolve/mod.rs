//! Step 6: find out what became of a write after its request was answered.
//!
//! - The event is in the log, but not folded in time: [`follow_up`] waits for it.
//! - The append was not confirmed: [`unconfirmed`] looks for the event in the log.
//!
//! Either way the request is answered, so only its analytic FAIL may remain to be recorded, by
//! [`deferred_outcome`]. SUCCESS is derived from the log.

mod deferred_outcome;
mod event_lookup;
mod follow_up;
mod unconfirmed;

pub(crate) use deferred_outcome::DeferredOutcome;
pub(crate) use event_lookup::EventLookup;
pub(crate) use follow_up::FollowUps;
pub(crate) use unconfirmed::UnconfirmedAppends;

use super::{Appended, UserLock, Writer};
use std::sync::Arc;

impl Writer {
    /// Follows up a write that is answered before its outcome is known.
    pub(crate) fn follow_up(
        self: &Arc<Self>,
        appended: &Appended,
        lock: Option<UserLock>,
        deferred: DeferredOutcome,
    ) {
        let (writer, event) = (self.clone(), appended.event.clone());
        let on_log_replaced = move |deferred| writer.unconfirmed.add(event, deferred);
        self.follow_ups.start(appended.position, lock, deferred, on_log_replaced);
    }
}
