//! The response body of a user. It is printed here once, so that no read has to print JSON.

use domain::evolve::user::{Creation, Written};
use events_schema::{UserKey, personal::show};
use read_model::write::{At, UserRow};

/// A user's row, with the body.
pub(crate) fn user_row(
    key: UserKey,
    version: u64,
    created: Option<Creation>,
    written: Written,
    at: At,
) -> UserRow {
    let Written { personal, key_id } = written;
    let body = show(key.user, &personal);
    // A map with string keys and finite numbers always prints.
    let claims = serde_json::to_string(&personal.claims).unwrap_or_default();
    let link = personal.authentication_provider;
    let (provider_id, provider_url, subject_id) =
        link.map_or((None, None, None), |link| (link.provider_id, link.url, Some(link.subject_id)));
    let (created_at, creation_digest) = created.map(|created| (created.at, created.digest)).unzip();
    UserRow {
        key,
        version,
        created_at,
        creation_digest,
        claims,
        provider_id,
        provider_url,
        subject_id,
        body,
        key_id,
        at,
    }
}
