//! The ready response body of a user, made once here so that no read has to print JSON.

use crate::{
    effects::{At, UserRow},
    fold::user::Creation,
};
use events_schema::{
    UserKey,
    personal::{AuthenticationProvider, Claims, Personal},
};
use serde::Serialize;
use uuid::Uuid;

#[derive(Serialize)]
#[serde(rename_all = "camelCase")]
struct Body<'a> {
    id: Uuid,
    claims: &'a Claims,
    #[serde(skip_serializing_if = "Option::is_none")]
    authentication_provider: Option<&'a AuthenticationProvider>,
}

/// A user's row, printed.
pub(crate) fn user_row(
    key: UserKey,
    version: u64,
    created: Option<Creation>,
    personal: Personal,
    at: At,
) -> UserRow {
    let link = personal.authentication_provider.as_ref();
    let body = Body { id: key.user, claims: &personal.claims, authentication_provider: link };
    // Maps with string keys and finite numbers: nothing in these types can fail to print.
    let print = |value: serde_json::Result<String>| value.unwrap_or_default();
    let (claims, body) =
        (print(serde_json::to_string(&personal.claims)), print(serde_json::to_string(&body)));
    let link = personal.authentication_provider;
    let (provider_id, provider_url, subject_id) =
        link.map_or((None, None, None), |link| (link.provider_id, link.url, Some(link.subject_id)));
    UserRow { key, version, created, claims, provider_id, provider_url, subject_id, body, at }
}
