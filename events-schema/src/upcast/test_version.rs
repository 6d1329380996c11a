//! `user.updated.v2`, which exists in test builds only. No release reads or writes it. With it, the
//! tests exercise what a second version of a type needs: other data, and other personal data within.
//!
//! The data is `{"sealed": {"nonce", "ciphertext"}, "reason": text}`. The plaintext is `{"claims",
//! "link"?}`.

use super::Version;
use crate::{
    EventType,
    personal::{AuthenticationProvider, Claims, Personal},
};
use serde::Deserialize;
use serde_json::Value;

pub(super) const USER_UPDATED_2: Version =
    Version { ce_type: "user.updated.v2", event_type: EventType::UserUpdated, data, personal };

fn data(mut data: Value) -> Option<Value> {
    let members = data.as_object_mut()?;
    members.remove("reason").filter(Value::is_string)?;
    let sealed = members.remove("sealed")?;
    // Others stay. The fold ignores them, and an erasure must see them.
    members.insert("personal".to_owned(), sealed);
    Some(data)
}

#[derive(Deserialize)]
struct Plaintext {
    claims: Claims,
    link: Option<AuthenticationProvider>,
}

fn personal(plaintext: &[u8]) -> Option<Personal> {
    let Plaintext { claims, link } = serde_json::from_slice(plaintext).ok()?;
    Some(Personal { claims, authentication_provider: link })
}

#[cfg(test)]
mod tests {
    use super::*;
    use serde_json::json;

    #[test]
    fn both_parts_are_converted() {
        let sealed = json!({ "nonce": "AAAA", "ciphertext": "AAAA" });
        assert_eq!(data(json!({ "sealed": sealed, "reason": "r" })), Some(json!({ "personal": sealed })));
        let more = json!({ "sealed": sealed, "reason": "r", "more": 1 });
        assert_eq!(data(more), Some(json!({ "more": 1, "personal": sealed })));
        for wrong in [json!([]), json!({ "sealed": sealed }), json!({ "reason": "r" }), json!("reason")] {
            assert_eq!(data(wrong), None);
        }
        let read = personal(br#"{"claims":{"a":1},"link":{"subjectId":"s"}}"#).unwrap();
        let first = br#"{"claims":{"a":1},"authenticationProvider":{"subjectId":"s"}}"#;
        assert_eq!(Personal::of_plaintext(first), Some(read));
    }
}
