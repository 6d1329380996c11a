//! Which deployment a key store belongs to. Two deployments sharing one by mistake would destroy
//! each other's keys. So the store is bound to the first, and any other is refused.

use super::{ANSWER_TIMEOUT, Keys, KeysError, schema, store};
use service_kit::database::{self, Role, answered};
use sqlx::PgPool;
use uuid::Uuid;

/// What a key store is bound to.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Binding {
    /// The deployment.
    pub deployment: Uuid,
    /// The ids of its logs.
    pub logs: Vec<String>,
}

/// The error for a key store that belongs to another deployment, worded for the operator.
pub fn wrong_deployment(is_separate: bool, belongs_to: Uuid, ours: Option<Uuid>) -> String {
    let setting = if is_separate { "ROLLCALL_KEYS_DATABASE_URL" } else { "DATABASE_URL" };
    let ours = ours.map_or("a deployment that has no id yet".to_owned(), |ours| format!("deployment {ours}"));
    format!(
        "{setting}: the key store belongs to deployment {belongs_to}, and this is {ours}. Nothing was changed. Point the setting at this \
         deployment's own key store. If it is the right one (a backup was restored, or the read model was recreated), run `rollcall keys bind`: \
         it shows what is there and binds it, without destroying a key"
    )
}

impl Keys {
    /// What the key store is bound to. `None` if it does not exist yet, or is older than bindings.
    ///
    /// # Errors
    /// It can't be reached.
    pub async fn binding(&self) -> Result<Option<Binding>, KeysError> {
        let is_there = sqlx::query_scalar(
            "SELECT to_regclass('rollcall_keys.deployment') IS NOT NULL AND to_regclass('rollcall_keys.logs') IS NOT NULL",
        );
        if !answered(ANSWER_TIMEOUT, is_there.fetch_one(&self.0.pool)).await? {
            return Ok(None);
        }
        let bound = sqlx::query_as(
            "SELECT d.id, ARRAY(SELECT l.id FROM rollcall_keys.logs l ORDER BY l.since, l.id) FROM rollcall_keys.deployment d",
        );
        let bound: Option<(Uuid, Vec<String>)> =
            answered(ANSWER_TIMEOUT, bound.fetch_optional(&self.0.pool)).await?;
        Ok(bound.map(|(deployment, logs)| Binding { deployment, logs }))
    }

    /// Binds an unbound key store, or adds these logs if it is bound to this deployment already.
    /// Returns the owner afterwards: another deployment if that was first.
    ///
    /// # Errors
    /// It can't be reached.
    pub async fn bind(&self, deployment: Uuid, logs: &[String]) -> Result<Uuid, KeysError> {
        self.write_binding("ON CONFLICT DO NOTHING", deployment, logs).await
    }

    /// Binds the key store regardless of its current owner. No key is changed.
    ///
    /// # Errors
    /// It can't be reached.
    pub async fn rebind(&self, deployment: Uuid, logs: &[String]) -> Result<(), KeysError> {
        self.delete_foreign_logs(deployment).await?;
        let take_over = "ON CONFLICT (is_one) DO UPDATE SET id = excluded.id, bound_at = now()";
        self.write_binding(take_over, deployment, logs).await.map(drop)
    }

    /// The logs prove that a read model belongs to this deployment, so another deployment's must
    /// not be among them.
    async fn delete_foreign_logs(&self, deployment: Uuid) -> Result<(), KeysError> {
        if self.binding().await?.is_none_or(|bound| bound.deployment == deployment) {
            return Ok(());
        }
        let forget = sqlx::query("DELETE FROM rollcall_keys.logs");
        answered(ANSWER_TIMEOUT, forget.execute(&self.0.pool)).await?;
        Ok(())
    }

    async fn write_binding(
        &self,
        conflict: &'static str,
        deployment: Uuid,
        logs: &[String],
    ) -> Result<Uuid, KeysError> {
        // Not with the role that uses the keys: it has no rights on tables created here.
        let pool = self.owners_pool()?;
        let written = async {
            let mut transaction = pool.begin().await?;
            schema::create(&mut transaction).await?;
            let insert = format!("INSERT INTO rollcall_keys.deployment (id) VALUES ($1) {conflict}");
            sqlx::query(sqlx::AssertSqlSafe(insert)).bind(deployment).execute(&mut *transaction).await?;
            sqlx::query(
                "INSERT INTO rollcall_keys.logs (id) SELECT l FROM unnest($2::text[]) l \
                 WHERE EXISTS (SELECT FROM rollcall_keys.deployment WHERE id = $1) ON CONFLICT DO NOTHING",
            )
            .bind(deployment)
            .bind(logs)
            .execute(&mut *transaction)
            .await?;
            let bound = sqlx::query_scalar("SELECT id FROM rollcall_keys.deployment");
            let bound = bound.fetch_one(&mut *transaction).await?;
            transaction.commit().await?;
            Ok(bound)
        };
        let written: sqlx::Result<Uuid> = answered(ANSWER_TIMEOUT, written).await;
        pool.close().await;
        Ok(written?)
    }

    /// Connections as the user that owns the schema.
    pub(super) fn owners_pool(&self) -> Result<PgPool, KeysError> {
        database::pool(&self.0.url, Role::Projector, 1)
            .map_err(|error| KeysError::NeedsOperator(error.to_string()))
    }

    /// The number of stored keys. 0 if the store does not exist yet.
    ///
    /// # Errors
    /// It can't be reached.
    pub async fn stored(&self) -> Result<u64, KeysError> {
        let is_there = sqlx::query_scalar("SELECT to_regclass('rollcall_keys.data_keys') IS NOT NULL");
        if !answered(ANSWER_TIMEOUT, is_there.fetch_one(&self.0.pool)).await? {
            return Ok(0);
        }
        let count = answered(ANSWER_TIMEOUT, store::count_keys(&self.0.pool)).await?;
        Ok(u64::try_from(count).unwrap_or_default())
    }

    /// Checks that the key store does not belong to another deployment than `ours` (`None`: this
    /// deployment has no id yet).
    ///
    /// # Errors
    /// It does, or can't be reached.
    pub async fn check_binding(&self, ours: Option<Uuid>) -> Result<(), KeysError> {
        match self.binding().await? {
            Some(Binding { deployment, .. }) if Some(deployment) != ours => {
                Err(KeysError::NeedsOperator(wrong_deployment(self.is_separate(), deployment, ours)))
            }
            Some(_) | None => Ok(()),
        }
    }

    /// Why nothing was stored: the key store belongs to another deployment, or to none yet.
    pub(super) async fn not_ours(&self, ours: Uuid) -> KeysError {
        match self.check_binding(Some(ours)).await {
            Err(error) => error,
            Ok(()) => KeysError::Unavailable(
                "it is not bound to a deployment yet: run `rollcall migrate`".to_owned(),
            ),
        }
    }
}
