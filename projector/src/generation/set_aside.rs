//! What a generation has set aside: the records that it could not fold, by reason. A generation that has set more aside than the live one shows
//! less of the log, so it becomes the live one only where the operator insists.

use read_model::operate::set_aside;
use sqlx::PgConnection;

/// Records that a generation could not fold.
#[derive(Debug, Clone, Default, PartialEq, Eq, serde::Serialize)]
#[serde(rename_all = "camelCase")]
pub struct SetAside {
    /// Users whose facts wait; a record of `users.events` that is nobody's counts as one.
    pub users: i64,
    /// Records, of both topics.
    pub records: i64,
    /// How many for each reason, the most first.
    pub reasons: Vec<Reason>,
}

/// Why records were set aside.
#[derive(Debug, Clone, PartialEq, Eq, serde::Serialize)]
#[serde(rename_all = "camelCase")]
pub struct Reason {
    /// Why, in words that repeat nothing of the records.
    pub reason: String,
    /// How many.
    pub records: i64,
}

impl SetAside {
    /// Of a generation.
    ///
    /// # Errors
    /// Postgres can't be asked.
    pub(super) async fn of(connection: &mut PgConnection, generation: i32) -> sqlx::Result<Self> {
        let users = set_aside::users(connection, generation).await?;
        let rows = set_aside::reasons(connection, generation).await?;
        let reasons: Vec<_> = rows.into_iter().map(|(reason, records)| Reason { reason, records }).collect();
        let records = reasons.iter().map(|reason| reason.records).sum();
        Ok(Self { users, records, reasons })
    }

    /// Whether it is more than another generation has set aside.
    #[must_use]
    pub fn is_more_than(&self, other: &Self) -> bool {
        self.users > other.users || self.records > other.records
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn more_users_or_more_records_are_more() {
        let set_aside = |users, records| SetAside { users, records, reasons: Vec::new() };
        let live = set_aside(2, 5);
        for (users, records, is_more) in [(2, 5, false), (1, 5, false), (3, 3, true), (1, 6, true)] {
            assert_eq!(set_aside(users, records).is_more_than(&live), is_more, "{users}, {records}");
        }
    }
}
