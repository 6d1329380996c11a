//! A line of a credentials file.

use super::{Content, Fact, users::created_at};
use crate::shape::Object;
use events_schema::{
    TenantId, UserKey,
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
    // The members that say no more than that they are missing or of the wrong kind are named one by one.
    for (name, msg) in [("id", "Must be a uuid"), ("type", "Must be a string"), ("profile", PROFILES)] {
        if !item.get(name).is_some_and(Value::is_string) {
            return Err(Refusal { path: name.to_owned(), msg });
        }
    }
    let whole = Refusal { path: String::new(), msg: "Not a credential as the list shows it" };
    // An optional member is left out and never null.
    if item.as_object().is_some_and(|members| members.values().any(Value::is_null)) {
        return Err(whole);
    }
    CredentialIssued::from_json(item).map_err(|_| whole)
}

const PROFILES: &str = "Must be mobile, compact, compact-semantic or web-semantic";
