//! Whom a record names, wherever it lies and whether or not it can be folded.

use crate::record::Raw;
use events_schema::UserKey;

/// A header's value, where it is a text.
pub(crate) fn header<'r>(raw: &'r Raw, name: &str) -> Option<&'r str> {
    let (_, value) = raw.headers.iter().find(|(header, _)| header.eq_ignore_ascii_case(name))?;
    std::str::from_utf8(value).ok()
}

/// The users that a record is about by its key and by its headers, however these are spelled; the first of them owns it.
pub(crate) fn named(raw: &Raw) -> impl Iterator<Item = UserKey> {
    let key = raw.key.as_deref().and_then(|key| std::str::from_utf8(key).ok());
    let by_key = key.and_then(UserKey::named_by);
    let by_headers = header(raw, "ce_tenantid").zip(header(raw, "ce_subject"));
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
        let names = |raw: &Raw| named(raw).map(|user| user.to_string()).collect::<Vec<_>>();
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
