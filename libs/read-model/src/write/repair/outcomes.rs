//! Compares outcomes and dead letters of a user with the log.

use super::{Comparison, RepairedUser};
use crate::{
    RejectionReason,
    generation::statement,
    write::{Remaining, Store},
};
use events_schema::Topic;
use sqlx::PgConnection;
use std::collections::{BTreeMap, BTreeSet};

/// The outcomes of events.
const REJECTIONS: &str =
    "SELECT log_offset, reason FROM {g}.rejections WHERE partition = $1 AND log_offset = ANY ($2)";

/// The dead letters in the user's queue.
const LETTERS: &str = "\
SELECT topic, log_offset FROM {g}.dead_letters \
WHERE at_home AND tenant_id = $1 AND user_id = $2 AND partition = $3";

impl Store {
    pub(super) async fn compare_outcomes(
        &self,
        connection: &mut PgConnection,
        user: &RepairedUser,
        comparison: &mut Comparison,
    ) -> sqlx::Result<()> {
        let rows: Vec<(i64, String)> = sqlx::query_as(statement(REJECTIONS, self.generation))
            .bind(user.partition)
            .bind(&user.offsets)
            .fetch_all(connection)
            .await?;
        let stored: BTreeMap<i64, RejectionReason> =
            rows.into_iter().map(|(offset, reason)| (offset, RejectionReason::of_stored(&reason))).collect();
        let rejections = &user.effects.rejections;
        let expected: BTreeMap<i64, RejectionReason> =
            rejections.iter().map(|row| (row.at.1, row.reason)).collect();
        let differs = |offset: &&i64| {
            let (stored, expected) = (stored.get(*offset).copied(), expected.get(*offset).copied());
            stored.map(|reason| class(user, reason)) != expected.map(|reason| class(user, reason))
        };
        comparison.outcomes = user.offsets.iter().filter(differs).copied().collect();
        if !comparison.outcomes.is_empty() {
            comparison.fields.push("outcomes");
        }
        Ok(())
    }

    pub(super) async fn compare_letters(
        &self,
        connection: &mut PgConnection,
        user: &RepairedUser,
        comparison: &mut Comparison,
    ) -> sqlx::Result<()> {
        let rows: Vec<(String, i64)> =
            self.of_user(LETTERS, user).bind(user.partition).fetch_all(connection).await?;
        let letters: BTreeSet<(Topic, i64)> =
            rows.into_iter().filter_map(|(topic, offset)| Some((Topic::named(&topic)?, offset))).collect();
        let set_aside: BTreeSet<(Topic, i64)> =
            user.set_aside.iter().map(|(topic, offset, _)| (*topic, *offset)).collect();
        comparison.resolved = letters.difference(&set_aside).copied().collect();
        let is_letter = |(topic, offset, _): &Remaining| letters.contains(&(*topic, *offset));
        let (remaining, others): (Vec<_>, Vec<_>) = user.set_aside.iter().cloned().partition(is_letter);
        // Of credentials, not every record that can't be folded is kept as a dead letter.
        let not_set_aside = others.into_iter().filter(|(topic, ..)| *topic == Topic::Users).collect();
        (comparison.remaining, comparison.not_set_aside) = (remaining, not_set_aside);
        if !comparison.resolved.is_empty() {
            comparison.fields.push("deadLetters");
        }
        Ok(())
    }
}

/// Once a user is deleted, nobody can tell any more which events lost a race and which waited for the key.
fn class(user: &RepairedUser, reason: RejectionReason) -> RejectionReason {
    match reason {
        RejectionReason::Parked if user.is_deleted() => RejectionReason::Superseded,
        reason => reason,
    }
}
