//! What personal data a record of `users.events` contains. It is judged by the record's bytes, so this
//! also works for a record that can't be folded.

use event_log::raw::Raw;
use events_schema::{
    UserKey, current_data,
    personal::{Binding, Sealed},
};
use key_store::DataKey;
use serde_json::{Map, Value};
use uuid::Uuid;

/// The personal data in a value.
pub(crate) enum Content {
    /// None, as in a deletion.
    Nothing,
    /// Only sealed data.
    Sealed(SealedPart),
    /// Data that was never sealed.
    Plain,
    /// Unclear, because this build does not know the form of the value.
    Unclear,
}

/// A sealed part, with what is needed to open it besides the key.
pub(crate) struct SealedPart {
    associated: String,
    sealed: Sealed,
    /// The key that the event names.
    pub(crate) key_id: Option<Uuid>,
}

impl SealedPart {
    /// Whether a key opens it.
    pub(crate) fn is_opened_by(&self, key: &DataKey) -> bool {
        let Sealed { nonce, ciphertext } = &self.sealed;
        key.open(self.associated.as_bytes(), &nonce.0, &ciphertext.0).is_ok()
    }

    /// The data, opened with a key. `None` if the key does not open it.
    pub(crate) fn open(&self, key: &DataKey) -> Option<Value> {
        let Sealed { nonce, ciphertext } = &self.sealed;
        let text = key.open(self.associated.as_bytes(), &nonce.0, &ciphertext.0).ok()?;
        serde_json::from_slice(&text).ok()
    }
}

/// Members beside `personal` without personal data.
const IMPERSONAL: [&str; 1] = ["createdAt"];

/// Whether a record has no value. It then contains nothing, whatever is wrong with it.
pub(crate) fn is_empty(raw: &Raw) -> bool {
    raw.value.as_deref().is_none_or(<[u8]>::is_empty)
}

/// The personal data in a record's value. Stricter than the fold: any unknown member makes the value
/// unclear.
pub(crate) fn content(raw: &Raw) -> Content {
    let Some(value) = raw.value.as_deref().filter(|value| !value.is_empty()) else { return Content::Nothing };
    let Ok(data) = serde_json::from_slice::<Value>(value) else { return Content::Unclear };
    let converted = raw.header("ce_type").and_then(|ce_type| current_data(ce_type, data.clone()));
    let Value::Object(mut members) = converted.unwrap_or(data) else { return Content::Unclear };
    members.retain(|name, value| !(IMPERSONAL.contains(&name.as_str()) && value.is_string()));
    let personal = members.remove("personal");
    match personal {
        _ if !members.is_empty() => Content::Unclear,
        None => Content::Nothing,
        Some(Value::Object(personal)) => part(raw, personal),
        Some(_) => Content::Unclear,
    }
}

fn part(raw: &Raw, personal: Map<String, Value>) -> Content {
    if personal.contains_key("claims") {
        return Content::Plain;
    }
    let is_sealed_alone = personal.len() == 2;
    let sealed = serde_json::from_value(personal.into()).ok().filter(|_| is_sealed_alone);
    sealed.and_then(|sealed| sealed_part(raw, sealed)).map_or(Content::Unclear, Content::Sealed)
}

fn sealed_part(raw: &Raw, sealed: Sealed) -> Option<SealedPart> {
    let key: UserKey = std::str::from_utf8(raw.key.as_deref()?).ok()?.parse().ok()?;
    let ce_type = raw.header("ce_type")?;
    let sequence = raw.header("ce_sequence")?.parse().ok()?;
    let associated = Binding { key: &key, ce_type, sequence }.associated_data();
    let key_id = raw.header("ce_keyid").and_then(|id| id.parse().ok());
    Some(SealedPart { associated, sealed, key_id })
}

#[cfg(test)]
mod tests {
    use super::*;

    const KEY: &str = "acme/0c3fad74-a8df-4a2d-8e75-f2d356b413ba";

    fn raw(key: &str, value: &str) -> Raw {
        let headers = [("ce_type", "user.created.v1"), ("ce_sequence", "1"), ("ce_tenantid", "acme")];
        let headers = headers.map(|(name, value)| (name.to_owned(), value.as_bytes().to_vec()));
        Raw { key: Some(key.into()), value: Some(value.into()), headers: headers.into() }
    }

    fn kind(value: &str) -> &'static str {
        match content(&raw(KEY, value)) {
            Content::Nothing => "nothing",
            Content::Sealed(_) => "sealed",
            Content::Plain => "plain",
            Content::Unclear => "unclear",
        }
    }

    #[cfg(feature = "failpoints")]
    #[test]
    fn another_version_has_another_form() {
        let sealed = r#"{"nonce":"AAAAAAAAAAAAAAAA","ciphertext":"AAAA"}"#;
        let second = |value: &str| {
            let mut raw = raw(KEY, value);
            raw.headers[0].1 = b"user.updated.v2".to_vec();
            content(&raw)
        };
        assert!(matches!(second(&format!(r#"{{"sealed":{sealed},"reason":"r"}}"#)), Content::Sealed(_)));
        let unclear = format!(r#"{{"sealed":{sealed},"reason":"r","name":"x"}}"#);
        assert!(matches!(second(&unclear), Content::Unclear));
    }

    #[test]
    fn the_form_of_a_value_decides() {
        assert_eq!((kind(""), kind("{}")), ("nothing", "nothing"));
        let at = r#""createdAt":"2020-01-01T00:00:00.000Z""#;
        let sealed = r#"{"nonce":"AAAAAAAAAAAAAAAA","ciphertext":"AAAA"}"#;
        assert_eq!(kind(&format!(r#"{{{at},"personal":{sealed}}}"#)), "sealed");
        assert_eq!(kind(&format!(r#"{{{at},"personal":{{"claims":{{}}}}}}"#)), "plain");
        assert_eq!(kind(r#"{"personal":{"claims":{},"nonce":"AAAA","ciphertext":"AAAA"}}"#), "plain");
        for unclear in [
            "not json",
            "[]",
            r#"{"name":"x"}"#,
            r#"{"personal":"x"}"#,
            r#"{"personal":{"nonce":"AAAA","name":"x"}}"#,
            &format!(r#"{{"personal":{sealed},"name":"x"}}"#),
            r#"{"createdAt":{"name":"x"}}"#,
        ] {
            assert_eq!(kind(unclear), "unclear", "{unclear}");
        }
    }
}
