//! Adds to the error of an unreachable server the setting with the server's address, to that of a
//! server that accepts no writes, why, and to that of a database of another release, what to run.

use crate::settings;
use key_store::KeysError;
use service_kit::{
    database::pooler::{self, PoolerError},
    settings::{AtSetting, NotSet},
};
use std::{borrow::Cow, error::Error};

/// PostgreSQL's code for `read_only_sql_transaction`.
const READ_ONLY: &str = "25006";
/// Its codes for a table, a column, a schema or a function that does not exist.
const MISSING: [&str; 4] = ["42P01", "42703", "3F000", "42883"];

/// Explains an error of a verb. The setting's value is never shown, because it contains a password.
pub(crate) fn explain(error: anyhow::Error) -> anyhow::Error {
    if let Some(words) = error.downcast_ref().and_then(|NotSet(name)| settings::not_running_here(name)) {
        return anyhow::Error::msg(words);
    }
    let setting = setting(&error);
    if error.chain().any(is_pooler) {
        return anyhow::Error::msg(format!("{setting}: {PoolerError}"));
    }
    if error.chain().any(is_read_only) {
        return error.context(format!(
            "PostgreSQL ({setting}) is read-only, and this verb has to write: it is a standby, or default_transaction_read_only is on",
        ));
    }
    if error.chain().any(is_of_another_release) {
        return error.context(format!(
            "the database ({setting}) lacks what this release of rollcall needs: run `rollcall migrate` of this release",
        ));
    }
    if error.chain().any(is_unreachable) {
        return error.context(format!("PostgreSQL ({setting}) can't be reached"));
    }
    error
}

fn is_pooler(cause: &(dyn Error + 'static)) -> bool {
    cause.is::<PoolerError>() || cause.downcast_ref().is_some_and(pooler::is_pooler_error)
}

fn is_read_only(cause: &(dyn Error + 'static)) -> bool {
    code(cause).is_some_and(|code| code == READ_ONLY)
}

fn is_of_another_release(cause: &(dyn Error + 'static)) -> bool {
    code(cause).is_some_and(|code| MISSING.contains(&&*code))
}

/// PostgreSQL's code for the error.
fn code<'c>(cause: &'c (dyn Error + 'static)) -> Option<Cow<'c, str>> {
    cause.downcast_ref::<sqlx::Error>()?.as_database_error()?.code()
}

/// The setting with the address of the database that the error is about. Most are about the read
/// model.
fn setting(error: &anyhow::Error) -> &'static str {
    match error.downcast_ref() {
        Some(AtSetting(setting)) => setting,
        None if error.chain().any(|cause| cause.is::<KeysError>()) => settings::key_store_setting(),
        None => "DATABASE_URL",
    }
}

fn is_unreachable(cause: &(dyn Error + 'static)) -> bool {
    let is_away = |error: &sqlx::Error| {
        matches!(
            error,
            sqlx::Error::Io(_)
                | sqlx::Error::Tls(_)
                | sqlx::Error::PoolTimedOut
                | sqlx::Error::PoolClosed
                | sqlx::Error::WorkerCrashed
        )
    };
    matches!(cause.downcast_ref(), Some(KeysError::NoAnswer)) || cause.downcast_ref().is_some_and(is_away)
}

#[cfg(test)]
mod tests {
    use super::*;
    use anyhow::{Context as _, anyhow};
    use service_kit::errors::describe_error;

    #[test]
    fn only_connection_errors_are_explained() {
        let text = |error: anyhow::Error| format!("{:#}", explain(error));
        let away = Err::<(), _>(sqlx::Error::PoolTimedOut).context("it failed").unwrap_err();
        assert!(
            text(away).starts_with("PostgreSQL (DATABASE_URL) can't be reached: it failed: pool timed out")
        );
        assert!(text(KeysError::NoAnswer.into()).starts_with("PostgreSQL (DATABASE_URL) can't be reached"));
        assert_eq!(text(sqlx::Error::RowNotFound.into()), sqlx::Error::RowNotFound.to_string());
        assert_eq!(text(anyhow!("no")), "no");
        assert!(text(NotSet("REDIS_URL").into()).contains("REDIS_URL is not set: start one with"));
    }

    #[test]
    fn an_error_about_another_database_names_its_setting() {
        let at = |error: anyhow::Error| {
            let error = error.context("can't read it").context(AtSetting("ROLLCALL_KEYS_DATABASE_URL"));
            describe_error(explain(error.context("the check")).as_ref())
        };
        let away = at(sqlx::Error::PoolTimedOut.into());
        assert!(away.starts_with("PostgreSQL (ROLLCALL_KEYS_DATABASE_URL) can't be reached: "), "{away}");
        assert_eq!(at(PoolerError.into()), format!("ROLLCALL_KEYS_DATABASE_URL: {PoolerError}"));
    }
}
