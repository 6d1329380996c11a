//! The users whom a record names, whatever partition it is in and whether or not it can be folded.

use crate::raw::Raw;
use events_schema::UserKey;

/// The users whom the key and the headers of a record name, in any spelling. The first one owns the
/// record.
pub fn named_users(raw: &Raw) -> impl Iterator<Item = UserKey> {
    let key = raw.key.as_deref().and_then(|key| std::str::from_utf8(key).ok());
    let by_key = key.and_then(UserKey::named_by);
    let by_headers = raw.header("ce_tenantid").zip(raw.header("ce_subject"));
    let by_headers = by_headers.and_then(|(tenant, user)| UserKey::of_parts(tenant, user));
    let other = by_headers.filter(|user| by_key.as_ref() != Some(user));
    by_key.into_iter().chain(other)
}

#[cfg(test)]
mod tests {
    use super::*;

    const KEY: &str = "acme/0c3fad74-a8df-4a2d-8e75-f2d356b413ba";

    fn raw(key: &str) -> Raw {
        let headers = vec![("ce_tenantid".to_owned(), b"acme".to_vec())];
        Raw { key: Some(key.into()), value: None, headers }
    }

    #[test]
    fn a_record_names_users_by_its_key_and_its_headers() {
        let names = |raw: &Raw| named_users(raw).map(|user| user.to_string()).collect::<Vec<_>>();
        let loud = KEY.to_uppercase().replace("ACME", "acme");
        assert_eq!((names(&raw(KEY)), names(&raw(&loud))), (vec![KEY.to_owned()], vec![KEY.to_owned()]));
        let mut other = raw("nobody");
        assert!(names(&other).is_empty());
        other.headers.push(("ce_subject".to_owned(), KEY.split_once('/').unwrap().1.into()));
        assert_eq!(names(&other), [KEY]);
        other.key = Some(format!("b{KEY}").into());
        assert_eq!(names(&other), [format!("b{KEY}"), KEY.to_owned()]);
    }
}
