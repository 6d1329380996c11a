//! What the read model says of a user before a write.

use crate::{problems, together::Together};
use domain::command::User;
use events_schema::{UserKey, personal::AuthenticationProvider};
use service_kit::problem::Problem;
use sqlx::{PgPool, Row as _, postgres::PgRow};
use std::{future::Future, time::Duration};
use uuid::Uuid;

/// For one question.
const ANSWER: Duration = Duration::from_secs(4);

/// Each user that is asked for has one row here, known or not, in the order asked for. Written for [`service_kit::database::by_key`]:
/// `topic <> 'credentials'` and a column that is in no index keep other ways through the tables out.
const USERS: &str = "\
SELECT u.version, u.key_id, u.provider_id, u.provider_url, u.subject_id, t.version IS NOT NULL AS is_deleted, \
    EXISTS (SELECT FROM live.dead_letters d WHERE d.topic <> 'credentials' AND d.at_home AND d.tenant_id = ANY (ARRAY[k.tenant_id]) AND d.user_id = k.id) AS is_parked \
FROM unnest($1::text[], $2::uuid[]) WITH ORDINALITY k(tenant_id, id, n) \
LEFT JOIN live.users u ON u.tenant_id = ANY (ARRAY[k.tenant_id]) AND u.id = k.id \
LEFT JOIN live.tombstones t ON t.tenant_id = ANY (ARRAY[k.tenant_id]) AND t.id = k.id \
ORDER BY k.n";

/// A user as it is now, and what tells whether it was made of the same body.
const MADE: &str =
    "SELECT version, body, creation_digest, key_id FROM live.users WHERE tenant_id = $1 AND id = $2";

/// A user that is there.
pub(crate) struct Made {
    pub(crate) version: u64,
    /// Ready to be answered.
    pub(crate) body: String,
    /// Of the create.
    pub(crate) digest: Vec<u8>,
    /// The key under which its last event is sealed; none where it is older than keys.
    pub(crate) key_id: Option<Uuid>,
}

/// The steps of an erasure that are not done yet: those about a key come first.
const LEFT: &str = "SELECT max(step) FROM rollcall.erasures WHERE tenant_id = $1 AND user_id = $2";

/// What is left of the erasure of a user that is deleted.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum Left {
    /// Nothing.
    Nothing,
    /// The key, which is in another database: most likely it is being destroyed now.
    Key,
    /// A body in a cache that does not answer.
    Body,
}

/// What is known of a user before a write.
#[derive(Debug, Clone, PartialEq)]
pub(crate) struct Known {
    pub(crate) user: User,
    /// The key under which its last event is sealed; none where it is older than keys.
    pub(crate) key_id: Option<Uuid>,
}

/// Asks the read model.
pub(crate) struct States {
    pool: PgPool,
    users: Together<UserKey, Result<Known, Problem>>,
}

impl States {
    pub(crate) fn new(pool: PgPool) -> Self {
        let asked = pool.clone();
        let users = Together::new(ANSWER, move |keys| {
            let pool = asked.clone();
            async move { users(&pool, &keys).await }
        });
        Self { pool, users }
    }

    /// What a decision must know of a user.
    pub(crate) async fn user(&self, key: &UserKey) -> Result<Known, Problem> {
        self.users.ask(key.clone()).await.unwrap_or_else(|| Err(problems::no_read_model()))
    }

    /// What is left of the erasure of a user that is deleted.
    pub(crate) async fn left(&self, key: &UserKey) -> Result<Left, Problem> {
        let query = sqlx::query_scalar(LEFT).bind(key.tenant.as_str()).bind(key.user);
        let step: Option<String> = answered(query.fetch_one(&self.pool)).await?;
        Ok(match step.as_deref() {
            None => Left::Nothing,
            Some("key") => Left::Key,
            Some(_) => Left::Body,
        })
    }

    /// The user as it is now, if it is there.
    pub(crate) async fn made(&self, key: &UserKey) -> Result<Option<Made>, Problem> {
        let query = sqlx::query(MADE).bind(key.tenant.as_str()).bind(key.user);
        answered(async { query.fetch_optional(&self.pool).await?.as_ref().map(made).transpose() }).await
    }
}

/// What there is of each of these users.
async fn users(pool: &PgPool, keys: &[UserKey]) -> Vec<Result<Known, Problem>> {
    let query = sqlx::query(USERS)
        .bind(keys.iter().map(|key| key.tenant.as_str()).collect::<Vec<_>>())
        .bind(keys.iter().map(|key| key.user).collect::<Vec<_>>());
    let all = async { query.fetch_all(pool).await?.iter().map(known).collect::<sqlx::Result<Vec<_>>>() };
    match answered(all).await {
        Ok(all) => all.into_iter().map(Ok).collect(),
        Err(problem) => vec![Err(problem); keys.len()],
    }
}

async fn answered<T>(question: impl Future<Output = sqlx::Result<T>>) -> Result<T, Problem> {
    let error = match tokio::time::timeout(ANSWER, question).await {
        Ok(Ok(answer)) => return Ok(answer),
        Ok(Err(error)) => error.to_string(),
        Err(_) => "no answer in time".to_owned(),
    };
    tracing::warn!(error, "the read model can't be asked about a user");
    Err(problems::no_read_model())
}

fn known(row: &PgRow) -> sqlx::Result<Known> {
    Ok(Known { user: user(row)?, key_id: row.try_get("key_id")? })
}

fn user(row: &PgRow) -> sqlx::Result<User> {
    let version: Option<i64> = row.try_get("version")?;
    Ok(match version.and_then(|version| version.try_into().ok()) {
        _ if row.try_get("is_deleted")? => User::Deleted,
        _ if row.try_get("is_parked")? => User::Parked,
        Some(version) => User::Present { version, link: link(row)? },
        None => User::Unknown,
    })
}

fn link(row: &PgRow) -> sqlx::Result<Option<AuthenticationProvider>> {
    let (provider_id, url): (Option<Uuid>, _) = (row.try_get("provider_id")?, row.try_get("provider_url")?);
    let subject_id: Option<String> = row.try_get("subject_id")?;
    Ok(subject_id.map(|subject_id| AuthenticationProvider { provider_id, url, subject_id }))
}

fn made(row: &PgRow) -> sqlx::Result<Made> {
    let version: i64 = row.try_get("version")?;
    let version = version.try_into().map_err(|error| sqlx::Error::Decode(Box::new(error)))?;
    Ok(Made {
        version,
        body: row.try_get("body")?,
        digest: row.try_get("creation_digest")?,
        key_id: row.try_get("key_id")?,
    })
}
