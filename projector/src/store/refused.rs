//! What an error of PostgreSQL says: of the record, of the tables, or of neither. Never in the error's own text, which may repeat a row.

use sqlx::postgres::PgDatabaseError;

/// What can be said of an error.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
enum Kind {
    /// The values of a record don't fit, so that another try is refused too: the record may be set aside.
    Data,
    /// The tables contradict what they should hold, or each other. The record may be sound; so may the next.
    Inconsistent,
    /// Anything else, such as a connection that was lost.
    Other,
}

/// An error's SQLSTATE; empty where the server said none.
pub(crate) fn code(error: &sqlx::Error) -> String {
    error.as_database_error().and_then(|error| error.code()).unwrap_or_default().into_owned()
}

/// Whether the values of a record were refused, so that it may be set aside.
pub(crate) fn is_data_refused(error: &sqlx::Error) -> bool {
    kind(&code(error)) == Kind::Data
}

/// Whether the tables are not as they should be, so that nobody may go on.
pub(crate) fn is_inconsistent(error: &sqlx::Error) -> bool {
    kind(&code(error)) == Kind::Inconsistent
}

/// The SQLSTATE, and the names of the table and the constraint where the server gave them. Without values.
pub(crate) fn reason(error: &sqlx::Error) -> String {
    let Some(refused) = error.as_database_error() else { return "no answer".to_owned() };
    let schema = refused.try_downcast_ref::<PgDatabaseError>().and_then(PgDatabaseError::schema);
    let table = refused.table().map(|table| format!(", table {}.{table}", schema.unwrap_or("?")));
    let constraint = refused.constraint().map(|constraint| format!(", constraint {constraint}"));
    format!("SQLSTATE {}{}{}", code(error), table.unwrap_or_default(), constraint.unwrap_or_default())
}

/// Class 23 is no matter of a record: what the fold writes breaks a key or a reference only where another row is wrong.
fn kind(code: &str) -> Kind {
    // A row that is too long for an index; a row twice in one statement; data and indexes that the server finds broken.
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
