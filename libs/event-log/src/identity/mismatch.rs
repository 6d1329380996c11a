//! What an operator is told about a log that is not the one that was folded.

use super::Altered;
use crate::Halt;
use std::fmt;

impl fmt::Display for Altered {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let Self { topics, found, folded } = self;
        write!(
            f,
            "the partition count of the log changed: {} has {} partitions and {} has {}, but the log was folded with {folded}. \
             A user's partition depends on that number, so the next event of a user would be in another partition than the earlier ones. \
             Folding has stopped, and nothing is lost. Keep both topics. Copy them with `rollcall log copy --to-prefix PREFIX`, then set \
             ROLLCALL_TOPIC_PREFIX=PREFIX, restart everything with it, and run `rollcall projection rebuild --promote`; docs/operate.md shows the way",
            topics.users, found.users, topics.credentials, found.credentials
        )
    }
}

impl From<Altered> for Halt {
    fn from(altered: Altered) -> Self {
        Self(altered.to_string())
    }
}

/// The error for a replaced log: an operator must decide what to do with it.
pub fn log_replaced() -> Halt {
    Halt(
        "the log is not the one that was folded: its topics were recreated, or belong to another prefix. If that was not intended, restore the \
         topics (or ROLLCALL_TOPIC_PREFIX), then run `rollcall projection resume`. To continue with this log, run `rollcall projection rebuild --promote`: \
         it folds what this log contains, and keeps the current read model as the retired generation"
            .to_owned(),
    )
}
