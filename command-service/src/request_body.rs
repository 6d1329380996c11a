//! Parses the JSON of a user member by member. Refusals name the paths, never the values.

use domain::link;
use events_schema::personal::{AuthenticationProvider, Claims};
use serde_json::{Map, Value};
use service_kit::{
    json::{Found, MAX_BODY_LEVELS, Refusal, Refusals, check_claims_limits, parse},
    path,
};
use uuid::Uuid;

/// How many characters of an unknown name a refusal repeats.
const MAX_NAME_CHARS: usize = 256;

/// An object whose members are taken one by one. It remembers what is wrong with them.
pub(crate) struct Object {
    members: Map<String, Value>,
    path: &'static str,
    found: Found,
}

impl Object {
    /// Parses an object with no other than the `known` members.
    pub(crate) fn parse(text: &[u8], known: &[&str]) -> Result<Self, Refusals> {
        Ok(Self::of(parse(text, MAX_BODY_LEVELS)?, "", known)?)
    }

    fn of(value: Value, path: &'static str, known: &[&str]) -> Result<Self, Refusal> {
        let Value::Object(members) = value else {
            return Err(Refusal { path: path.to_owned(), msg: "Must be an object" });
        };
        let (members, unknown): (Map<_, _>, Map<_, _>) =
            members.into_iter().partition(|(name, _)| known.contains(&name.as_str()));
        let mut object = Self { members, path, found: Found::default() };
        unknown.keys().for_each(|name| object.refuse(name, "Unknown field"));
        Ok(object)
    }

    /// Refuses a member, unless it was refused before: one with a wrong type is not missing too.
    pub(crate) fn refuse(&mut self, name: &str, msg: &'static str) {
        let name: String = name.chars().take(MAX_NAME_CHARS).collect();
        let path = if self.path.is_empty() { name } else { format!("{}.{name}", self.path) };
        if !self.found.has(&path) {
            self.found.push(Refusal { path, msg });
        }
    }

    /// Refuses the object if it lacks a member. Call it before the member is taken.
    pub(crate) fn require(&mut self, name: &str) {
        if !self.members.contains_key(name) {
            self.refuse(name, "Is required");
        }
    }

    /// Takes a string, if present and valid.
    pub(crate) fn text(&mut self, name: &str) -> Option<String> {
        match self.members.remove(name)? {
            Value::String(text) => Some(text),
            _ => {
                self.refuse(name, "Must be a string");
                None
            }
        }
    }

    /// Takes a uuid, if present and valid.
    pub(crate) fn id(&mut self, name: &str) -> Option<Uuid> {
        let id = self.members.remove(name)?.as_str().and_then(path::uuid);
        if id.is_none() {
            self.refuse(name, "Must be a uuid");
        }
        id
    }

    /// Takes `claims`, if present and valid.
    pub(crate) fn claims(&mut self) -> Option<Claims> {
        const NAME: &str = "claims";
        let value = self.members.remove(NAME)?;
        self.found.check(check_claims_limits(&value, NAME));
        match value {
            Value::Object(claims) => Some(claims),
            _ => {
                self.refuse(NAME, "Must be an object");
                None
            }
        }
    }

    /// Takes `authenticationProvider`, if present and valid.
    pub(crate) fn link(&mut self) -> Option<AuthenticationProvider> {
        const NAME: &str = "authenticationProvider";
        let value = self.members.remove(NAME)?;
        let link = Self::of(value, NAME, &["providerId", "url", "subjectId"]);
        self.found.check(link.map_err(Refusals::from).and_then(Self::into_link))
    }

    fn into_link(mut self) -> Result<AuthenticationProvider, Refusals> {
        let [provider_id, url, subject_id] = ["providerId", "url", "subjectId"].map(|name| self.text(name));
        match link::link(provider_id, url, subject_id) {
            Ok(link) => self.found.finish(link),
            Err(bad) => {
                bad.iter().for_each(|bad| self.refuse(bad.member, bad.msg));
                Err(self.found.into_refusals())
            }
        }
    }

    /// Returns the members that were not taken.
    ///
    /// # Errors
    /// What was wrong with those that were.
    pub(crate) fn finish(self) -> Result<Value, Refusals> {
        self.found.finish(Value::Object(self.members))
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use service_kit::problem::Problem;

    const FIELDS: [&str; 3] = ["id", "claims", "authenticationProvider"];

    /// Parses everything and returns the refused paths.
    fn places(text: &str) -> Vec<String> {
        let read = || {
            let mut object = Object::parse(text.as_bytes(), &FIELDS)?;
            object.id("id");
            object.claims();
            object.link();
            object.finish()
        };
        let problem = read().err().map(Problem::from);
        problem.into_iter().flat_map(|problem| problem.details).map(|detail| detail.param).collect()
    }

    #[track_caller]
    fn taken(text: &str) {
        assert_eq!(places(text), Vec::<String>::new(), "{text}");
    }

    #[track_caller]
    fn refused_at(path: &str, text: &str) {
        assert_eq!(places(text), [path], "{text}");
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
            refused_at("body", whole);
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
    fn everything_is_refused_at_once() {
        let text = r#"{"id":1,"x":1,"claims":{"":1,"a":{"":2}},"authenticationProvider":{"url":"h","providerId":"h","y":1}}"#;
        let link =
            ["y", "subjectId", "providerId", "url"].map(|name| format!("authenticationProvider.{name}"));
        let wanted: Vec<_> =
            ["x", "id", "claims.", "claims.a."].map(str::to_owned).into_iter().chain(link).collect();
        assert_eq!(places(text), wanted);
        let many: String = (0..100).map(|n| format!("\"{n}\":1,")).collect();
        assert_eq!(places(&format!("{{{many}\"id\":1}}")).len(), 20);
    }

    #[test]
    fn claims_may_have_32_levels() {
        let nested = |levels: usize| {
            format!(r#"{{"claims":{}{}}}"#, r#"{"a":"#.repeat(levels - 1) + "{}", "}".repeat(levels - 1))
        };
        taken(&nested(32));
        assert_eq!(places(&nested(33)).len(), 1);
    }
}
