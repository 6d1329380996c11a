//! The digest of a creation. It tells whether a repeated create has the same body, without storing
//! the body.

use super::DataKey;
use events_schema::personal::Personal;
use serde_json::{Map, Value};
use sha2::{Digest as _, Sha256};

/// The personal data as JSON with sorted keys.
///
/// Bodies that are equal as JSON give the same text: the order of keys does not matter, and numbers
/// compare by value, so `1` equals `1.0`. Store only a digest of it under a key that is destroyed
/// with the user.
pub fn canonical_text(personal: &Personal) -> String {
    canonical(serde_json::to_value(personal).unwrap_or_default()).to_string()
}

/// The SHA-256 of the canonical text. Only for users whose creation is not sealed: they have no
/// key, and the log shows their data anyway.
pub fn plain_digest(personal: &Personal) -> [u8; 32] {
    Sha256::digest(canonical_text(personal)).into()
}

/// Whether `digest` is that of a creation with this personal data. It is computed under the user's
/// key, or without one if the creation is older than keys.
pub fn is_creation_digest(digest: &[u8], personal: &Personal, data_key: Option<&DataKey>) -> bool {
    let is_of = |key: &DataKey| key.is_fingerprint_of(canonical_text(personal).as_bytes(), digest);
    data_key.is_some_and(is_of) || plain_digest(personal) == *digest
}

fn canonical(value: Value) -> Value {
    match value {
        Value::Object(members) => {
            let mut members: Vec<_> = members.into_iter().collect();
            members.sort_unstable_by(|(a, _), (b, _)| a.cmp(b));
            Value::Object(
                members.into_iter().map(|(key, value)| (key, canonical(value))).collect::<Map<_, _>>(),
            )
        }
        Value::Array(items) => Value::Array(items.into_iter().map(canonical).collect()),
        Value::Number(number) => {
            number.as_f64().filter(|_| number.is_f64()).map_or(Value::Number(number), whole)
        }
        Value::Null | Value::Bool(_) | Value::String(_) => value,
    }
}

/// Converts a double without a fraction to an integer, if one can hold it.
fn whole(number: f64) -> Value {
    // The bounds are powers of two, so they are exact as doubles.
    const SIGNED: std::ops::Range<f64> = -9_223_372_036_854_775_808.0..9_223_372_036_854_775_808.0;
    const UNSIGNED: std::ops::Range<f64> = 0.0..18_446_744_073_709_551_616.0;
    #[allow(clippy::cast_possible_truncation, clippy::cast_sign_loss)]
    match number {
        n if n.fract() != 0.0 => n.into(),
        n if SIGNED.contains(&n) => (n as i64).into(),
        n if UNSIGNED.contains(&n) => (n as u64).into(),
        n => n.into(),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn digest(json: &str) -> [u8; 32] {
        plain_digest(&serde_json::from_str(json).unwrap())
    }

    #[test]
    fn equal_as_json_is_equal() {
        let one = digest(r#"{"claims":{"a":1,"b":{"c":[1.0,-0.0],"d":1e3}}}"#);
        assert_eq!(one, digest(r#"{"claims":{"b":{"d":1000,"c":[1,0]},"a":1.0}}"#));
    }

    #[test]
    fn what_differs_differs() {
        let bodies = [
            r#"{"claims":{}}"#,
            r#"{"claims":{"a":1}}"#,
            r#"{"claims":{"a":"1"}}"#,
            r#"{"claims":{"a":1.5}}"#,
            r#"{"claims":{"a":[1,2]}}"#,
            r#"{"claims":{"a":[2,1]}}"#,
            r#"{"claims":{"a":9007199254740992}}"#,
            r#"{"claims":{"a":9007199254740993}}"#,
            r#"{"claims":{},"authenticationProvider":{"subjectId":"a"}}"#,
        ];
        let digests: std::collections::HashSet<_> = bodies.iter().map(|body| digest(body)).collect();
        assert_eq!(digests.len(), bodies.len());
    }
}
