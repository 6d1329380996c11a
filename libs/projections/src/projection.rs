//! The trait that the author of a projection implements.

use crate::{Event, Table, Tables};
use events_schema::TenantId;
use serde_json::Value;
use std::fmt;

/// A projection: a fold of the log into tables of its own, and a question to them.
///
/// The framework calls [`fold`](Self::fold) with accepted events, applies the changes and the new
/// position in one transaction, erases deleted users from personal tables, and keeps generations.
pub trait Projection: 'static {
    /// What the fold of one event changes.
    type Change: Send + 'static;

    /// The name: lower-case letters, digits and `_`, at most 32, beginning with a letter. It is part
    /// of the schemas' names, so it never changes.
    const NAME: &'static str;

    /// Raise it whenever the same log gives other rows, or rows in other tables. A generation is
    /// folded and asked only by the version that made it.
    const FOLD_VERSION: i32;

    /// All tables that [`SQL`](Self::SQL) creates.
    const TABLES: &'static [Table];

    /// The statements that create the tables and their indexes in the schema `{p}`.
    const SQL: &'static str;

    /// Folds one event. It depends on nothing but the event: no clock, no I/O, no random numbers.
    ///
    /// # Errors
    /// The event can't be folded. The projection stops there until a build that can folds it.
    fn fold(event: &Event) -> Result<Vec<Self::Change>, Refusal>;

    /// Applies the changes of a batch, in the order of the events, within the framework's
    /// transaction. It may touch no other tables.
    ///
    /// # Errors
    /// A statement failed. Nothing is applied then, and the batch is tried again, in smaller parts.
    fn apply(
        tables: &mut Tables<'_>,
        changes: Vec<Self::Change>,
    ) -> impl Future<Output = sqlx::Result<()>> + Send;

    /// Answers the projection's question about a tenant, as JSON. A list of flat objects is shown as
    /// a table.
    ///
    /// # Errors
    /// A statement failed.
    fn query(tables: &mut Tables<'_>, tenant: &TenantId) -> impl Future<Output = sqlx::Result<Value>> + Send;
}

/// Why an event can't be folded. The text is fixed, so that it can't contain personal data.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Refusal(pub &'static str);

impl fmt::Display for Refusal {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(self.0)
    }
}
