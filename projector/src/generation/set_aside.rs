//! What a generation has set aside: the records that it could not fold, by reason. A generation
//! that has set aside more than the live one shows less of the log, so only an operator can promote
//! it.

use read_model::operate::set_aside;
use sqlx::PgConnection;

/// Records that a generation could not fold.
#[derive(Debug, Clone, Default, PartialEq, Eq, serde::Serialize)]
#[serde(rename_all = "camelCase")]
pub struct SetAside {
    /// Parked users. A record of `users.events` without an owner counts as one.
    pub users: i64,
    /// Records of both topics.
    pub records: i64,
    /// The number of records for each reason, the most frequent reason first.
    pub reasons: Vec<Reason>,
}

/// The records that were set aside for one reason.
#[derive(Debug, Clone, PartialEq, Eq, serde::Serialize)]
#[serde(rename_all = "camelCase")]
pub struct Reason {
    /// The code of the reason.
    pub reason: String,
    /// The number of records.
    pub records: i64,
}

impl SetAside {
    /// What a generation has set aside.
    ///
    /// # Errors
    /// PostgreSQL can't be asked.
    pub(super) async fn of(connection: &mut PgConnection, generation: i32) -> sqlx::Result<Self> {
        let users = set_aside::users(connection, generation).await?;
        let rows = set_aside::reasons(connection, generation).await?;
        let reasons: Vec<_> = rows.into_iter().map(|(reason, records)| Reason { reason, records }).collect();
        let records = reasons.iter().map(|reason| reason.records).sum();
        Ok(Self { users, records, reasons })
    }

    /// Whether this is more than another generation has set aside.
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
