//! A line of a users file.

use super::{Content, ImportedEvent};
use crate::{ids, representation, request_body::Object};
use events_schema::{TenantId, Timestamp, UserKey, millis, personal::Personal};
use key_store::DataKey;
use service_kit::json::{Refusal, Refusals};
use time::{OffsetDateTime, UtcOffset, format_description::well_known::Rfc3339};

/// Parses a line: `{id?, createdAt?, claims?, authenticationProvider?}`.
pub(super) fn event(
    line: &[u8],
    tenant: &TenantId,
    id_secret: &DataKey,
    number: u64,
) -> Result<ImportedEvent, Refusals> {
    let mut object = Object::parse(line, &["id", "createdAt", "claims", "authenticationProvider"])?;
    let (given, created_at) = (object.id("id"), created_at(&mut object));
    let claims = object.claims().unwrap_or_default();
    let personal = Personal { claims, authentication_provider: object.link() };
    object.finish()?;
    let user = given.unwrap_or_else(|| ids::of_content(id_secret, tenant, created_at, &personal));
    let too_long =
        |_| Refusal { path: String::new(), msg: "The user's representation is larger than 257 KiB" };
    representation::of(user, &personal).map_err(too_long)?;
    let key = UserKey { tenant: tenant.clone(), user };
    let created_at = created_at.unwrap_or_else(|| millis(OffsetDateTime::now_utc()));
    Ok(ImportedEvent {
        line: number,
        identity: (user, user),
        key,
        content: Content::User(created_at, personal),
    })
}

/// `createdAt`, if given and valid, truncated to milliseconds.
pub(super) fn created_at(object: &mut Object) -> Option<Timestamp> {
    const NAME: &str = "createdAt";
    let text = object.text(NAME)?;
    let at = OffsetDateTime::parse(&text, &Rfc3339).ok().and_then(|at| at.checked_to_offset(UtcOffset::UTC));
    // The log's format has years of four digits only.
    let at = at.filter(|at| (0..=9999).contains(&at.year()));
    if at.is_none() {
        object.refuse(NAME, "Must be an RFC 3339 time");
    }
    at.map(millis)
}
