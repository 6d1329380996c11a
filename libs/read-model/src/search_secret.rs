//! The secret under which terms are hashed. Each deployment has one, in the read model itself.

use domain::{
    codec::Secret,
    terms::{LinkParts, TermKey},
};
use events_schema::{TenantId, personal::Claims};
use sqlx::PgExecutor;
use uuid::Uuid;

/// The secret. A read model that was made anew has another one, with another id.
#[derive(Clone)]
pub struct SearchSecret {
    /// Its id.
    pub(crate) id: Uuid,
    secret: Secret,
}

impl SearchSecret {
    /// Reads the secret.
    ///
    /// # Errors
    /// PostgreSQL fails or can't be reached, or the read model is older than search by postings.
    pub(crate) async fn load(executor: impl PgExecutor<'_>) -> sqlx::Result<Self> {
        let row = sqlx::query_as("SELECT id, secret FROM rollcall.search_secret");
        let (id, secret): (Uuid, Vec<u8>) = row.fetch_one(executor).await?;
        let secret = Secret::of_bytes(&secret).ok_or(sqlx::Error::RowNotFound)?;
        Ok(Self { id, secret })
    }

    pub(crate) fn key(&self, tenant: &TenantId) -> TermKey {
        TermKey::new(&self.secret, tenant)
    }

    /// The terms of a user as PostgreSQL prints an array of them.
    pub(crate) fn printed_terms(&self, tenant: &TenantId, claims: &Claims, link: LinkParts<'_>) -> String {
        let terms = self.key(tenant).of_user(claims, link);
        let terms: Vec<String> = terms.iter().map(i64::to_string).collect();
        format!("{{{}}}", terms.join(","))
    }
}

#[cfg(test)]
impl SearchSecret {
    pub(crate) fn of_tests() -> Self {
        Self { id: Uuid::nil(), secret: Secret::from([7; 32]) }
    }
}
