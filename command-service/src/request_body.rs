//! Parses the JSON of a user member by member. A refusal names the path, never the value.

use domain::link;
use events_schema::personal::{AuthenticationProvider, Claims};
use serde_json::{Map, Value};
use service_kit::{
    json::{MAX_BODY_LEVELS, Refusal, check_claims_limits, parse},
    path,
};
use uuid::Uuid;

/// How many characters of an unknown name a refusal repeats.
const MAX_NAME_CHARS: usize = 256;

/// An object whose members are taken one by one.
pub(crate) struct Object {
    members: Map<String, Value>,
    path: &'static str,
}

impl Object {
    /// Parses an object with no other than the `known` members.
    pub(crate) fn parse(text: &[u8], known: &[&str]) -> Result<Self, Refusal> {
        Self::of(parse(text, MAX_BODY_LEVELS)?, "", known)
    }

    fn of(value: Value, path: &'static str, known: &[&str]) -> Result<Self, Refusal> {
        let Value::Object(members) = value else {
            return Err(Refusal { path: path.to_owned(), msg: "Must be an object" });
        };
        let object = Self { members, path };
        match object.members.keys().find(|name| !known.contains(&name.as_str())) {
            Some(unknown) => Err(object.refuse(unknown, "Unknown field")),
            None => Ok(object),
        }
    }

    /// Refuses a member.
    pub(crate) fn refuse(&self, name: &str, msg: &'static str) -> Refusal {
        let name: String = name.chars().take(MAX_NAME_CHARS).collect();
        let path = if self.path.is_empty() { name } else { format!("{}.{name}", self.path) };
        Refusal { path, msg }
    }

    /// Takes a string, if present.
    pub(crate) fn text(&mut self, name: &str) -> Result<Option<String>, Refusal> {
        match self.members.remove(name) {
            None => Ok(None),
            Some(Value::String(text)) => Ok(Some(text)),
            Some(_) => Err(self.refuse(name, "Must be a string")),
        }
    }

    /// Takes a uuid, if present.
    pub(crate) fn id(&mut self, name: &str) -> Result<Option<Uuid>, Refusal> {
        match self.members.remove(name) {
            None => Ok(None),
            Some(value) => match value.as_str().and_then(path::uuid) {
                Some(id) => Ok(Some(id)),
                None => Err(self.refuse(name, "Must be a uuid")),
            },
        }
    }

    /// Takes `claims`, if present, and checks their limits.
    pub(crate) fn claims(&mut self) -> Result<Option<Claims>, Refusal> {
        const NAME: &str = "claims";
        let Some(value) = self.members.remove(NAME) else { return Ok(None) };
        check_claims_limits(&value, NAME)?;
        match value {
            Value::Object(claims) => Ok(Some(claims)),
            _ => Err(self.refuse(NAME, "Must be an object")),
        }
    }

    /// Takes `authenticationProvider`, if present.
    pub(crate) fn link(&mut self) -> Result<Option<AuthenticationProvider>, Refusal> {
        const NAME: &str = "authenticationProvider";
        let Some(value) = self.members.remove(NAME) else { return Ok(None) };
        let mut link = Self::of(value, NAME, &["providerId", "url", "subjectId"])?;
        let (provider_id, url) = (link.text("providerId")?, link.text("url")?);
        let subject_id = link.text("subjectId")?.ok_or_else(|| link.refuse("subjectId", "Is required"))?;
        let made = link::link(provider_id, url, subject_id);
        made.map(Some).map_err(|bad| link.refuse(bad.member, bad.msg))
    }

    /// The members that were not taken.
    pub(crate) fn rest(self) -> Value {
        Value::Object(self.members)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    const FIELDS: [&str; 3] = ["id", "claims", "authenticationProvider"];

    /// Parses everything and returns the refused path.
    fn place(text: &str) -> Option<String> {
        let read = || {
            let mut object = Object::parse(text.as_bytes(), &FIELDS)?;
            object.id("id")?;
            object.claims()?;
            object.link()
        };
        read().err().map(|refusal: Refusal| refusal.path)
    }

    #[track_caller]
    fn taken(text: &str) {
        assert_eq!(place(text), None, "{text}");
    }

    #[track_caller]
    fn refused_at(path: &str, text: &str) {
        assert_eq!(place(text).as_deref(), Some(path), "{text}");
    }

    #[test]
    fn what_is_well_formed_is_taken() {
        taken("{}");
        taken(r#"{"claims":{"a":[1,{"b":null}]}}"#);
        taken(
            r#"{"id":"0C3FAD74-A8DF-4A2D-8E75-F2D356B413BA","authenticationProvider":{"subjectId":"s","url":"https://h"}}"#,
        );
    }

    #[test]
    fn a_refusal_names_its_place() {
        for whole in ["", "[]", "null", "{", "1"] {
            refused_at("", whole);
        }
        refused_at("x", r#"{"x":1}"#);
        refused_at("claims", r#"{"claims":null}"#);
        refused_at("claims", r#"{"claims":[]}"#);
        refused_at("claims.a[1].b", r#"{"claims":{"a":[0,{"b":1e999}]}}"#);
        refused_at("id", r#"{"id":null}"#);
        refused_at("id", r#"{"id":"x"}"#);
        refused_at("authenticationProvider", r#"{"authenticationProvider":null}"#);
        refused_at("authenticationProvider.x", r#"{"authenticationProvider":{"subjectId":"s","x":1}}"#);
        refused_at("authenticationProvider.subjectId", r#"{"authenticationProvider":{}}"#);
        refused_at("authenticationProvider.subjectId", r#"{"authenticationProvider":{"subjectId":1}}"#);
        refused_at("authenticationProvider.subjectId", r#"{"authenticationProvider":{"subjectId":""}}"#);
        refused_at("authenticationProvider.url", r#"{"authenticationProvider":{"subjectId":"s","url":"h"}}"#);
        refused_at(
            "authenticationProvider.providerId",
            r#"{"authenticationProvider":{"subjectId":"s","providerId":"h"}}"#,
        );
    }

    #[test]
    fn claims_may_have_32_levels() {
        let nested = |levels: usize| {
            format!(r#"{{"claims":{}{}}}"#, r#"{"a":"#.repeat(levels - 1) + "{}", "}".repeat(levels - 1))
        };
        taken(&nested(32));
        assert!(place(&nested(33)).is_some());
    }
}
