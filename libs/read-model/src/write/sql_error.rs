//! Classifies errors of PostgreSQL. Their own text is never used, since it may repeat a row.

use sqlx::postgres::PgDatabaseError;

/// What an error is about.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
enum Kind {
    /// Values of a record are refused, and will be again: the record may become a dead letter.
    Data,
    /// The tables are inconsistent. The record may be sound.
    Inconsistent,
    /// Anything else, such as a connection that was lost.
    Other,
}

/// An error's SQLSTATE, or nothing if the server sent none.
pub fn code(error: &sqlx::Error) -> String {
    error.as_database_error().and_then(|error| error.code()).unwrap_or_default().into_owned()
}

/// Whether values of a record were refused, so that it may become a dead letter.
pub fn is_data_refused(error: &sqlx::Error) -> bool {
    kind(&code(error)) == Kind::Data
}

/// Whether the tables are inconsistent, so that no projector may go on.
pub fn is_inconsistent(error: &sqlx::Error) -> bool {
    kind(&code(error)) == Kind::Inconsistent
}

/// The SQLSTATE with the names of table and constraint, without values.
pub fn reason(error: &sqlx::Error) -> String {
    let Some(refused) = error.as_database_error() else { return "no answer".to_owned() };
    let schema = refused.try_downcast_ref::<PgDatabaseError>().and_then(PgDatabaseError::schema);
    let table = refused.table().map(|table| format!(", table {}.{table}", schema.unwrap_or("?")));
    let constraint = refused.constraint().map(|constraint| format!(", constraint {constraint}"));
    format!("SQLSTATE {}{}{}", code(error), table.unwrap_or_default(), constraint.unwrap_or_default())
}

/// Class 23 is not about a record: a key or a reference is violated only if another row is wrong.
fn kind(code: &str) -> Kind {
    // A row that is too long for an index; a row twice in one statement; data and indexes that the
    // server finds broken.
    let (too_long, broken) = ("54000", ["21000", "XX001", "XX002"]);
    if code.starts_with("22") || code == too_long {
        Kind::Data
    } else if code.starts_with("23") || broken.contains(&code) {
        Kind::Inconsistent
    } else {
        Kind::Other
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn only_values_that_do_not_fit_speak_against_a_record() {
        for code in ["22P05", "22003", "22021", "22008", "54000"] {
            assert_eq!(kind(code), Kind::Data, "{code}");
        }
        for code in ["23505", "23503", "23502", "23514", "21000", "XX001", "XX002"] {
            assert_eq!(kind(code), Kind::Inconsistent, "{code}");
        }
        for code in ["", "RC001", "25006", "40001", "40P01", "42P01", "53100", "57014", "57P01", "XX000"] {
            assert_eq!(kind(code), Kind::Other, "{code}");
        }
    }

    #[test]
    fn an_error_without_a_server_is_none_of_them() {
        let error = sqlx::Error::PoolTimedOut;
        assert!(!is_data_refused(&error) && !is_inconsistent(&error));
        assert_eq!(reason(&error), "no answer");
    }
}
