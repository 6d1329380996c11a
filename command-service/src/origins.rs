//! What new keys are made for: this deployment and its present log, as the read model names them.

use key_store::{Keys, KeysError, Origin};
use sqlx::PgPool;
use std::{
    sync::{Mutex, PoisonError},
    time::Duration,
};
use uuid::Uuid;

/// For one question.
const ANSWER: Duration = Duration::from_secs(4);
/// For a first look at the start.
const FIRST_LOOK: Duration = Duration::from_secs(3);

const LIVE: &str = "\
SELECT d.id, l.users_topic_id, l.epoch FROM rollcall.deployment d, rollcall.generations g \
JOIN rollcall.logs l ON l.epoch = g.log_epoch WHERE g.state = 'live'";

/// Asks the read model, once for each log.
pub(crate) struct Origins {
    pool: PgPool,
    last: Mutex<Option<(u32, Origin)>>,
}

impl Origins {
    pub(crate) fn new(pool: PgPool) -> Self {
        Self { pool, last: Mutex::default() }
    }

    /// What a key is made for whose event is to be appended to the log of that epoch.
    pub(crate) async fn of(&self, epoch: u32) -> Result<Origin, KeysError> {
        let known = self.last.lock().unwrap_or_else(PoisonError::into_inner).clone();
        if let Some((_, origin)) = known.filter(|(of, _)| *of == epoch) {
            return Ok(origin);
        }
        let (origin, of) = self.live().await?;
        *self.last.lock().unwrap_or_else(PoisonError::into_inner) = Some((of, origin.clone()));
        Ok(origin)
    }

    /// The same of the log that is live now.
    pub(crate) async fn present(&self) -> Result<Origin, KeysError> {
        Ok(self.live().await?.0)
    }

    async fn live(&self) -> Result<(Origin, u32), KeysError> {
        let live = sqlx::query_as(LIVE).fetch_optional(&self.pool);
        let live: Option<(Uuid, String, i32)> = match tokio::time::timeout(ANSWER, live).await {
            Ok(Ok(live)) => live,
            Ok(Err(error)) => {
                tracing::warn!(%error, "the read model can't be asked for its deployment");
                return Err(KeysError::Away(
                    "the read model does not say what its keys are made for".to_owned(),
                ));
            }
            Err(_) => return Err(KeysError::NoAnswer),
        };
        let (deployment, log, epoch) = live.ok_or_else(|| {
            KeysError::Away("the read model has no deployment's id yet: run `rollcall migrate`".to_owned())
        })?;
        Ok((Origin { deployment, log }, u32::try_from(epoch).unwrap_or_default()))
    }
}

/// Refuses to start beside the key store of another deployment, where both stores answer.
///
/// # Errors
/// It is one.
pub(crate) async fn try_out(pool: &PgPool, keys: &Keys) -> anyhow::Result<()> {
    let look = async {
        let ours: Option<Uuid> =
            sqlx::query_scalar("SELECT id FROM rollcall.deployment").fetch_optional(pool).await?;
        match ours {
            Some(_) => keys.check_binding(ours).await,
            // The migration looks, and without it no key is made.
            None => Ok(()),
        }
    };
    match tokio::time::timeout(FIRST_LOOK, look).await {
        Ok(Err(refused @ KeysError::Refused(_))) => Err(refused.into()),
        // Start order does not matter: it is asked again whenever a key is made.
        Ok(_) | Err(_) => Ok(()),
    }
}
