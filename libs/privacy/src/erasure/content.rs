//! What a record of `users.events` holds of a person, told by its bytes: so also of one that can't be folded.

use event_log::raw::Raw;
use events_schema::{
    EventType, UserKey,
    personal::{Binding, Sealed},
};
use key_store::DataKey;
use serde_json::{Map, Value};
use uuid::Uuid;

/// What a value holds of a person.
pub(crate) enum Content {
    /// Nothing, as in a deletion.
    Nothing,
    /// What is sealed, and nothing else.
    Sealed(SealedPart),
    /// What was never sealed.
    Plain,
    /// Nobody can tell: it is not of a form that this build knows.
    Unclear,
}

/// A sealed part with what is needed to open it.
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

    /// What a key makes of it; `None`: it does not open it.
    pub(crate) fn opened(&self, key: &DataKey) -> Option<Value> {
        let Sealed { nonce, ciphertext } = &self.sealed;
        let text = key.open(self.associated.as_bytes(), &nonce.0, &ciphertext.0).ok()?;
        serde_json::from_slice(&text).ok()
    }
}

/// Members beside `personal` that say nothing of a person.
const IMPERSONAL: [&str; 1] = ["createdAt"];

/// Whether a record has no value. It holds nothing then, whatever is wrong with it.
pub(crate) fn is_empty(raw: &Raw) -> bool {
    raw.value.as_deref().is_none_or(<[u8]>::is_empty)
}

/// What a record's value holds of a person. Stricter than the fold: a member that no event of ours has makes it unclear.
pub(crate) fn content(raw: &Raw) -> Content {
    let Some(value) = raw.value.as_deref().filter(|value| !value.is_empty()) else { return Content::Nothing };
    let Ok(Value::Object(mut members)) = serde_json::from_slice(value) else { return Content::Unclear };
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
    let event_type = raw.header("ce_type")?;
    let event_type = EventType::ALL.into_iter().find(|known| known.as_str() == event_type)?;
    let sequence = raw.header("ce_sequence")?.parse().ok()?;
    let associated = Binding { key: &key, event_type, sequence }.associated_data();
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

    fn told(value: &str) -> &'static str {
        match content(&raw(KEY, value)) {
            Content::Nothing => "nothing",
            Content::Sealed(_) => "sealed",
            Content::Plain => "plain",
            Content::Unclear => "unclear",
        }
    }

    #[test]
    fn a_value_is_told_by_its_form() {
        assert_eq!((told(""), told("{}")), ("nothing", "nothing"));
        let at = r#""createdAt":"2020-01-01T00:00:00.000Z""#;
        let sealed = r#"{"nonce":"AAAAAAAAAAAAAAAA","ciphertext":"AAAA"}"#;
        assert_eq!(told(&format!(r#"{{{at},"personal":{sealed}}}"#)), "sealed");
        assert_eq!(told(&format!(r#"{{{at},"personal":{{"claims":{{}}}}}}"#)), "plain");
        assert_eq!(told(r#"{"personal":{"claims":{},"nonce":"AAAA","ciphertext":"AAAA"}}"#), "plain");
        for unclear in [
            "not json",
            "[]",
            r#"{"name":"x"}"#,
            r#"{"personal":"x"}"#,
            r#"{"personal":{"nonce":"AAAA","name":"x"}}"#,
            &format!(r#"{{"personal":{sealed},"name":"x"}}"#),
            r#"{"createdAt":{"name":"x"}}"#,
        ] {
            assert_eq!(told(unclear), "unclear", "{unclear}");
        }
    }
}
