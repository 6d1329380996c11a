//! The deployment's id, which binds the key store to the read model. Both hold it. If one of them is
//! new, it takes the id over only with proof that the two belong together; else an operator decides.

use crate::{generation, operate::logs::live_users_topic_id};
use anyhow::Context as _;
use key_store::{Binding, Keys, KeysError, wrong_deployment};
use service_kit::{
    database::{self, Role},
    settings::Settings,
};
use sqlx::{PgConnection, PgPool};
use uuid::Uuid;

/// What the key store is bound to, for operators.
#[derive(Debug, Clone, PartialEq, Eq, serde::Serialize)]
#[serde(rename_all = "camelCase")]
pub struct Bound {
    /// This deployment. `None`: the read model has no id yet.
    pub deployment: Option<Uuid>,
    /// The key store's deployment. `None`: it is not bound yet.
    pub key_store: Option<Uuid>,
    /// The number of keys.
    pub keys: u64,
    /// Whether the key store knows the log of the live generation.
    pub is_log_known: bool,
}

impl Bound {
    /// Whether the two are bound to each other.
    pub fn is_bound(&self) -> bool {
        self.deployment.is_some() && self.deployment == self.key_store
    }
}

/// The id of this deployment. `None`: the read model has none yet.
///
/// # Errors
/// A query failed.
pub async fn id(connection: &mut PgConnection) -> sqlx::Result<Option<Uuid>> {
    let is_there: bool = sqlx::query_scalar("SELECT to_regclass('rollcall.deployment') IS NOT NULL")
        .fetch_one(&mut *connection)
        .await?;
    if !is_there {
        return Ok(None);
    }
    sqlx::query_scalar("SELECT id FROM rollcall.deployment").fetch_optional(connection).await
}

/// Checks that the key store is not another deployment's. Without a read model there is nothing to
/// check yet; the migration does it then.
///
/// # Errors
/// It is one, or a store can't be reached.
pub async fn check(connection: &mut PgConnection, keys: &Keys) -> Result<(), KeysError> {
    let ours = id(&mut *connection).await?;
    let is_model_there: bool =
        sqlx::query_scalar("SELECT to_regclass('live.users') IS NOT NULL").fetch_one(connection).await?;
    if ours.is_none() && !is_model_there {
        return Ok(());
    }
    keys.check_binding(ours).await
}

/// The ids in both stores.
struct Sides {
    model: Option<Uuid>,
    store: Option<Binding>,
    /// The log of the live generation.
    live_log: String,
    /// All logs of this read model.
    logs: Vec<String>,
}

impl Sides {
    async fn look(connection: &mut PgConnection, keys: &Keys) -> anyhow::Result<Self> {
        let logs = "SELECT users_topic_id FROM rollcall.logs ORDER BY epoch";
        Ok(Self {
            model: id(&mut *connection).await?,
            store: keys.binding().await?,
            live_log: live_users_topic_id(connection).await?.context("there is no live generation")?,
            logs: sqlx::query_scalar(logs).fetch_all(connection).await?,
        })
    }

    fn is_log_known(&self) -> bool {
        self.store.as_ref().is_some_and(|store| store.logs.contains(&self.live_log))
    }
}

/// Checks that the key store is this deployment's. Changes nothing.
///
/// # Errors
/// It is not, or there is no proof that it is, or a query failed.
pub async fn prove(pool: &PgPool, keys: &Keys) -> anyhow::Result<()> {
    let mut connection = pool.acquire().await?;
    let sides = Sides::look(&mut connection, keys).await?;
    match (sides.model, &sides.store) {
        (Some(model), Some(store)) if store.deployment == model => Ok(()),
        // The read model is new, or older than ids, and has the same log.
        (None, Some(_)) if sides.is_log_known() => Ok(()),
        (model, Some(store)) => anyhow::bail!(wrong_deployment(keys.is_separate(), store.deployment, model)),
        (_, None) => prove_unbound(&mut connection, keys).await,
    }
}

/// For a key store without a binding. In the read model's own database it is nobody else's.
async fn prove_unbound(connection: &mut PgConnection, keys: &Keys) -> anyhow::Result<()> {
    let stored = if keys.is_separate() { keys.stored().await? } else { 0 };
    if stored == 0 || has_a_key_of_ours(connection, keys).await? {
        return Ok(());
    }
    anyhow::bail!(
        "ROLLCALL_KEYS_DATABASE_URL: the key store has {stored} keys and is not bound to a deployment, and none of them belongs to a user of \
         this read model, so it may be another deployment's. Nothing was changed. Set the URL of this deployment's own key store. If \
         this is its own, `rollcall keys bind` shows its state and binds it; that destroys no key"
    )
}

