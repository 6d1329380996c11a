//! A key that is not there although nothing deleted its user: said aloud, so that somebody restores the key store before more is lost.

use crate::{metrics, problems, write::Writer};
use domain::command::User;
use events_schema::UserKey;
use service_kit::problem::Problem;

impl Writer {
    /// Whether a key that was not found is missing, which is told. A delete that came in between has taken it along: that is nobody's loss.
    /// A read model that was restored may not know of that delete yet.
    pub(crate) async fn is_key_missing(&self, key: &UserKey) -> Result<bool, Problem> {
        if self.visible.is_catching_up() {
            return Err(problems::catching_up());
        }
        match self.states.user(key).await?.user {
            User::Unknown | User::Deleted => Ok(false),
            User::Present { .. } | User::Parked => {
                metrics::missing_key();
                tracing::error!(
                    tenant = %key.tenant,
                    user = %key.user,
                    "a user's key is missing though nothing deleted them: restore the key store"
                );
                Ok(true)
            }
        }
    }
}
