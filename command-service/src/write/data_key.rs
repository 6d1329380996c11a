//! Step 3, second half: the key that will seal the event.

use super::{Write, Writer};
use crate::{metrics, problems};
use domain::{
    codec::owner,
    command::{Command, User},
};
use events_schema::UserKey;
use key_store::DataKey;
use read_model::projection_position::LiveLog;
use service_kit::problem::Problem;
use std::sync::Arc;
use uuid::Uuid;

impl Writer {
    /// The key that seals the event; `None` for a delete. The key of a create is stored before its
    /// event is appended. A missing key is never replaced, because everything sealed under it would
    /// be lost silently.
    pub(super) async fn data_key(
        &self,
        write: &Write,
        key_id: Option<Uuid>,
        prefetched: Option<Arc<DataKey>>,
        log: LiveLog,
    ) -> Result<Option<Arc<DataKey>>, Problem> {
        let owner = owner(&write.key);
        let is_new = match &write.command {
            Command::Delete => return Ok(None),
            Command::Create { .. } => true,
            Command::Update { .. } => key_id.is_none(),
        };
        if is_new {
            return Ok(self.data_keys.get_or_create(&owner, log.epoch).await?);
        }
        let is_own = |key: &Arc<DataKey>| Some(key.id()) == key_id;
        if let Some(key) = prefetched.filter(is_own) {
            return Ok(Some(key));
        }
        // The key may have been created after the first query.
        match self.data_keys.get(&owner).await?.filter(is_own) {
            Some(key) => Ok(Some(key)),
            None if self.is_key_missing(&write.key).await? => Err(problems::key_is_missing()),
            None => Err(problems::not_found(write.key.user)),
        }
    }

    /// Whether a key that was not found is missing although nothing deleted its user. If so, it is
    /// logged as an error, so that somebody restores the key store before more is lost.
    ///
    /// A concurrent delete also removes the key; that is no loss. A restored read model may not
    /// know of that delete yet.
    pub(crate) async fn is_key_missing(&self, key: &UserKey) -> Result<bool, Problem> {
        if self.projection.is_catching_up() {
            return Err(problems::catching_up());
        }
        match self.users.load(key).await?.user {
            User::Unknown | User::Deleted => Ok(false),
            User::Present { .. } | User::Parked => {
                metrics::missing_key();
                tracing::error!(
                    tenant = %key.tenant,
                    user = %key.user,
                    "a user's key is missing although the user was not deleted: restore the key store"
                );
                Ok(true)
            }
        }
    }
}