/// Users whose keys are looked up, at most.
const MAX_LOOKED_UP: i64 = 1_000;

/// Whether the key store has a key of a user of the live generation. Key ids are random, so one is
/// proof enough.
async fn has_a_key_of_ours(connection: &mut PgConnection, keys: &Keys) -> anyhow::Result<bool> {
    let rows: Vec<(String, Uuid, Uuid)> =
        sqlx::query_as("SELECT tenant_id, id, key_id FROM live.users WHERE key_id IS NOT NULL LIMIT $1")
            .bind(MAX_LOOKED_UP)
            .fetch_all(connection)
            .await?;
    let mut owners = Vec::new();
    let mut ids = Vec::new();
    for (tenant, id, key) in rows {
        owners.push(key_store::Owner { tenant: tenant.parse()?, id });
        ids.push(key);
    }
    Ok(keys.stored_keys_of(&owners).await?.iter().any(|held| ids.contains(&held.id)))
}

/// Binds read model and key store to each other. Call it after [`prove`].
///
/// # Errors
/// The key store was bound to another deployment meanwhile, or a statement failed.
pub async fn bind(pool: &PgPool, keys: &Keys) -> anyhow::Result<()> {
    let mut connection = pool.acquire().await?;
    let sides = Sides::look(&mut connection, keys).await?;
    let id = match (sides.model, &sides.store) {
        (Some(model), _) => model,
        (None, Some(store)) => store.deployment,
        (None, None) => Uuid::new_v4(),
    };
    // The key store first: its binding and its logs are one transaction. If this process dies after
    // it, the log is the proof next time.
    let bound = keys.bind(id, &sides.logs).await?;
    if bound != id {
        // Another process was faster. If it belongs to this deployment, it entered the same log.
        let sides = Sides::look(&mut connection, keys).await?;
        anyhow::ensure!(
            sides.model == Some(bound) || (sides.model.is_none() && sides.is_log_known()),
            wrong_deployment(keys.is_separate(), bound, sides.model)
        );
    }
    enter(&mut connection, bound).await?;
    Ok(())
}

async fn enter(connection: &mut PgConnection, id: Uuid) -> sqlx::Result<()> {
    let insert = "INSERT INTO rollcall.deployment (id) VALUES ($1) ON CONFLICT DO NOTHING";
    sqlx::query(insert).bind(id).execute(connection).await.map(drop)
}

/// What the key store is bound to, and what it would be bound to.
///
/// # Errors
/// A store is unreachable, or there is no read model yet.
pub async fn bound(settings: &Settings) -> anyhow::Result<Bound> {
    let keys = Keys::open(settings)?;
    let pool = database::pool(settings.database_url()?, Role::Projector, 1)?;
    let mut connection = pool.acquire().await?;
    let is_there: bool = sqlx::query_scalar(
        "SELECT to_regclass('rollcall.deployment') IS NOT NULL AND to_regclass('live.users') IS NOT NULL",
    )
    .fetch_one(&mut *connection)
    .await?;
    anyhow::ensure!(
        is_there,
        "there is no read model yet: run `rollcall migrate` first, whatever it reports about the key store"
    );
    let sides = Sides::look(&mut connection, &keys).await?;
    Ok(Bound {
        deployment: sides.model,
        key_store: sides.store.as_ref().map(|store| store.deployment),
        keys: keys.stored().await?,
        is_log_known: sides.is_log_known(),
    })
}

/// Binds the key store to this deployment, whatever it was bound to.
///
/// # Errors
/// A store is unreachable, or there is no read model yet.
pub async fn bind_anew(settings: &Settings) -> anyhow::Result<Bound> {
    let keys = Keys::open(settings)?;
    let pool = database::pool(settings.database_url()?, Role::Projector, 1)?;
    let mut connection = pool.acquire().await?;
    anyhow::ensure!(
        generation::live(&mut connection).await?.is_some(),
        "there is no live generation: run `rollcall migrate` first"
    );
    let sides = Sides::look(&mut connection, &keys).await?;
    let id = sides.model.unwrap_or_else(Uuid::new_v4);
    // A key store that knows this log keeps its id, and with it its keys.
    let id = match &sides.store {
        Some(store) if sides.model.is_none() && sides.is_log_known() => store.deployment,
        _ => id,
    };
    enter(&mut connection, id).await?;
    keys.rebind(id, &sides.logs).await?;
    drop(connection);
    bound(settings).await
}
