//! The ready response body of a user, made once here so that no read has to print JSON.

use crate::effects::{At, UserRow};
use domain::evolve::user::{Creation, Written};
use events_schema::{UserKey, personal::show};

/// A user's row, printed.
pub(crate) fn user_row(
    key: UserKey,
    version: u64,
    created: Option<Creation>,
    written: Written,
    at: At,
) -> UserRow {
    let Written { personal, key_id } = written;
    let body = show(key.user, &personal);
    // A map with string keys and finite numbers: nothing in it can fail to print.
    let claims = serde_json::to_string(&personal.claims).unwrap_or_default();
    let link = personal.authentication_provider;
    let (provider_id, provider_url, subject_id) =
        link.map_or((None, None, None), |link| (link.provider_id, link.url, Some(link.subject_id)));
    UserRow { key, version, created, claims, provider_id, provider_url, subject_id, body, key_id, at }
}
