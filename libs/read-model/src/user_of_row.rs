//! The user of a row.

use anyhow::Context as _;
use events_schema::UserKey;
use uuid::Uuid;

/// The columns that name a user.
pub(crate) type UserRow = (String, Uuid);

/// The user that a row names. A row that names none was not written by Rollcall. It is an error,
/// because a search for what is left of users must not skip it.
///
/// # Errors
/// The tenant is not valid.
pub(crate) fn user_of((tenant, user): UserRow) -> anyhow::Result<UserKey> {
    let tenant = tenant.parse().with_context(|| format!("the read model's row of user {user}"))?;
    Ok(UserKey { tenant, user })
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_row_with_an_invalid_tenant_is_an_error() {
        assert_eq!(user_of(("acme".to_owned(), Uuid::nil())).unwrap().tenant.as_str(), "acme");
        let error = format!("{:#}", user_of(("a/b".to_owned(), Uuid::nil())).unwrap_err());
        assert!(error.contains(&Uuid::nil().to_string()) && error.contains("tenant id"), "{error}");
    }
}
