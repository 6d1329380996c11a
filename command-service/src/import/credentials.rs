//! A line of a credentials file.

use super::{Content, ImportedEvent, users::created_at};
use crate::request_body::Object;
use events_schema::{
    TenantId, UserKey, WrongMember,
    credential::{CredentialEvent, CredentialIssued},
};
use serde_json::Value;
use service_kit::json::{Refusal, Refusals, check_claims_limits};

/// The members of a line: an item of the credentials list, its user, and its position in the list.
const FIELDS: [&str; 15] = [
    "userId",
    "createdAt",
    "id",
    "type",
    "profile",
    "offerId",
    "sessionId",
    "credentialConfigurationId",
    "issuedDate",
    "validFrom",
    "validUntil",
    "status",
    "devicePublicKey",
    "namespaces",
    "msoHash",
];

/// Parses a line: an item as the list shows it, plus `userId` and optionally `createdAt`.
pub(super) fn event(line: &[u8], tenant: &TenantId, number: u64) -> Result<ImportedEvent, Refusals> {
    let mut object = Object::parse(line, &FIELDS)?;
    let (user, created_at) = (object.id("userId"), created_at(&mut object));
    let item = object.finish()?;
    let user = user.ok_or_else(|| Refusal { path: "userId".to_owned(), msg: "Is required" })?;
    check_claims_limits(&item, "")?;
    let issued = CredentialIssued { created_at, ..issued(item)? };
    let (key, identity) = (UserKey { tenant: tenant.clone(), user }, (user, issued.credential.id));
    let event = CredentialEvent::Issued(Box::new(issued));
    Ok(ImportedEvent { line: number, identity, key, content: Content::Credential(event.data()) })
}

fn issued(item: Value) -> Result<CredentialIssued, Refusal> {
    let null = item.as_object().and_then(|members| members.iter().find(|(_, value)| value.is_null()));
    match null {
        Some((name, _)) => {
            Err(Refusal { path: name.clone(), msg: "Must be left out or have a value, not null" })
        }
        None => CredentialIssued::from_json(item).map_err(|WrongMember { path, msg }| Refusal { path, msg }),
    }
}
