//! The origin of new keys: this deployment and its live log, as the read model names them.

use key_store::{Keys, KeysError, Origin};
use read_model::read::deployment::{LiveDeployment, deployment_id, live_deployment};
use sqlx::PgPool;
use std::{
    sync::{Mutex, PoisonError},
    time::Duration,
};

/// How long one query may take.
const QUERY_TIMEOUT: Duration = Duration::from_secs(4);
/// How long the check at the start may take.
const START_TIMEOUT: Duration = Duration::from_secs(3);

/// Reads the origin from the read model, once for each log.
pub(crate) struct Origins {
    pool: PgPool,
    cached: Mutex<Option<(u32, Origin)>>,
}

impl Origins {
    pub(crate) fn new(pool: PgPool) -> Self {
        Self { pool, cached: Mutex::default() }
    }

    /// The origin of a key whose event is appended to the log of that epoch.
    pub(crate) async fn of_epoch(&self, epoch: u32) -> Result<Origin, KeysError> {
        let cached = self.cached.lock().unwrap_or_else(PoisonError::into_inner).clone();
        if let Some((_, origin)) = cached.filter(|(cached, _)| *cached == epoch) {
            return Ok(origin);
        }
        let (origin, epoch) = self.query().await?;
        *self.cached.lock().unwrap_or_else(PoisonError::into_inner) = Some((epoch, origin.clone()));
        Ok(origin)
    }

    /// The origin of a key whose event is appended to the live log.
    pub(crate) async fn current(&self) -> Result<Origin, KeysError> {
        Ok(self.query().await?.0)
    }

    async fn query(&self) -> Result<(Origin, u32), KeysError> {
        let found = match tokio::time::timeout(QUERY_TIMEOUT, live_deployment(&self.pool)).await {
            Ok(Ok(found)) => found,
            Ok(Err(error)) => {
                tracing::warn!(%error, "the read model can't be queried for its deployment");
                return Err(KeysError::Unavailable(
                    "the read model does not say what its keys are made for".to_owned(),
                ));
            }
            Err(_) => return Err(KeysError::NoAnswer),
        };
        let LiveDeployment { id: deployment, log, epoch } = found.ok_or_else(|| {
            KeysError::Unavailable(
                "the read model has no deployment's id yet: run `rollcall migrate`".to_owned(),
            )
        })?;
        Ok((Origin { deployment, log }, epoch))
    }
}

/// Checks at the start that the key store belongs to this deployment, if both databases answer.
///
/// # Errors
/// The key store belongs to another deployment.
pub(crate) async fn check_binding(pool: &PgPool, keys: &Keys) -> anyhow::Result<()> {
    let check = async {
        match deployment_id(pool).await? {
            ours @ Some(_) => keys.check_binding(ours).await,
            // The migration checks it, and no key is created before that.
            None => Ok(()),
        }
    };
    match tokio::time::timeout(START_TIMEOUT, check).await {
        Ok(Err(refused @ KeysError::NeedsOperator(_))) => Err(refused.into()),
        // Services may start in any order. It is checked again whenever a key is created.
        Ok(_) | Err(_) => Ok(()),
    }
}
