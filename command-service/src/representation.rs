//! The representation of a user: the body of every response that contains one.

use events_schema::personal::{Personal, user_json};
use uuid::Uuid;

/// The maximum size of a representation. So the body of a GET always fits a PUT.
pub(crate) const MAX_BYTES: usize = 257 * 1024;

/// A representation is larger than [`MAX_BYTES`].
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) struct TooLarge;

/// The JSON of a user, without spaces.
pub(crate) fn of(id: Uuid, personal: &Personal) -> Result<String, TooLarge> {
    let text = user_json(id, personal);
    if text.len() > MAX_BYTES { Err(TooLarge) } else { Ok(text) }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn prints_what_is_there_and_nothing_else() {
        let print = |json: &str| of(Uuid::nil(), &serde_json::from_str(json).unwrap());
        let id = Uuid::nil();
        let plain = r#"{"claims":{"b":18446744073709551615,"a":[1.5,1.0,null]}}"#;
        assert_eq!(print(plain).unwrap(), format!(r#"{{"id":"{id}",{}"#, &plain[1..]));
        let linked = r#"{"claims":{},"authenticationProvider":{"subjectId":"s"}}"#;
        assert_eq!(print(linked).unwrap(), format!(r#"{{"id":"{id}",{}"#, &linked[1..]));
    }

    #[test]
    fn a_user_has_a_largest_size() {
        let empty = format!(r#"{{"id":"{}","claims":{{"x":""}}}}"#, Uuid::nil()).len();
        let user = |text: usize| {
            let claims = [("x".to_owned(), "x".repeat(text).into())].into_iter().collect();
            of(Uuid::nil(), &Personal { claims, authentication_provider: None })
        };
        assert_eq!(user(MAX_BYTES - empty).unwrap().len(), MAX_BYTES);
        assert_eq!(user(MAX_BYTES - empty + 1), Err(TooLarge));
    }
}
