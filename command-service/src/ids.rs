//! Derived ids. They are derived with a secret, because an id stays readable forever and must not
//! reveal its input to somebody who guesses it.

use domain::codec::{DataKey, canonical_text};
use events_schema::{TenantId, Timestamp, personal::Personal};
use uuid::Uuid;

/// The namespace of users created with an `Idempotency-Key`.
const BY_KEY: Uuid = Uuid::from_u128(0x5c1f_9d0e_37a4_4b8e_9f62_0d7a_c1e8_5b13);
/// The namespace of imported users without an id.
const BY_CONTENT: Uuid = Uuid::from_u128(0xb0d4_6e2a_91c7_4f05_8e3d_27f9_64a1_c8f6);

/// The id for a tenant's `Idempotency-Key`. A tenant's name has no slash, so different pairs give
/// different inputs.
pub(crate) fn of_key(secret: &DataKey, tenant: &TenantId, key: &str) -> Uuid {
    Uuid::new_v5(&BY_KEY, &secret.digest(format!("{tenant}/{key}").as_bytes()))
}

/// The id of an imported user, from its content.
pub(crate) fn of_content(
    secret: &DataKey,
    tenant: &TenantId,
    created_at: Option<Timestamp>,
    personal: &Personal,
) -> Uuid {
    let created_at = created_at.map(|at| at.to_string()).unwrap_or_default();
    let name = format!("{tenant}/{created_at}/{}", canonical_text(personal));
    Uuid::new_v5(&BY_CONTENT, &secret.digest(name.as_bytes()))
}

#[cfg(test)]
mod tests {
    use super::*;

    fn personal(json: &str) -> Personal {
        serde_json::from_str(json).unwrap()
    }

    #[test]
    fn ids_follow_from_tenant_and_content() {
        let (a, b): (TenantId, TenantId) = ("a".parse().unwrap(), "b".parse().unwrap());
        let (secret, other) = (DataKey::random().unwrap(), DataKey::random().unwrap());
        assert_eq!(of_key(&secret, &a, "k"), of_key(&secret, &a, "k"));
        assert_ne!(of_key(&secret, &a, "k"), of_key(&secret, &b, "k"));
        assert_ne!(of_key(&secret, &a, "k"), of_key(&other, &a, "k"));
        let (one, same) = (personal(r#"{"claims":{"x":1,"y":2}}"#), personal(r#"{"claims":{"y":2,"x":1}}"#));
        let id = |tenant, at, personal| of_content(&secret, tenant, at, personal);
        assert_eq!(id(&a, None, &one), id(&a, None, &same));
        assert_ne!(id(&a, None, &one), id(&b, None, &one));
        assert_ne!(id(&a, None, &one), id(&a, "2020-08-25T06:46:09.510Z".parse().ok(), &one));
        assert_ne!(id(&a, None, &one), of_content(&other, &a, None, &one));
    }
}
