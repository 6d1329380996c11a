//! A line of a credentials file.

use super::{Content, Fact, users::created_at};
use crate::request_body::Object;
use events_schema::{
    TenantId, UserKey, WrongMember,
    credential::{CredentialEvent, CredentialIssued},
};
use serde_json::Value;
use service_kit::json::{Refusal, check_claims_limits};

/// An item of the credentials list, whose it is, and its place in the list's order.
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

/// Reads a line: an item as the list shows it, `userId` and `createdAt?`.
pub(super) fn fact(line: &[u8], tenant: &TenantId, number: u64) -> Result<Fact, Refusal> {
    let mut object = Object::parse(line, &FIELDS)?;
    let user = object.id("userId")?.ok_or_else(|| object.refuse("userId", "Is required"))?;
    let created_at = created_at(&mut object)?;
    let item = object.rest();
    check_claims_limits(&item, "")?;
    let issued = CredentialIssued { created_at, ..issued(item)? };
    let (key, identity) = (UserKey { tenant: tenant.clone(), user }, (user, issued.credential.id));
    let event = CredentialEvent::Issued(Box::new(issued));
    Ok(Fact { line: number, identity, key, content: Content::Credential(event.data()) })
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
