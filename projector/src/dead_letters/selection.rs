//! Which dead letters an operator asks about.

use super::{LetterId, UserFilter, not_stored, queued::Queued};
use events_schema::ReasonCode;
use read_model::operate::requests::Kind;
use service_kit::settings::Settings;
use sqlx::PgPool;

/// Selects dead letters.
#[derive(Debug, Clone)]
pub enum Selection {
    /// Dead letters by their ids.
    Letters(Vec<LetterId>),
    /// The dead letters of a user.
    User(UserFilter),
    /// The dead letters with a reason.
    Reason(ReasonCode),
}

/// The selected records.
#[derive(Default)]
pub(super) struct Selected {
    pub(super) letters: Vec<Queued>,
    /// Records that are not stored as dead letters.
    pub(super) not_stored: Vec<LetterId>,
}

impl Selection {
    /// Finds the selected records. If one of the ids is wrong, nothing is selected.
    pub(super) async fn find(
        &self,
        settings: &Settings,
        pool: &PgPool,
        kind: Kind,
    ) -> anyhow::Result<Selected> {
        match self {
            Self::Letters(ids) => find_by_id(settings, pool, kind, ids).await,
            Self::User(filter) => {
                let letters = Queued::of_user(pool, filter).await?;
                anyhow::ensure!(!letters.is_empty(), "there is no dead letter of this user");
                Ok(Selected { letters, not_stored: Vec::new() })
            }
            Self::Reason(reason) => {
                anyhow::ensure!(
                    *reason != ReasonCode::Queued,
                    "records with the reason {reason} are sound: they wait behind another record, so discard or retry that one"
                );
                let letters = Queued::with_reason(pool, *reason).await?;
                anyhow::ensure!(!letters.is_empty(), "there is no dead letter with the reason {reason}");
                Ok(Selected { letters, not_stored: Vec::new() })
            }
        }
    }
}

async fn find_by_id(
    settings: &Settings,
    pool: &PgPool,
    kind: Kind,
    ids: &[LetterId],
) -> anyhow::Result<Selected> {
    let mut selected = Selected::default();
    for letter in ids {
        match Queued::find(pool, letter).await? {
            Some(queued) => selected.letters.push(queued),
            None if kind == Kind::Discard => {
                not_stored::check(settings, pool, letter).await?;
                selected.not_stored.push(*letter);
            }
            None => anyhow::bail!(
                "there is no dead letter {letter}: `rollcall dead-letters list` shows those that there are"
            ),
        }
    }
    Ok(selected)
}
