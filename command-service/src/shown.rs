//! A user as it is printed: the body of every answer that shows one.

use events_schema::personal::{Personal, show};
use uuid::Uuid;

/// The longest a printed user may be, so that what GET gave always fits a PUT.
pub(crate) const LONGEST: usize = 257 * 1024;

/// A user is longer than [`LONGEST`].
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) struct TooLong;

/// Prints a user, without spaces.
pub(crate) fn print(id: Uuid, personal: &Personal) -> Result<String, TooLong> {
    let text = show(id, personal);
    if text.len() > LONGEST { Err(TooLong) } else { Ok(text) }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn prints_what_is_there_and_nothing_else() {
        let print = |json: &str| print(Uuid::nil(), &serde_json::from_str(json).unwrap());
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
            print(Uuid::nil(), &Personal { claims, authentication_provider: None })
        };
        assert_eq!(user(LONGEST - empty).unwrap().len(), LONGEST);
        assert_eq!(user(LONGEST - empty + 1), Err(TooLong));
    }
}
