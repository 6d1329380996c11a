//! What is reported of a comparison, and when nothing may be repaired.

use super::{Beginning, FoldedUser, Repair, UserFold};
use events_schema::{ReasonCode, Topic};
use read_model::write::{Comparison, RepairedUser};

/// What the fold knows besides the rows.
pub(super) struct Reading {
    beginning: Beginning,
    first_offset: i64,
    records: u64,
    may_be_cut: bool,
}

impl Reading {
    pub(super) fn of(fold: &UserFold) -> Self {
        Self {
            beginning: fold.beginning,
            first_offset: fold.first_offset,
            records: fold.records,
            may_be_cut: fold.may_be_cut(),
        }
    }

    /// The report of a comparison.
    pub(super) fn report(&self, user: &RepairedUser, comparison: &Comparison) -> Repair {
        let refused = if comparison.fields.is_empty() && comparison.not_set_aside.is_empty() {
            None
        } else {
            self.cut(user).or_else(|| not_folded(comparison))
        };
        let folded = match (user.effects.users.is_empty(), user.is_deleted()) {
            (_, true) => FoldedUser::Deleted,
            (false, false) => FoldedUser::Present,
            (true, false) => FoldedUser::Unknown,
        };
        Repair {
            user: folded,
            partition: user.partition,
            began_at: self.beginning,
            is_key_missing: user.set_aside.iter().any(|(.., reason)| reason.code == ReasonCode::KeyMissing),
            records: self.records,
            differences: comparison.fields.iter().map(|field| (*field).to_owned()).collect(),
            waiting: comparison.remaining.len(),
            repaired: false,
            refused,
        }
    }

    /// What was cut off the log may be what the read model has more.
    fn cut(&self, user: &RepairedUser) -> Option<String> {
        let (topic, first) = if self.may_be_cut {
            (Topic::Users, self.first_offset)
        } else if self.beginning.credentials > 0 {
            (Topic::Credentials, self.beginning.credentials)
        } else {
            return None;
        };
        Some(format!(
            "partition {} of {} begins at offset {first}, not at 0, and what was cut off may be about this user",
            user.partition,
            name(topic)
        ))
    }
}

/// An event that can't be folded, though the read model has not set it aside: without it, the user would
/// fall back to an older state.
fn not_folded(comparison: &Comparison) -> Option<String> {
    let (topic, offset, reason) = comparison.not_set_aside.first()?;
    let event = format!("the event at offset {offset} of the user's partition of {}", name(*topic));
    Some(match reason.code {
        ReasonCode::KeyMissing => format!(
            "{event} can't be opened. The data key of this user is missing: restore the key store from its backup"
        ),
        ReasonCode::NotOpened => format!(
            "{event} can't be opened. The user has another data key: restore the key store from its backup"
        ),
        _ => format!(
            "{event} can't be folded: {reason}. `rollcall projection rebuild --promote --accept-set-aside` sets it aside, as a new dead letter"
        ),
    })
}

fn name(topic: Topic) -> &'static str {
    match topic {
        Topic::Users => "users.events",
        Topic::Credentials => "users.credentials",
    }
}
